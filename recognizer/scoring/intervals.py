"""95% intervals of rates and of paired differences, and tests of these; docs/protocols.md has their coverage.

Videos come in classes, and in some datasets in groups of clips that were cut from one source.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Indices = NDArray[np.integer[Any]]

_Z95 = 1.959964  # two-sided 95% of the normal distribution
_PRIOR = 3  # units of all classes that are added to those of one class, to smooth its variance
_ROUNDING = 1e-12  # a variance below it is zero
_HALVINGS = 50  # of an interval of width 2, to the precision of a double


@dataclass(frozen=True)
class Design:
    """V videos of a test set: how much each one counts, its class, and the group of clips that it was cut with.

    The classes and their shares are fixed; the groups of a class are a sample of what could have been filmed.

    Attributes:
        weights: [V], above 0; only their ratios matter.
        classes: [V], numbers from 0.
        groups: [V], numbers from 0; no two classes share one. Without groups, every video is one of its own.
    """

    weights: Floats
    classes: Indices
    groups: Indices

    @classmethod
    def of(
        cls, classes: Sequence[Hashable], groups: Sequence[Hashable] | None = None, *, by_class: bool = False
    ) -> Design:
        """Return the design of the mean over videos, or of the mean over classes of their means (`by_class`)."""
        numbers = _numbered(classes)
        weights = 1 / np.bincount(numbers)[numbers] if by_class else np.ones(len(numbers))
        own = range(len(numbers)) if groups is None else groups
        return cls(weights, numbers, _numbered(list(zip(numbers.tolist(), own, strict=True))))

    @property
    def video_count(self) -> int:
        """How many videos there are."""
        return len(self.classes)

    @property
    def class_count(self) -> int:
        """How many classes have videos."""
        return int(self.classes.max()) + 1

    @property
    def group_count(self) -> int:
        """How many groups there are: as many as videos, if no two were cut from one source."""
        return int(self.groups.max()) + 1

    def mean(self, values: Floats | Flags) -> Floats:
        """Return the weighted mean [...] of values [..., V]."""
        mean: Floats = (values * self.weights).sum(axis=-1) / self.weights.sum()
        return mean

    def effective_videos(self, values: Floats) -> Floats:
        """Return how many independent videos of one class would give the mean of values as exactly as these do.

        It is the variance of one value over the variance of the mean (Kish, Survey Sampling, 1965). Clips of a group
        are alike, which makes it smaller; classes of different rates make it larger, because their shares are fixed.
        Groups never make it larger. The factor for few groups is between none and that of Student's t.

        Args:
            values: [..., V], -1 to 1.

        Returns:
            [...]; if all values are equal, the number of groups (fewer, if these have different weights).
        """
        videos, groups, mean = len(self.weights), self.group_count, self.mean(values)[..., None]
        spread = self.mean((values - mean) ** 2)
        variance = self._variance(values, mean, self._videos)
        if 1 < groups < videos:
            few = 1 + 2 * (1 - groups / videos) / (groups - 1)
            variance = np.maximum(variance, few * self._variance(values, mean, self._groups))
        known = (spread > _ROUNDING) & (groups > 1)
        group_weights = np.bincount(self.groups, self.weights)
        alike = group_weights.sum() ** 2 / (group_weights**2).sum()
        return np.where(known, spread / np.where(known, variance, 1), alike)

    @cached_property
    def _videos(self) -> _Units:
        return _Units.of(self, np.arange(len(self.weights)))

    @cached_property
    def _groups(self) -> _Units:
        return _Units.of(self, self.groups)

    def _variance(self, values: Floats, mean: Floats, units: _Units) -> Floats:
        """Return the variance of the mean [...], with units (videos or groups) drawn independently in each class.

        The mean of a class of n units has the variance (s + t / n) / n. s is the variance of its units; t is that of
        its units together with `_PRIOR` units drawn from all classes. So a class of one unit does not look certain,
        and the more units a class has, the less do the others count.

        Args:
            values: [..., V].
            mean: [..., 1], of the values.
            units: the units that are drawn.
        """
        order, first, weights, starts = units.order, units.first, units.weights, units.starts
        means = np.add.reduceat((values * self.weights)[..., order], first, axis=-1) / weights  # [..., U]
        sizes, squares, count = units.sizes, units.squares, units.count
        centre = np.add.reduceat(means * weights, starts, axis=-1) / units.of_class  # [..., C]
        own = np.add.reduceat(((means - np.repeat(centre, sizes, axis=-1)) * weights) ** 2, starts, axis=-1) / squares
        every = ((means - mean) ** 2).mean(axis=-1, keepdims=True)
        total = count + _PRIOR
        mixed = (count * own + _PRIOR * every) / total + count * _PRIOR * ((centre - mean) / total) ** 2
        variance: Floats = (squares * (own + mixed / count)).sum(axis=-1) / self.weights.sum() ** 2
        return variance


@dataclass(frozen=True)
class _Units:
    """Videos, or groups of them, by class: U units of C classes. They are found once for all values of a design."""

    order: Indices  # [V], the videos by class and unit
    first: Indices  # [U], where each unit begins in that order
    weights: Floats  # [U]
    starts: Indices  # [C], where the units of each class begin
    sizes: Indices  # [C], number of units
    squares: Floats  # [C], sum of the squared weights of its units
    of_class: Floats  # [C], weight
    count: Floats  # [C], units; fewer if their weights differ

    @classmethod
    def of(cls, design: Design, unit: Indices) -> _Units:
        """Return the units of a design; `unit` [V] is that of each video."""
        order = np.lexsort((unit, design.classes))
        first = _starts(unit[order])
        weights = np.add.reduceat(design.weights[order], first)
        starts = _starts(design.classes[order][first])
        squares, of_class = np.add.reduceat(weights**2, starts), np.add.reduceat(weights, starts)
        sizes = np.diff(starts, append=len(weights))
        return cls(order, first, weights, starts, sizes, squares, of_class, of_class**2 / squares)


def rate_interval(hits: Floats, design: Design) -> tuple[Floats, Floats]:
    """Return the 95% interval [...] of the mean of hits [..., V], 0 or 1: Wilson's, for the effective videos."""
    return wilson(design.mean(hits), design.effective_videos(hits))


def difference_interval(changes: Floats, design: Design) -> tuple[Floats, Floats]:
    """Return the 95% interval [...] of the mean of changes [..., V], 1 (gained), -1 (lost) or 0: Tango's, likewise."""
    return tango(*_shares(changes, design))


def difference_intervals(pairs: Sequence[tuple[Floats, Design]]) -> tuple[Floats, Floats]:
    """Return the interval of each of P (changes [..., V], design), as `difference_interval` does: [P, ...]."""
    gained, lost, videos = np.swapaxes([_shares(changes, design) for changes, design in pairs], 0, 1)
    return tango(gained, lost, videos)


def _shares(changes: Floats, design: Design) -> tuple[Floats, Floats, Floats]:
    """Return the shares of gained and of lost videos [...], and the effective videos [...], of changes [..., V]."""
    return design.mean(changes > 0), design.mean(changes < 0), design.effective_videos(changes)


def wilson(rate: Floats, videos: Floats) -> tuple[Floats, Floats]:
    """Return the score interval [...] of a rate over independent videos (Wilson, JASA 22, 1927)."""
    centre = rate + _Z95**2 / (2 * videos)
    spread = _Z95 * np.sqrt(rate * (1 - rate) / videos + _Z95**2 / (4 * videos**2))
    scale = 1 + _Z95**2 / videos
    return (centre - spread) / scale, (centre + spread) / scale


def newcombe(area: Floats, positive: Floats, negative: Floats, *, z: float = _Z95) -> tuple[Floats, Floats]:
    """Return the score-like interval [...] of an AUROC (Newcombe, Stat. in Med. 25, 2006, part 2, method 5).

    An area is inside if the observed one is at most z of its standard errors away; the error is that of Hanley and
    McNeil (Radiology 143, 1982) with the mean of both numbers for each. It holds for few items too, and for areas of 0
    and 1. The limits are found by bisection.

    Args:
        area: 0 to 1.
        positive, negative: numbers of independent items of both sides, at least 1.
        z: quantile of the normal distribution.
    """
    half = (positive + negative) / 2 - 1

    def outside(true: Floats) -> Flags:
        spread = true * (1 - true) * (1 + half * (1 - true) / (2 - true) + half * true / (1 + true))
        result: Flags = (area - true) ** 2 > z**2 * spread / (positive * negative)
        return result

    return _bisect(outside, area, np.zeros_like(area)), _bisect(outside, area, np.ones_like(area))


def tango(gained: Floats, lost: Floats, videos: Floats) -> tuple[Floats, Floats]:
    """Return the score interval [...] of gained - lost, shares of independent videos (Tango, Stat. in Med. 17, 1998).

    A difference is inside if its score statistic, with the share of lost videos that is most likely under it, is at
    most the 95% quantile. The limits are found by bisection.
    """

    def outside(difference: Floats) -> Flags:
        b = (2 - gained + lost) * difference - gained - lost
        likely = (np.sqrt((b**2 + 8 * lost * difference * (1 - difference)).clip(min=0)) - b) / 4
        variance = (2 * likely + difference * (1 - difference)) / videos
        result: Flags = (gained - lost - difference) ** 2 > _Z95**2 * variance
        return result

    observed = gained - lost
    both = np.stack([observed, observed])
    low, high = _bisect(outside, both, np.stack([-np.ones_like(observed), np.ones_like(observed)]))
    return low, high


def _bisect(outside: Callable[[Floats], Flags], inner: Floats, outer: Floats) -> Floats:
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        is_outside = outside(middle)
        inner, outer = np.where(is_outside, inner, middle), np.where(is_outside, middle, outer)
    return inner


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p of McNemar's exact test (1947): a binomial test with p = 1/2 on the differing pairs.

    Computed with integers, and so exact for counts of any size.
    """
    pairs, fewer = gained + lost, min(gained, lost)
    combinations = tail = 1
    for k in range(fewer):
        combinations = combinations * (pairs - k) // (k + 1)  # pairs over k + 1
        tail += combinations
    return min(1.0, 2 * tail / (1 << pairs))


def sign_flip(changes: Sequence[int]) -> float:
    """Return the two-sided p of Fisher's sign-flip test (1935): how often a sum of these changes is as far from 0.

    Each change has either sign with p = 1/2. With changes of 1 and -1 alone, this is McNemar's exact test.

    Args:
        changes: gained minus lost videos of each independent group.
    """
    sizes = [abs(change) for change in changes if change]
    chances = np.ones(1)  # of each sum, from -total to total
    for size in sizes:
        chances = (np.pad(chances, (2 * size, 0)) + np.pad(chances, (0, 2 * size))) / 2
    distance = np.abs(np.arange(len(chances)) - sum(sizes))
    return min(1.0, float(chances[distance >= abs(sum(changes))].sum()))


def _numbered(values: Sequence[Hashable]) -> Indices:
    """Return the number of each distinct value, from 0 in order of appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values])


def _starts(numbers: Indices) -> Indices:
    """Return where each run of equal numbers, 0 or more, begins."""
    return np.flatnonzero(np.diff(numbers, prepend=-1))
