"""What each descriptor of a run gains or costs: the run once more without it, from stored features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db import vocabulary
from db.errors import UserError
from db.records import Descriptor, Impact
from recognizer.evaluation.compare import mcnemar
from recognizer.evaluation.ranking import labels_of
from recognizer.evaluation.replay import Replay
from recognizer.features.embed import Progress
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.metrics import Rate, ranks, wilson

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TextImpact:
    """A run without one descriptor, beside the run itself.

    Attributes:
        descriptor: the text that is left out.
        gained: videos that are right only without it.
        lost: videos that are right only with it.
        p: of McNemar's exact test on those, two-sided; not corrected for how many texts were tried.
        top1_change: (gained - lost) / videos; positive is better without it.
        margin_change: mean over the videos of the change of the true class's score less the best other's, in the
            units of the score; positive is better without it.
    """

    descriptor: Descriptor
    gained: int
    lost: int
    p: float
    top1_change: float
    margin_change: float


@dataclass(frozen=True)
class RunImpact:
    """What leaving out each descriptor of a run does.

    Attributes:
        run: its number.
        dataset: its name.
        is_benchmark: whether its videos are those of a published test set, on which nothing may be chosen.
        top1: of the run.
        label_only: top-1 of its labels alone.
        videos: V.
        ranked_otherwise: videos whose rank is not the stored one: texts were put in another order since.
        texts: worst first: what is best left out.
    """

    run: int
    dataset: str
    is_benchmark: bool
    top1: Rate
    label_only: Rate
    videos: int
    ranked_otherwise: int
    texts: tuple[TextImpact, ...]

    def records(self) -> dict[int, Impact]:
        """Return what the database keeps, by descriptor id."""
        return {t.descriptor.id: Impact(self.run, t.top1_change, t.margin_change) for t in self.texts}


def impact(repeated: Replay, *, on_progress: Progress = lambda done, total: None) -> RunImpact:
    """Measure what each descriptor of a run does: one evaluation for each slot of the ensemble, not for each text.

    Args:
        repeated: a stored run with descriptors.
        on_progress: told (slots done, slots in all).

    Raises:
        UserError: the run has no descriptors, or its dataset one class only.
    """
    run = repeated.run
    if not repeated.descriptors or repeated.ensemble.present.shape[0] < 2:
        what = "used no descriptors" if not repeated.descriptors else "has one class only"
        raise UserError(f"Run {run.id} {what}: there is nothing to leave out")
    labels, scored = labels_of(repeated.features), repeated.scores()
    changes = leave_one_out(repeated.scores, repeated.ensemble, labels, on_progress=on_progress)
    stored = {prediction.video: prediction for prediction in run.predictions}
    now = dict(zip((video.id for video in repeated.features.videos), ranks(scored, labels).tolist(), strict=True))
    videos = len(labels)
    return RunImpact(
        run=run.id or 0,
        dataset=run.dataset,
        is_benchmark=run.dataset in vocabulary.BUILT_IN,
        top1=wilson(sum(rank == 1 for rank in now.values()), videos),
        label_only=wilson(sum(prediction.label_only_rank == 1 for prediction in run.predictions), videos),
        videos=videos,
        ranked_otherwise=sum(stored[video].rank != rank for video, rank in now.items()),
        texts=_texts(repeated, changes, videos),
    )


@dataclass(frozen=True)
class Changes:
    """What leaving out text k of class c does; zero where there is no such text.

    Attributes:
        gained: int64 [C, K], videos that are right only without it.
        lost: int64 [C, K], videos that are right only with it.
        margin: [C, K], mean change of the true class's score less the best other's.
    """

    gained: Tensor
    lost: Tensor
    margin: Tensor


def leave_one_out(
    score: Callable[[Ensemble], Tensor],
    ensemble: Ensemble,
    labels: Tensor,
    *,
    on_progress: Progress = lambda done, total: None,
) -> Changes:
    """Return the changes for all texts of all classes.

    A class's scores depend on its own texts alone. So slot k is cleared in all classes at once, and each class's
    column is taken into the scores of the whole ensemble by itself.

    Args:
        score: an ensemble to scores [V, C].
        ensemble: of C classes, at least two.
        labels: int64 [V].
        on_progress: told (slots done, slots in all).
    """
    import torch

    field = _Field.of(score(ensemble), labels)
    slots = ensemble.present.shape[1]
    gained, lost = (torch.zeros(ensemble.present.shape, dtype=torch.long) for _ in range(2))
    margin = torch.zeros(ensemble.present.shape)
    for k in range(1, slots):
        present = ensemble.present.clone()
        present[:, k] = False
        without = field.margins(score(replace(ensemble, present=present)))  # [V, C]
        there = ensemble.present[:, k]
        gained[:, k] = ((without > 0) & ~field.right).sum(dim=0) * there
        lost[:, k] = (~(without > 0) & field.right).sum(dim=0) * there
        margin[:, k] = (without - field.margin).mean(dim=0) * there
        on_progress(k, slots - 1)
    return Changes(gained, lost, margin)


@dataclass(frozen=True)
class _Field:
    """The scores of V videos, prepared so that one class's can be exchanged."""

    labels: Tensor  # [V]
    true: Tensor  # [V, 1], the score of the true class
    best: Tensor  # [V, 1], the best other's
    rest: Tensor  # [V, C], the best other's but for class c

    @classmethod
    def of(cls, scored: Tensor, labels: Tensor) -> _Field:
        import torch

        others = scored.scatter(1, labels[:, None], -torch.inf)  # [V, C]
        best, place = others.topk(2, dim=1)
        number = torch.arange(scored.shape[1])
        rest = best[:, 1:].where(number == place[:, :1], best[:, :1])
        return cls(labels, scored.gather(1, labels[:, None]), best[:, :1], rest)

    @property
    def margin(self) -> Tensor:
        return self.true - self.best  # [V, 1]

    @property
    def right(self) -> Tensor:
        return self.margin > 0  # [V, 1]; a tie counts against, as in `metrics.ranks`

    def margins(self, other: Tensor) -> Tensor:
        """Return the margin [V, C] of each video, were the scores of class c alone those of `other` [V, C]."""
        import torch

        is_own = self.labels[:, None] == torch.arange(other.shape[1])
        return torch.where(is_own, other - self.best, self.true - torch.maximum(self.rest, other))


def _texts(repeated: Replay, changes: Changes, videos: int) -> tuple[TextImpact, ...]:
    descriptors = {descriptor.id: descriptor for descriptor in repeated.descriptors}
    measures = (repeated.ensemble.ids, changes.gained, changes.lost, changes.margin)
    found = [
        TextImpact(descriptors[id_], gained, lost, mcnemar(gained, lost), (gained - lost) / videos, margin)
        for id_, gained, lost, margin in zip(*(each.flatten().tolist() for each in measures), strict=True)
        if id_ in descriptors
    ]
    return tuple(sorted(found, key=lambda t: (-t.top1_change, -t.margin_change, t.descriptor.id)))
