"""Accuracies with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_Z95 = 1.959964  # two-sided 95% of the normal distribution
_RESAMPLES = 2000


@dataclass(frozen=True)
class Rate:
    """A share between 0 and 1 with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """How often the true class was ranked first, and among the first five; and the mean over classes of the first."""

    videos: int
    classes: int
    top1: Rate
    top5: Rate
    mean_per_class: Rate


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the rank, from 1, of each video's true class: int64 [V], of scores [V, C] and labels int64 [V].

    Ties count against the true class, so that a score that says nothing (all equal) earns nothing.
    """
    true = scores.gather(1, labels[:, None])  # [V, 1]
    return (scores >= true).sum(dim=1)


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


def wilson(hits: int, trials: int) -> Rate:
    """Return a share and its score interval (Wilson, JASA 22, 1927), which holds for few trials too."""
    share = hits / trials
    centre = share + _Z95**2 / (2 * trials)
    spread = _Z95 * sqrt(share * (1 - share) / trials + _Z95**2 / (4 * trials**2))
    scale = 1 + _Z95**2 / trials
    return Rate(share, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale))


def _mean_per_class(hit: Tensor, labels: Tensor) -> Rate:
    """Return the mean over the classes that have videos, with a percentile bootstrap interval over videos.

    Videos are drawn anew within their class (a stratified bootstrap: Efron & Tibshirani, 1993, chapter 8), so every
    class keeps its weight. A class of one video cannot vary: with few videos the interval is too narrow.
    """
    import torch

    classes, member = labels.unique(return_inverse=True)
    sizes = torch.bincount(member).double()  # [C]
    shares = torch.zeros(len(classes), dtype=torch.double).index_add(0, member, hit.double()) / sizes
    generator = torch.Generator().manual_seed(0)
    drawn = torch.binomial(sizes.expand(_RESAMPLES, -1), shares.expand(_RESAMPLES, -1), generator=generator)
    means = (drawn / sizes).mean(dim=1)  # [R]; hits of n draws from a class are binomial
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()
    return Rate(float(shares.mean()), low, high)
