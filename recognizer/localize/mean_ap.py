"""How good segments in long videos are: mean average precision over temporal overlap.

The measure of ActivityNet (Caba Heilbron et al., CVPR 2015) as it is used on THUMOS14: segments are matched greedily by
score, each annotated action once, and the area below the interpolated precision-recall curve is averaged over classes.
Actions marked Ambiguous count as in THUMOS's own evaluation kit: a segment that overlaps one and matches nothing else
is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.errors import UserError

OVERLAPS = (0.3, 0.4, 0.5, 0.6, 0.7)  # the thresholds that papers report on THUMOS14

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Segment:
    """An action that was found: label index, start and end in seconds, and a score (higher is surer)."""

    label: int
    start: float
    end: float
    score: float


@dataclass(frozen=True)
class Annotation:
    """An action that people saw: label index (None: Ambiguous), start and end in seconds."""

    label: int | None
    start: float
    end: float


@dataclass(frozen=True)
class Detection:
    """The measure and what it was taken over.

    Attributes:
        overlaps: the thresholds of temporal overlap (intersection over union).
        mean_average_precision: 0 to 1, for each threshold: the mean over `classes`.
        average: the mean of these over the thresholds.
        classes: label indices of the classes that are annotated at least once; others are not counted.
        average_precision: for each class, 0 to 1 for each threshold.
        videos: annotated videos that were searched.
        annotations: actions annotated in them, ambiguous ones left out.
        segments: segments of those classes found in them.
    """

    overlaps: tuple[float, ...]
    mean_average_precision: tuple[float, ...]
    average: float
    classes: tuple[int, ...]
    average_precision: tuple[tuple[float, ...], ...]
    videos: int
    annotations: int
    segments: int


def evaluate_detection(
    annotations: Mapping[str, Sequence[Annotation]],
    found: Mapping[str, Sequence[Segment]],
    *,
    overlaps: Sequence[float] = OVERLAPS,
) -> Detection:
    """Measure the segments found in videos against what is annotated there.

    Args:
        annotations: by video; a video without any makes every segment in it wrong.
        found: by video; those of videos that are not in `annotations` are not looked at.
        overlaps: thresholds, above 0; an overlap equal to the threshold is enough.

    Raises:
        UserError: nothing is annotated.
    """
    seen = [a.label for of_video in annotations.values() for a in of_video if a.label is not None]
    classes = sorted(set(seen))
    if not classes:
        raise UserError("Nothing is annotated in these videos: there is nothing to measure against")
    table = np.array([_average_precisions(label, annotations, found, overlaps) for label in classes])  # [C, O]
    return Detection(
        overlaps=tuple(overlaps),
        mean_average_precision=tuple(table.mean(axis=0).tolist()),
        average=float(table.mean()),
        classes=tuple(classes),
        average_precision=tuple(tuple(row) for row in table.tolist()),
        videos=len(annotations),
        annotations=len(seen),
        segments=sum(segment.label in set(seen) for video in annotations for segment in found.get(video, ())),
    )


def _average_precisions(
    label: int,
    annotations: Mapping[str, Sequence[Annotation]],
    found: Mapping[str, Sequence[Segment]],
    overlaps: Sequence[float],
) -> list[float]:
    """Return the average precision of one class at each threshold.

    Segments go in order of falling score; of equal scores first by the name of the video, then by start, then by end,
    so that the order in which they are given changes nothing.
    """
    actions = {video: _times(a for a in of_video if a.label == label) for video, of_video in annotations.items()}
    unclear = {video: _times(a for a in of_video if a.label is None) for video, of_video in annotations.items()}
    ranked = sorted(
        (-segment.score, video, segment.start, segment.end)
        for video in annotations
        for segment in found.get(video, ())
        if segment.label == label
    )
    hits = np.zeros((len(overlaps), len(ranked)), dtype=bool)
    ignored = np.zeros(len(ranked), dtype=bool)
    for video in {video for _, video, _, _ in ranked}:
        rows = [row for row, (_, of, _, _) in enumerate(ranked) if of == video]
        times = np.array([ranked[row][2:] for row in rows])  # [P, 2]
        hits[:, rows] = _matches(temporal_overlap(times, actions[video]), overlaps)
        ignored[rows] = (temporal_overlap(times, unclear[video]) > 0).any(axis=1)
    total = sum(map(len, actions.values()))
    return [average_precision(of_threshold[of_threshold | ~ignored], total) for of_threshold in hits]


def _times(items: Iterable[Annotation]) -> Floats:
    """Return [G, 2], start and end in seconds, sorted."""
    return np.array(sorted((item.start, item.end) for item in items), dtype=float).reshape(-1, 2)


def temporal_overlap(segments: Floats, others: Floats) -> Floats:
    """Return the intersection over union in time [P, G] of segments [P, 2] and others [G, 2]; 0 where it is 0 / 0."""
    start = np.maximum(segments[:, None, 0], others[None, :, 0])
    end = np.minimum(segments[:, None, 1], others[None, :, 1])
    both = (end - start).clip(min=0)
    either = np.diff(segments, axis=1) + np.diff(others, axis=1).T - both
    overlap: Floats = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return overlap


def overlap_with(segment: Segment, annotations: Sequence[Annotation]) -> float:
    """Return the best overlap of a segment with an annotated action of its class; 0 where there is none."""
    actions = _times(a for a in annotations if a.label == segment.label)
    return float(temporal_overlap(np.array([[segment.start, segment.end]]), actions).max(initial=0))


def _matches(overlap: Floats, thresholds: Sequence[float]) -> Flags:
    """Return which segments [O, P] take an annotated action, by their overlap [P, G]; segments in order of score.

    Each takes the free action that it overlaps most, of equals the first, if it overlaps it enough.
    """
    hits = np.zeros((len(thresholds), len(overlap)), dtype=bool)
    for row, threshold in enumerate(thresholds) if overlap.size else ():
        left = overlap.copy()
        for segment in range(len(left)):
            best = left[segment].argmax()
            if left[segment, best] >= threshold:
                hits[row, segment] = True
                left[:, best] = -1  # each action once
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
