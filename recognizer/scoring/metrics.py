"""Accuracies with their uncertainty."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from recognizer.scoring.intervals import Design, Flags, Floats, difference_interval, difference_intervals, rate_interval

if TYPE_CHECKING:
    from torch import Tensor


MEASURES = ("top1", "top5", "mean_per_class")
_WITHIN = {"top1": 1, "top5": 5, "mean_per_class": 1}  # a rank up to this one is right


@dataclass(frozen=True)
class Rate:
    """A rate, 0 to 1, or a difference of rates, -1 to 1, with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """How often the true class is ranked first (top1) or among the first five; top1 as the mean over classes.

    Intervals are over `groups` of clips cut from one source; as many as videos, if no groups are known.
    """

    videos: int
    classes: int
    groups: int
    top1: Rate
    top5: Rate
    mean_per_class: Rate


@dataclass(frozen=True)
class Gain:
    """The difference of two accuracies on the same videos, the second minus the first."""

    top1: Rate
    top5: Rate
    mean_per_class: Rate


@dataclass(frozen=True)
class Spread:
    """The mean of a rate over several splits or runs, and its sample standard deviation (n - 1)."""

    mean: float
    deviation: float


def over_splits(accuracies: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Spread]]:
    """Return the spread of each measure over at least two splits or runs, for each row of the results."""
    values = {row: {key: [rows[row][key]["value"] for rows in accuracies] for key in MEASURES} for row in accuracies[0]}
    return {row: {key: Spread(mean(v), stdev(v)) for key, v in columns.items()} for row, columns in values.items()}


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the rank, from 1, of each video's true class: int64 [V], of scores [V, C] and labels int64 [V].

    Ties count against the true class, so that useless scores (all equal, or NaN) earn nothing.
    """
    true = scores.gather(1, labels[:, None])  # [V, 1]
    return (~(scores < true)).sum(dim=1)


def margins(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the score of the true class minus the best other, [V, 1]; a tie is wrong, as in `ranks`."""
    import torch

    true = labels[:, None]
    return scores.gather(1, true) - scores.scatter(1, true, -torch.inf).amax(dim=1, keepdim=True)


def accuracy(rank: ArrayLike, labels: ArrayLike, groups: Sequence[Hashable] | None = None) -> Accuracy:
    """Return the accuracies of ranks.

    Args:
        rank: int [V], of the true class of each video, from 1; V is at least 1.
        labels: int [V], of the true class.
        groups: [V], the source that each video was cut from; None takes videos as independent.
    """
    return accuracies(np.asarray(rank)[None], labels, groups)[0]


def accuracies(rank: ArrayLike, labels: ArrayLike, groups: Sequence[Hashable] | None = None) -> list[Accuracy]:
    """Return the accuracies of each row of ranks [R, V] of the same videos; others as in `accuracy`."""
    designs = _designs(labels, groups)
    columns = [_rates(np.asarray(rank) <= _WITHIN[key], design) for key, design in designs.items()]
    counts = designs["top1"].video_count, designs["top1"].class_count, designs["top1"].group_count
    return [Accuracy(*counts, **dict(zip(designs, rates, strict=True))) for rates in zip(*columns, strict=True)]


def gain(before: ArrayLike, after: ArrayLike, labels: ArrayLike, groups: Sequence[Hashable] | None = None) -> Gain:
    """Return the difference of the accuracies of two sets of ranks [V] of the same videos; others as in `accuracy`."""
    return gains(np.asarray(before)[None], np.asarray(after)[None], labels, groups)[0]


def gains(
    before: ArrayLike, after: ArrayLike, labels: ArrayLike, groups: Sequence[Hashable] | None = None
) -> list[Gain]:
    """Return the gain of each pair of rows of ranks [R, V] of the same videos; others as in `accuracy`."""
    first, second = np.asarray(before), np.asarray(after)
    designs = _designs(labels, groups)
    changes = [_changes(first <= _WITHIN[key], second <= _WITHIN[key]) for key in designs]
    low, high = difference_intervals(list(zip(changes, designs.values(), strict=True)))  # [3, R]
    means = [design.mean(rows) for rows, design in zip(changes, designs.values(), strict=True)]
    columns = [_as_rates(*values) for values in zip(means, low, high, strict=True)]
    return [Gain(**dict(zip(designs, rates, strict=True))) for rates in zip(*columns, strict=True)]


def rate(hit: Flags, design: Design) -> Rate:
    """Return the mean of hits [V] with its interval (see `rate_interval`)."""
    return _rates(hit[None], design)[0]


def _rates(hits: Flags, design: Design) -> list[Rate]:
    """Return the mean of each row of hits [R, V] with its interval."""
    values = design.mean(hits)
    low, high = rate_interval(hits.astype(float), design)
    return _as_rates(values, np.minimum(values, low).clip(min=0), np.maximum(values, high).clip(max=1))


def _as_rates(*columns: Floats) -> list[Rate]:
    return [Rate(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def difference(first: Flags, second: Flags, design: Design) -> Rate:
    """Return the mean of second - first, hits [V] each, with its interval (see `difference_interval`)."""
    changes = _changes(first, second)
    low, high = difference_interval(changes, design)
    return Rate(float(design.mean(changes)), float(low), float(high))


def _changes(first: Flags, second: Flags) -> Floats:
    changes: Floats = second.astype(float) - first
    return changes


def log_loss(log_probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean over videos of -log of the true class's probability, of [V, C] and labels int64 [V]; in nats."""
    return 0.0 - float(log_probabilities.gather(1, labels[:, None]).mean())  # 0.0 - avoids -0.0


def _designs(labels: ArrayLike, groups: Sequence[Hashable] | None) -> Mapping[str, Design]:
    return _cached_designs(tuple(np.asarray(labels).tolist()), None if groups is None else tuple(groups))


@lru_cache(maxsize=16)  # a sweep asks for the same videos in each of its runs
def _cached_designs(classes: tuple[int, ...], groups: tuple[Hashable, ...] | None) -> Mapping[str, Design]:
    return {key: Design.of(classes, groups, by_class=key == "mean_per_class") for key in MEASURES}
