"""Evaluations of videos that have several labels, or none: mean average precision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from db.errors import UserError
from db.records import Run
from recognizer.datasets.records import Video
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS, EmbeddedDataset, TrueRanks, truth_of
from recognizer.scoring.curves import Estimate, Order, Resampling, average_precision, estimate
from recognizer.scoring.intervals import Design, Flags, Floats
from recognizer.scoring.metrics import Rate, difference, rate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MultiLabelAccuracy:
    """How well the scores of each class order the videos.

    Attributes:
        videos: evaluated.
        of_no_class: those of them without a label; they count as wrong for every class.
        groups: of clips cut from one source, over which the intervals are.
        classes: those with videos.
        classes_without_videos: the others; they have no average precision, and are not in the mean.
        map: mean over `classes` of the average precision (see `average_precision`).
        top1_in_set: share of the labelled videos whose first class is one of their labels.
    """

    videos: int
    of_no_class: int
    groups: int
    classes: int
    classes_without_videos: int
    map: Rate
    top1_in_set: Rate


def is_multi_label(run: Run) -> bool:
    """Return whether the videos of a run may have several labels."""
    return bool(run.settings.get("multi_label"))


def refuse_multi_label(run: Run, command: str) -> None:
    """Raise UserError if a run is of videos with several labels, for a command that needs one label a video."""
    if is_multi_label(run):
        raise UserError(
            f"The videos of run {run.id} have several labels each, so it has an mAP and no accuracies: "
            f"{command} needs one label a video. Its numbers: recognize runs {run.id}"
        )


def multi_label_results(embedded: EmbeddedDataset, rows: Mapping[str, TrueRanks]) -> dict[str, Any]:
    """Return the numbers of both rows, what descriptors gain, and the average precision of each class by row.

    Raises:
        UserError: no video has a label.
    """
    videos, classes = embedded.features.videos, len(embedded.dataset.actions)
    truth = truth_of(videos, classes)
    if not truth.any():
        raise UserError(f"None of the {len(videos)} videos that were read has a label: there is no mAP")
    resampling, groups = Resampling.of(embedded.groups), embedded.groups
    precision = {name: _precision(row.scores, truth, resampling) for name, row in rows.items()}
    labelled = np.flatnonzero(truth.any(axis=1))
    design = Design.of([0] * len(labelled), [groups[v] for v in labelled])
    hits = {name: row.ranks.numpy()[labelled] <= 1 for name, row in rows.items()}
    counts = {
        "videos": len(videos),
        "of_no_class": len(videos) - len(labelled),
        "groups": resampling.count,
        "classes": int(truth.any(axis=0).sum()),
        "classes_without_videos": int((~truth.any(axis=0)).sum()),
    }
    gains = {
        "map": precision[WITH_DESCRIPTORS].mean.minus(precision[LABEL_ONLY].mean),
        "top1_in_set": difference(hits[LABEL_ONLY], hits[WITH_DESCRIPTORS], design),
    }
    return {
        "rows": {
            name: asdict(MultiLabelAccuracy(**counts, map=each.mean.rate, top1_in_set=rate(hits[name], design)))
            for name, each in precision.items()
        },
        "gain": {name: asdict(gain) for name, gain in gains.items()},
        "average_precision": {name: each.by_class for name, each in precision.items()},
        "labels_sha256": _digest(videos),
    }


def _digest(videos: Sequence[Video]) -> str:
    """Return the sha256 over the videos with all their labels."""
    return hashlib.sha256(json.dumps(sorted((video.id, video.labels) for video in videos)).encode()).hexdigest()


@dataclass(frozen=True)
class _Precision:
    mean: Estimate
    by_class: list[float | None]  # None: without videos


def _precision(scores: Tensor, truth: Flags, resampling: Resampling) -> _Precision:
    """Return the average precision of scores [V, C] against the true classes [V, C]."""
    columns: Floats = scores.double().numpy()
    measures = [average_precision(Order.of(columns[:, c]), truth[:, c]) for c in range(truth.shape[1])]
    once = np.ones(len(truth))
    has_videos = [bool(truth[:, c].any()) for c in range(truth.shape[1])]
    by_class = [float(m(once)) if own else None for m, own in zip(measures, has_videos, strict=True)]
    own = [measure for measure, has in zip(measures, has_videos, strict=True) if has]
    return _Precision(estimate(own, resampling), by_class)
