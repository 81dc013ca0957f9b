"""What each descriptor of a run gains or costs: its leave-one-out effect, from stored features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from db import vocabulary
from db.errors import UserError
from db.progress import Progress, ProgressBars, no_bars
from db.records import Descriptor, Impact, Run
from db.store import Store
from recognizer.evaluation.compare import mcnemar
from recognizer.evaluation.ranking import labels_of
from recognizer.evaluation.replay import Replay, replay
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.metrics import Rate, ranks, wilson

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TextImpact:
    """A run without one descriptor, compared with the run itself.

    Attributes:
        descriptor: the text that is left out.
        gained: videos that are right only without it.
        lost: videos that are right only with it.
        p: two-sided p of McNemar's exact test on these; not corrected for the number of texts tried.
        top1_change: (gained - lost) / videos; positive means better without it.
        margin_change: mean change over the videos of the margin (score of the true class minus best other score), in
            score units; positive means better without it.
    """

    descriptor: Descriptor
    gained: int
    lost: int
    p: float
    top1_change: float
    margin_change: float


@dataclass(frozen=True)
class RunImpact:
    """The leave-one-out effect of each descriptor of a run.

    Attributes:
        run: its number.
        dataset: its name.
        is_benchmark: whether its videos are a published test set, on which texts must not be selected.
        top1: of the run.
        label_only: top-1 of its labels alone.
        videos: V.
        ranked_otherwise: videos whose rank differs from the stored one, because texts were reordered since.
        texts: worst first: those best left out.
    """

    run: int
    dataset: str
    is_benchmark: bool
    top1: Rate
    label_only: Rate
    videos: int
    ranked_otherwise: int
    texts: tuple[TextImpact, ...]


def measure_impact(
    store: Store, run: Run, encoder: StoredEncoder, *, root: Path | None = None, bars: ProgressBars = no_bars
) -> RunImpact:
    """Measure the leave-one-out effect of each descriptor of a stored run, and store it for the review.

    Arguments and errors as in `replay`.

    Raises:
        UserError: the run has no descriptors, or its dataset only one class.
    """
    with bars(f"run {run.id}", "videos") as advance:
        replayed = replay(store, run, encoder, root=root, on_progress=advance)
    if not replayed.descriptors or replayed.ensemble.present.shape[0] < 2:
        reason = "used no descriptors" if not replayed.descriptors else "has one class only"
        raise UserError(f"Run {run.id} {reason}: there is nothing to leave out")
    labels, scored = labels_of(replayed.features), replayed.scores()
    with bars(f"run {run.id} without each text", "slots") as advance:
        changes = leave_one_out(replayed.scores, replayed.ensemble, labels, on_progress=advance)
    texts, number = _texts(replayed, changes), run.id or 0
    store.readings().save_impacts(
        {text.descriptor.id: Impact(number, text.top1_change, text.margin_change) for text in texts}
    )
    stored = {prediction.video: prediction for prediction in run.predictions}
    now = dict(zip((video.id for video in replayed.features.videos), ranks(scored, labels).tolist(), strict=True))
    videos = len(labels)
    return RunImpact(
        run=number,
        dataset=run.dataset,
        is_benchmark=run.dataset in vocabulary.BUILT_IN,
        top1=wilson(sum(rank == 1 for rank in now.values()), videos),
        label_only=wilson(sum(prediction.label_only_rank == 1 for prediction in run.predictions), videos),
        videos=videos,
        ranked_otherwise=sum(stored[video].rank != rank for video, rank in now.items()),
        texts=texts,
    )


@dataclass(frozen=True)
class Changes:
    """What leaving out text k of class c does; zero if there is no such text.

    Attributes:
        gained: int64 [C, K], videos that are right only without it.
        lost: int64 [C, K], videos that are right only with it.
        margin: [C, K], mean change of the score of the true class minus the best other score.
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

    The scores of a class depend only on its own texts. So slot k is cleared in all classes at once, and the new column
    of each class is then compared with the unchanged columns of the others.

    Args:
        score: an ensemble to scores [V, C].
        ensemble: of at least two classes.
        labels: int64 [V].
        on_progress: called with (slots done, slots in all).
    """
    import torch

    baseline = _Margins.of(score(ensemble), labels)
    slots = ensemble.present.shape[1]
    gained, lost = (torch.zeros(ensemble.present.shape, dtype=torch.long) for _ in range(2))
    margin = torch.zeros(ensemble.present.shape)
    for k in range(1, slots):
        present = ensemble.present.clone()
        present[:, k] = False
        margins = baseline.exchanged(score(replace(ensemble, present=present)))  # [V, C]
        exists = ensemble.present[:, k]
        gained[:, k] = ((margins > 0) & ~baseline.right).sum(dim=0) * exists
        lost[:, k] = (~(margins > 0) & baseline.right).sum(dim=0) * exists
        margin[:, k] = (margins - baseline.margin).mean(dim=0) * exists
        on_progress(k, slots - 1)
    return Changes(gained, lost, margin)


@dataclass(frozen=True)
class _Margins:
    """The margins of V videos, prepared so that the scores of one class can be exchanged."""

    labels: Tensor  # [V]
    true: Tensor  # [V, 1], the score of the true class
    best: Tensor  # [V, 1], the best score of the other classes
    rest: Tensor  # [V, C], the best score of the other classes without class c

    @classmethod
    def of(cls, scored: Tensor, labels: Tensor) -> _Margins:
        import torch

        others = scored.scatter(1, labels[:, None], -torch.inf)  # [V, C]
        best, classes = others.topk(2, dim=1)
        number = torch.arange(scored.shape[1])
        rest = best[:, 1:].where(number == classes[:, :1], best[:, :1])
        return cls(labels, scored.gather(1, labels[:, None]), best[:, :1], rest)

    @property
    def margin(self) -> Tensor:
        return self.true - self.best  # [V, 1]

    @property
    def right(self) -> Tensor:
        return self.margin > 0  # [V, 1]; a tie is wrong, as in `metrics.ranks`

    def exchanged(self, other: Tensor) -> Tensor:
        """Return margins [V, C]: column c is the margin if class c alone had its scores of `other` [V, C]."""
        import torch

        is_own = self.labels[:, None] == torch.arange(other.shape[1])
        return torch.where(is_own, other - self.best, self.true - torch.maximum(self.rest, other))


def _texts(replayed: Replay, changes: Changes) -> tuple[TextImpact, ...]:
    videos = len(replayed.features.videos)
    descriptors = {descriptor.id: descriptor for descriptor in replayed.descriptors}
    measures = (replayed.ensemble.ids, changes.gained, changes.lost, changes.margin)
    texts = [
        TextImpact(descriptors[id_], gained, lost, mcnemar(gained, lost), (gained - lost) / videos, margin)
        for id_, gained, lost, margin in zip(*(each.flatten().tolist() for each in measures), strict=True)
        if id_ in descriptors
    ]
    return tuple(sorted(texts, key=lambda t: (-t.top1_change, -t.margin_change, t.descriptor.id)))
