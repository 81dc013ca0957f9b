"""Measures of an order of videos by a score: average precision, risk and coverage, AUROC, FPR95; their intervals."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from recognizer.scoring.intervals import Flags, Floats, Indices, wilson
from recognizer.scoring.metrics import Rate

REPLICATES = 200  # of a bootstrap; enough for a standard error (Efron and Tibshirani, 1993, section 6.4)
_AT_ONCE = 20  # of them: 10 MB for 30,000 videos and each array
_Z95 = 1.959964  # two-sided 95% of the normal distribution
_KEPT = 0.95  # of the videos of the classes, in FPR95
_SAME = 1e-12  # a variance below it is zero


@dataclass(frozen=True)
class Order:
    """V videos in the order of a score, highest first. Videos of the same score are taken together.

    Attributes:
        rows: int64 [V], the videos by falling score.
        starts: int64 [V], the first place that has the score of each place.
        ends: int64 [V], the last such place.
    """

    rows: Indices
    starts: Indices
    ends: Indices

    @classmethod
    def of(cls, scores: ArrayLike) -> Order:
        """Return the order of scores [V]."""
        values = np.asarray(scores)
        rows = np.argsort(-values, kind="stable")
        _, first, group, size = np.unique(-values[rows], return_index=True, return_inverse=True, return_counts=True)
        return cls(rows, first[group], (first + size - 1)[group])

    @cached_property
    def ones(self) -> Floats:
        """The weights of videos that count once, [V]."""
        return np.ones(len(self.rows))

    def at_or_above(self, weights: Floats) -> Floats:
        """Return the sum of weights [..., V] over the videos whose score is at least that of each place, [..., V]."""
        return np.cumsum(weights[..., self.rows], axis=-1)[..., self.ends]

    def share_at_or_above(self, flags: Flags, weights: Floats) -> Floats:
        """Return the share of flagged videos [V] among those whose score is at least that of each place, [..., V].

        It is 0 where these have no weight.
        """
        every = self.at_or_above(weights)
        return np.divide(self.at_or_above(weights * flags), every, out=np.zeros_like(every), where=every > 0)


Measure = Callable[[Floats], Floats]
"""From weights of videos [..., V], how often each one is there, to values [...], 0 to 1; NaN where not defined."""


def average_precision(order: Order, positive: Flags) -> Measure:
    """Return the average precision of an order by a class's score; `positive` [V] are the videos of the class.

    AP = the mean over the positive videos of the precision among all videos that score at least as high. It is not
    interpolated: the AP of the authors of Charades (Sigurdsson et al., ECCV 2016) and of scikit-learn. Without a
    positive video it is NaN.
    """

    def measure(weights: Floats) -> Floats:
        own = (weights * positive)[..., order.rows]
        return _ratio((own * order.share_at_or_above(positive, weights)).sum(axis=-1), own.sum(axis=-1))

    return measure


def risk_coverage_area(order: Order, wrong: Flags) -> Measure:
    """Return AURC, the area below the risk-coverage curve (Geifman, Uziel and El-Yaniv, ICLR 2019).

    The mean over the videos of the risk, the share of wrong ones [V], among all that score at least as high. A score
    that knows nothing has the error rate of all videos; lower is better.
    """

    def measure(weights: Floats) -> Floats:
        every = weights[..., order.rows]
        return _ratio((every * order.share_at_or_above(wrong, weights)).sum(axis=-1), every.sum(axis=-1))

    return measure


def auroc(order: Order, known: Flags) -> Measure:
    """Return the probability that a known video [V] scores above one that is not; a tie counts half (Mann-Whitney)."""

    def measure(weights: Floats) -> Floats:
        above = order.at_or_above(weights * known)
        at = np.concatenate([np.zeros_like(above[..., :1]), above], axis=-1)[..., order.starts]  # strictly above
        other = (weights * ~known)[..., order.rows]
        pairs = (weights * known).sum(axis=-1) * other.sum(axis=-1)
        return _ratio((other * (above + at) / 2).sum(axis=-1), pairs)

    return measure


def false_positive_rate(order: Order, known: Flags) -> Measure:
    """Return FPR95: the share of videos that are not known [V] among those kept, where 95% of the known are kept."""

    def measure(weights: Floats) -> Floats:
        kept, total = order.at_or_above(weights * known), (weights * known).sum(axis=-1, keepdims=True)
        place = (kept >= _KEPT * total - _SAME).argmax(axis=-1)[..., None]
        false = np.take_along_axis(order.at_or_above(weights * ~known), place, axis=-1)[..., 0]
        return _ratio(false, (weights * ~known).sum(axis=-1))

    return measure


def _ratio(value: Floats, total: Floats) -> Floats:
    return np.divide(value, total, out=np.full_like(np.asarray(total), np.nan), where=np.asarray(total) > 0)


@dataclass(frozen=True)
class Resampling:
    """How videos are drawn again: groups of clips cut from one source as a whole, within each stratum.

    Attributes:
        groups: int64 [V], numbers from 0.
        strata: tuple of the groups of each stratum; as many are drawn from it as it has.
    """

    groups: Indices
    strata: tuple[Indices, ...]

    @classmethod
    def of(cls, groups: Sequence[Hashable], strata: Sequence[Hashable] | None = None) -> Resampling:
        """Return the resampling of V videos, by the group and the stratum of each; no stratum: all are of one."""
        of_video = list(zip(strata or [0] * len(groups), groups, strict=True))
        numbers: dict[Hashable, int] = {}
        own = np.array([numbers.setdefault(each, len(numbers)) for each in of_video])
        stratum = {number: key[0] for key, number in numbers.items()}  # type: ignore[index]
        members = {key: [n for n, of in stratum.items() if of == key] for key in dict.fromkeys(stratum.values())}
        return cls(own, tuple(map(np.array, members.values())))

    @property
    def count(self) -> int:
        """The number of groups."""
        return int(self.groups.max()) + 1

    def weights(self) -> Iterator[Floats]:
        """Yield how often each video is drawn, [n, V]: the same each time, `REPLICATES` rows in all."""
        random = np.random.default_rng(0)
        for first in range(0, REPLICATES, _AT_ONCE):
            rows = min(_AT_ONCE, REPLICATES - first)
            drawn = np.zeros((rows, self.count))
            for members in self.strata:
                drawn[:, members] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), size=rows)
            yield drawn[:, self.groups]


@dataclass(frozen=True)
class Estimate:
    """A measure of some videos, and of bootstrap replicates of them.

    Attributes:
        value: 0 to 1.
        replicates: [R]; those of two measures with the same resampling are of the same videos.
        units: number of groups that were drawn.
    """

    value: float
    replicates: Floats
    units: int

    @property
    def rate(self) -> Rate:
        """The value with its 95% interval: Wilson's, of as many videos as would give the bootstrap's variance.

        N = value (1 - value) / variance; the number of groups, if no replicate differs.
        """
        variance, spread = _variance(self.replicates), self.value * (1 - self.value)
        videos = max(1.0, spread / variance) if variance > _SAME else float(self.units)
        low, high = wilson(np.array(self.value), np.array(videos))
        return Rate(self.value, max(0.0, min(self.value, float(low))), min(1.0, max(self.value, float(high))))

    def minus(self, other: Estimate) -> Rate:
        """Return this minus another measure of the same videos: the value plus or minus 1.96 bootstrap deviations."""
        half = _Z95 * _variance(self.replicates - other.replicates) ** 0.5
        value = self.value - other.value
        return Rate(value, max(-1.0, value - half), min(1.0, value + half))


def _variance(replicates: Floats) -> float:
    defined = replicates[~np.isnan(replicates)]
    return float(defined.var(ddof=1)) if len(defined) > 1 else 0.0


def estimate(measures: Sequence[Measure], resampling: Resampling) -> Estimate:
    """Return the mean of the measures that are defined, of V videos; a replicate is the mean of those defined in it.

    At least one must be defined.
    """
    value = _mean(measures, np.ones(len(resampling.groups)))
    replicates = np.concatenate([_mean(measures, weights) for weights in resampling.weights()])
    return Estimate(float(value), replicates, resampling.count)


def _mean(measures: Sequence[Measure], weights: Floats) -> Floats:
    total, defined = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for measure in measures:
        value = measure(weights)
        total, defined = total + np.nan_to_num(value), defined + ~np.isnan(value)
    return _ratio(total, defined)
