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
from recognizer.evaluation.multi_label import refuse_multi_label
from recognizer.evaluation.replay import Replay, replay
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.intervals import Design, mcnemar
from recognizer.scoring.methods import method_of
from recognizer.scoring.metrics import Rate, margins, ranks, rate

if TYPE_CHECKING:
    from torch import Tensor

Score = Callable[[Ensemble], "Tensor"]  # to scores [V, C]


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
    refuse_multi_label(run, "recognize impact")
    with bars(f"run {run.id}", "videos") as advance:
        replayed = replay(store, run, encoder, root=root, on_progress=advance)
    if not replayed.descriptors or len(replayed.ensemble.present) < 2:
        reason = "used no descriptors" if not replayed.descriptors else "has one class only"
        raise UserError(f"Run {run.id} {reason}: no text can be left out")
    labels, scored = replayed.features.labels, replayed.scores()
    with bars(f"run {run.id} without each text", "slots") as advance:
        apart = method_of(replayed.settings.method).classes_apart
        changes = leave_one_out(replayed.scores, replayed.ensemble, labels, apart=apart, on_progress=advance)
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
    score: Score,
    ensemble: Ensemble,
    labels: Tensor,
    *,
    with_labels: bool = False,
    apart: bool = True,
    on_progress: Progress = lambda done, total: None,
) -> Changes:
    """Return the effect of leaving out each text of each class by itself; a class's only text is never left out.

    A name that stands for a label is text k = 0: without it the class has its label again. It is always left out, also
    without `with_labels`.

    Where the scores of a class depend only on its own texts, slot k is cleared in all classes at once, and the new
    column of each class is compared with the unchanged columns of the others. Elsewhere each text is an evaluation.

    Args:
        score: ensemble -> scores [V, C].
        ensemble: the texts of at least two classes.
        labels: int64 [V].
        with_labels: whether the labels are left out too.
        apart: whether the scores of a class depend only on its own texts (`Method.classes_apart`).
        on_progress: called with (slots done, slots in all).
    """
    import torch

    before, after_slot = margins(score(ensemble), labels), (_apart if apart else _together)(score, ensemble, labels)
    gained, lost, margin = (torch.zeros(ensemble.present.shape) for _ in range(3))
    slots = ensemble.present.shape[1]
    named = ensemble.named()
    for k in range(0 if with_labels or named.any() else 1, slots):
        exists = _can_go(ensemble, k) if k or with_labels else named  # [C]
        after = after_slot(k, exists)  # [V, C]
        gained[:, k] = ((after > 0) & (before <= 0)).sum(dim=0) * exists
        lost[:, k] = ((after <= 0) & (before > 0)).sum(dim=0) * exists
        margin[:, k] = (after - before).mean(dim=0) * exists
        on_progress(k, slots - 1)
    return Changes(gained.long(), lost.long(), margin)


def _can_go(ensemble: Ensemble, slot: int) -> Tensor:
    """Return the classes that have text k = `slot` and another one, or their label in its place, bool [C]."""
    another = (ensemble.text_counts().squeeze(1) > 1) | (ensemble.named() & (slot == 0))
    return ensemble.present[:, slot] & another


def _apart(score: Score, ensemble: Ensemble, labels: Tensor) -> Callable[[int, Tensor], Tensor]:
    """Return (slot, classes [C]) -> the margins [V, C] without that text of class c alone, from one evaluation."""
    import torch
    from torch.nn.functional import one_hot

    scored = score(ensemble)  # [V, C]
    own = one_hot(labels, scored.shape[1]).bool()  # [V, C], the true class
    true = scored.gather(1, labels[:, None])  # [V, 1]
    best, classes = scored.masked_fill(own, -torch.inf).topk(2, dim=1)  # [V, 2], the best other classes
    rest = best[:, 1:].where(one_hot(classes[:, 0], scored.shape[1]).bool(), best[:, :1])  # [V, C], also without c

    def after(slot: int, exists: Tensor) -> Tensor:
        left_out = score(ensemble.without(slot, classes=exists))  # [V, C]
        return torch.where(own, left_out - best[:, :1], true - torch.maximum(rest, left_out))

    return after


def _together(score: Score, ensemble: Ensemble, labels: Tensor) -> Callable[[int, Tensor], Tensor]:
    """Return (slot, classes [C]) -> the margins [V, C] without that text of class c alone, an evaluation each."""
    import torch

    before = margins(score(ensemble), labels)  # [V, 1]

    def after(slot: int, exists: Tensor) -> Tensor:
        columns = [
            margins(score(ensemble.without(slot, classes=[c])), labels) if has else before
            for c, has in enumerate(exists.tolist())
        ]
        return torch.cat(columns, dim=1)

    return after


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
