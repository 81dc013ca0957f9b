"""Mean average precision of segments in long videos, over thresholds of temporal intersection over union (IoU).

The metric of ActivityNet (Caba Heilbron et al., CVPR 2015) as used on THUMOS14: segments are matched greedily by score,
each annotated action once, and the area below the interpolated precision-recall curve is averaged over classes.
Ambiguous actions are treated as in THUMOS's evaluation kit: a segment that overlaps one and matches nothing else is
neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.errors import UserError

IOU_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)  # those that papers report on THUMOS14

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Segment:
    """A predicted action: label index, start and end in seconds, and a score (higher is more certain)."""

    label: int
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class AnnotatedAction:
    """An action annotated by people: label index (None: Ambiguous), start and end in seconds."""

    label: int | None
    start: float
    end: float


@dataclass(frozen=True)
class DetectionMetrics:
    """Mean average precision, and the counts behind it."""

    overlaps: tuple[float, ...]  # the IoU thresholds
    mean_average_precision: tuple[float, ...]  # 0 to 1, for each threshold: the mean over `classes`
    average: float  # the mean of these over the thresholds
    classes: tuple[int, ...]  # label indices of the annotated classes; others do not count
    average_precision: tuple[tuple[float, ...], ...]  # for each class, 0 to 1 for each threshold
    videos: int  # annotated videos that were searched
    annotations: int  # actions annotated in them, without ambiguous ones
    segments: int  # segments of those classes predicted in them


def evaluate_detection(
    annotations: Mapping[str, Sequence[AnnotatedAction]], segments: Mapping[str, Sequence[Segment]]
) -> DetectionMetrics:
    """Compare the segments of videos with their annotations.

    Args:
        annotations: by video; in a video without any, every segment is wrong.
        segments: by video; videos that are not in `annotations` are skipped.

    Raises:
        UserError: nothing is annotated.
    """
    labels = [a.label for actions in annotations.values() for a in actions if a.label is not None]
    classes = sorted(set(labels))
    if not classes:
        raise UserError("Nothing is annotated in these videos: there is nothing to evaluate against")
    table = np.array([_average_precisions(label, annotations, segments) for label in classes])  # [C, O]
    return DetectionMetrics(
        overlaps=IOU_THRESHOLDS,
        mean_average_precision=tuple(table.mean(axis=0).tolist()),
        average=float(table.mean()),
        classes=tuple(classes),
        average_precision=tuple(tuple(row) for row in table.tolist()),
        videos=len(annotations),
        annotations=len(labels),
        segments=sum(segment.label in classes for video in annotations for segment in segments.get(video, ())),
    )


def _average_precisions(
    label: int, annotations: Mapping[str, Sequence[AnnotatedAction]], segments: Mapping[str, Sequence[Segment]]
) -> list[float]:
    """Return the average precision of one class at each threshold. Ties of scores: by video, then start, then end."""
    ranked = sorted(
        (-segment.score, video, segment.start, segment.end)
        for video in annotations
        for segment in segments.get(video, ())
        if segment.label == label
    )
    hits = np.zeros((len(IOU_THRESHOLDS), len(ranked)), dtype=bool)
    ambiguous = np.zeros(len(ranked), dtype=bool)
    for name in {video for _, video, _, _ in ranked}:
        rows = [row for row, (_, video, _, _) in enumerate(ranked) if video == name]
        times = np.array([ranked[row][2:] for row in rows])  # [P, 2]
        hits[:, rows] = _matches(temporal_iou(times, _times(annotations[name], label)))
        ambiguous[rows] = (temporal_iou(times, _times(annotations[name], None)) > 0).any(axis=1)
    total = sum(len(_times(actions, label)) for actions in annotations.values())
    return [average_precision(row[row | ~ambiguous], total) for row in hits]


def _times(actions: Iterable[AnnotatedAction], label: int | None) -> Floats:
    """Return the start and end of the actions of a label in seconds [G, 2], sorted."""
    return np.array(sorted((a.start, a.end) for a in actions if a.label == label), dtype=float).reshape(-1, 2)


def temporal_iou(segments: Floats, others: Floats) -> Floats:
    """Return the intersection over union in time [P, G] of segments [P, 2] and others [G, 2]; 0 where it is 0 / 0."""
    start = np.maximum(segments[:, None, 0], others[None, :, 0])
    end = np.minimum(segments[:, None, 1], others[None, :, 1])
    both = (end - start).clip(min=0)
    either = np.diff(segments, axis=1) + np.diff(others, axis=1).T - both
    iou: Floats = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return iou


def best_iou(segment: Segment, actions: Sequence[AnnotatedAction]) -> float:
    """Return the highest IoU of a segment with an annotated action of its class; 0 if there is none."""
    times = np.array([[segment.start, segment.end]])
    return float(temporal_iou(times, _times(actions, segment.label)).max(initial=0))


def _matches(iou: Floats) -> Flags:
    """Return which segments match an annotated action at each threshold [O, P], by their IoU [P, G].

    Segments are in order of score. Each takes the free action of the highest IoU, if that reaches the threshold.
    """
    hits = np.zeros((len(IOU_THRESHOLDS), len(iou)), dtype=bool)
    for row, threshold in enumerate(IOU_THRESHOLDS) if iou.size else ():
        free = iou.copy()
        for segment in range(len(free)):
            best = free[segment].argmax()
            if free[segment, best] >= threshold:
                hits[row, segment] = True
                free[:, best] = -1  # each action once
    return hits


def average_precision(hits: Flags, total: int) -> float:
    """Return the area below the interpolated precision-recall curve, as VOC 2011 and ActivityNet define it.

    The precision at a recall is the best one at that recall or a higher one. Recall grows by 1 / total at each hit, so
    the area is the sum of these precisions at the hits, over `total`.

    Args:
        hits: bool [N], whether each segment is right, in order of falling score.
        total: annotated actions, at least 1.
    """
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[hits].sum() / total)
