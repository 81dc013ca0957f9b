"""Accuracies with their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


MEASURES = ("top1", "top5", "mean_per_class")
_Z95 = 1.959964  # two-sided 95% of the normal distribution


@dataclass(frozen=True)
class Rate:
    """A rate, 0 to 1, with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """How often the true class is ranked first (top1) or among the first five; top1 as the mean over classes."""

    videos: int
    classes: int
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


def accuracy(rank: Tensor, labels: Tensor) -> Accuracy:
    """Return the accuracies of ranks int64 [V] of videos with labels int64 [V]; V is at least 1."""
    hit1, hit5 = rank <= 1, rank <= 5
    return Accuracy(
        videos=len(rank),
        classes=len(labels.unique()),
        top1=wilson(int(hit1.sum()), len(rank)),
        top5=wilson(int(hit5.sum()), len(rank)),
        mean_per_class=_mean_per_class(hit1, labels),
    )


def log_loss(log_probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean over videos of -log of the true class's probability, of [V, C] and labels int64 [V]; in nats."""
    return 0.0 - float(log_probabilities.gather(1, labels[:, None]).mean())  # 0.0 - avoids -0.0


def wilson(hits: int, trials: int) -> Rate:
    """Return hits / trials and its score interval (Wilson, JASA 22, 1927), valid for few trials too."""
    rate = hits / trials
    centre = rate + _Z95**2 / (2 * trials)
    spread = _Z95 * sqrt(rate * (1 - rate) / trials + _Z95**2 / (4 * trials**2))
    scale = 1 + _Z95**2 / trials
    return Rate(rate, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def _mean_per_class(hit: Tensor, labels: Tensor) -> Rate:
    """Return the mean over the classes that have videos, with a normal interval.

    The variance is that of a mean of independent rates, each estimated with two added hits and two added misses
    (Agresti & Coull, The American Statistician 52, 1998), so that a class with one video does not look certain.
    """
    import torch

    _, member, videos = labels.unique(return_inverse=True, return_counts=True)  # [V], [C]
    hits = torch.zeros(len(videos), dtype=torch.double).index_add(0, member, hit.double())  # [C]
    centre = float((hits / videos).mean())
    smoothed = (hits + 2) / (videos + 4)
    spread = _Z95 * float((smoothed * (1 - smoothed) / (videos + 4)).sum().sqrt()) / len(videos)
    return Rate(centre, max(0.0, centre - spread), min(1.0, centre + spread))
