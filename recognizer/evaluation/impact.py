"""The leave-one-out effect of each descriptor of a run: how accuracy changes without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from db import vocabulary
from db.errors import UserError
from db.progress import Progress, ProgressBars, no_bars
from db.records import Descriptor, Impact, Run
from db.store import Store
from recognizer.datasets.official import clip_groups
from recognizer.evaluation.ranking import labels_of
from recognizer.evaluation.replay import Replay, replay
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.intervals import Design, mcnemar
from recognizer.scoring.metrics import Rate, ranks, rate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TextImpact:
    """A run without one descriptor, compared with the run itself.

    The margin of a video is the score of its true class minus the best other score.
    """

    descriptor: Descriptor  # left out
    gained: int  # videos that are right only without it
    lost: int  # videos that are right only with it
    p: float  # McNemar's exact test on gained and lost, two-sided; not corrected for the number of texts
    top1_change: float  # (gained - lost) / videos; positive means better without it
    margin_change: float  # mean over the videos, in score units; positive means better without it


@dataclass(frozen=True)
class RunImpact:
    """The leave-one-out effect of each descriptor of a run."""

    run: int
    dataset: str
    is_benchmark: bool  # its videos are a published test set, on which texts must not be selected
    top1: Rate
    label_only: Rate  # top-1 of its labels alone
    videos: int
    groups: int  # of clips cut from one source, over which the intervals are
    ranked_otherwise: int  # videos whose rank differs from the stored one, because texts were reordered since
    texts: tuple[TextImpact, ...]  # largest gain without the text first


def measure_impact(
    store: Store, run: Run, encoder: CachingEncoder, *, root: Path | None = None, bars: ProgressBars = no_bars
) -> RunImpact:
    """Measure the leave-one-out effect of each descriptor of a stored run, and store it for the review.

    Arguments and errors as in `replay`.

    Raises:
        UserError: the run has no descriptors, or its dataset has only one class.
    """
    with bars(f"run {run.id}", "videos") as advance:
        replayed = replay(store, run, encoder, root=root, on_progress=advance)
    if not replayed.descriptors or replayed.ensemble.present.shape[0] < 2:
        reason = "used no descriptors" if not replayed.descriptors else "has one class only"
        raise UserError(f"Run {run.id} {reason}: no text can be left out")
    labels, scored = labels_of(replayed.features), replayed.scores()
    with bars(f"run {run.id} without each text", "slots") as advance:
        changes = leave_one_out(replayed.scores, replayed.ensemble, labels, on_progress=advance)
    texts, number = _texts(replayed, changes), run.id or 0
    store.save_impacts({text.descriptor.id: Impact(number, text.top1_change, text.margin_change) for text in texts})
    stored = {prediction.video: prediction for prediction in run.predictions}
    now = dict(zip((video.id for video in replayed.features.videos), ranks(scored, labels).tolist(), strict=True))
    design = Design.of(labels.tolist(), clip_groups(now))
    return RunImpact(
        run=number,
        dataset=run.dataset,
        is_benchmark=run.dataset in vocabulary.BUILT_IN,
        top1=rate(np.array(list(now.values())) <= 1, design),
        label_only=rate(np.array([stored[video].label_only_rank for video in now]) <= 1, design),
        videos=len(labels),
        groups=design.group_count,
        ranked_otherwise=sum(stored[video].rank != rank for video, rank in now.items()),
        texts=texts,
    )


@dataclass(frozen=True)
class Changes:
    """The effects of leaving out text k of class c, [C, K] each; zero if there is no such text."""

    gained: Tensor  # int64, videos that are right only without it
    lost: Tensor  # int64, videos that are right only with it
    margin: Tensor  # mean change of the margin


def leave_one_out(
    score: Callable[[Ensemble], Tensor],
    ensemble: Ensemble,
    labels: Tensor,
    *,
    with_labels: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> Changes:
    """Return the effect of leaving out each text of each class by itself.

    The scores of a class depend only on its own texts. So slot k is cleared in all classes at once, and the new column
    of each class is compared with the unchanged columns of the others. A class's only text is never left out.

    Args:
        score: ensemble -> scores [V, C].
        ensemble: the texts of at least two classes.
        labels: int64 [V].
        with_labels: whether the labels are left out too.
        on_progress: called with (slots done, slots in all).
    """
    import torch
    from torch.nn.functional import one_hot

    scored = score(ensemble)  # [V, C]
    own = one_hot(labels, scored.shape[1]).bool()  # [V, C], the true class
    true = scored.gather(1, labels[:, None])  # [V, 1]
    best, classes = scored.masked_fill(own, -torch.inf).topk(2, dim=1)  # [V, 2], the best other classes
    rest = best[:, 1:].where(one_hot(classes[:, 0], scored.shape[1]).bool(), best[:, :1])  # [V, C], also without c
    before = true - best[:, :1]  # [V, 1], the margin; a tie is wrong, as in `metrics.ranks`
    gained, lost, margin = (torch.zeros(ensemble.present.shape) for _ in range(3))
    slots = ensemble.present.shape[1]
    for k in range(0 if with_labels else 1, slots):
        without = ensemble.without(k)
        left_out = score(without)  # [V, C]
        after = torch.where(own, left_out - best[:, :1], true - torch.maximum(rest, left_out))  # [V, C]
        exists = ensemble.present[:, k] & ~without.present[:, k]
        gained[:, k] = ((after > 0) & (before <= 0)).sum(dim=0) * exists
        lost[:, k] = ((after <= 0) & (before > 0)).sum(dim=0) * exists
        margin[:, k] = (after - before).mean(dim=0) * exists
        on_progress(k, slots - 1)
    return Changes(gained.long(), lost.long(), margin)


def _texts(replayed: Replay, changes: Changes) -> tuple[TextImpact, ...]:
    videos = len(replayed.features.videos)
    descriptors = {descriptor.id: descriptor for descriptor in replayed.descriptors}
    measures = (replayed.ensemble.ids, changes.gained, changes.lost, changes.margin)
    texts = [
        TextImpact(descriptors[id_], gained, lost, mcnemar(gained, lost), (gained - lost) / videos, margin)
        for id_, gained, lost, margin in zip(*(values.flatten().tolist() for values in measures), strict=True)
        if id_ in descriptors
    ]
    return tuple(sorted(texts, key=lambda t: (-t.top1_change, -t.margin_change, t.descriptor.id)))
