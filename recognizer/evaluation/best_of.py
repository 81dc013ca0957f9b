"""The best of many evaluations on the same videos: corrected p-values, and what it is worth on other videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recognizer.scoring.intervals import Flags, Floats, Indices

_FLIPS = 4999  # random changes of sign
_AT_ONCE = 500  # of them: 60 MB for 30,000 groups
_HALVES = 200  # random halves of the videos


@dataclass(frozen=True)
class Elsewhere:
    """How the evaluation that is best on one half of the videos does on the other; means over random halves.

    Attributes:
        halves: how often the videos were divided.
        here: its top-1 on the half that chose it.
        top1: its top-1 on the other half.
        gain: `top1` minus that of the labels alone, on the other half.
        deviation: of the gain, over the halves.
    """

    halves: int
    here: float
    top1: float
    gain: float
    deviation: float


def corrected_p(before: Flags, after: Flags, groups: Indices, *, seed: int = 0) -> list[float]:
    """Return, for each of N evaluations, p of `descriptors are no better than labels`, corrected for trying N.

    One-sided, by the largest gain: each group of clips changes the sign of all its differences at once, in all
    evaluations, and p is the share of such changes in which the largest gain of all N is at least the evaluation's own
    (Westfall and Young, Resampling-Based Multiple Testing, 1993: single-step maxT). The data themselves count as one
    change, so that p is at least 1 / 5000.

    Args:
        before: [N, V], whether a video is right by the labels alone.
        after: [N, V], whether it is right with descriptors.
        groups: [V], numbers from 0, of clips cut from one source.
        seed: of the changes of sign.
    """
    changes = after.astype(float) - before
    sums = np.stack([np.bincount(groups, row) for row in changes], axis=1)  # [G, N]
    random = np.random.default_rng(seed)
    whole, rest = divmod(_FLIPS, _AT_ONCE)
    counts = (*[_AT_ONCE] * whole, rest)
    largest = np.concatenate([_largest_gains(sums.astype(np.float32), count, random) for count in counts])
    own = sums.sum(axis=0)
    return ((1 + (largest[:, None] >= own - 0.5).sum(axis=0)) / (_FLIPS + 1)).tolist()  # type: ignore[no-any-return]


def _largest_gains(sums: Floats, count: int, random: np.random.Generator) -> Floats:
    """Return the largest gain [count] of sums [G, N] under random changes of sign of rows; whole sums are exact."""
    signs = random.integers(0, 2, size=(count, len(sums)), dtype=np.int8) * 2 - 1
    largest: Floats = (signs.astype(np.float32) @ sums).max(axis=1)
    return largest


def elsewhere(before: Flags, after: Flags, groups: Indices, *, seed: int = 0) -> Elsewhere | None:
    """Return what the best of N evaluations is worth on videos that did not choose it; None with a single group.

    Arguments as in `corrected_p`. Halves are of groups; of evaluations with the same top-1, the first is chosen.
    """
    count, random = int(groups.max()) + 1, np.random.default_rng(seed)
    if count < 2:
        return None
    flags = np.zeros((_HALVES, count), np.float32)
    np.put_along_axis(flags, np.stack([random.permutation(count) for _ in range(_HALVES)])[:, : count // 2], 1, axis=1)
    flags = flags[:, groups]  # [halves, V]: whether a video is in the half; sums of so few are exact
    size, halves = flags.sum(axis=1).astype(float), np.arange(_HALVES)
    right = (flags @ after.T.astype(np.float32)).astype(float)  # [halves, N] of the videos in the half
    best = right.argmax(axis=1)
    by_labels = (flags @ before.T.astype(np.float32)).astype(float)[halves, best]
    here, rest = right[halves, best], len(groups) - size
    top1 = (after.sum(axis=1)[best] - here) / rest
    gain = top1 - (before.sum(axis=1)[best] - by_labels) / rest
    return Elsewhere(
        _HALVES, float((here / size).mean()), float(top1.mean()), float(gain.mean()), float(gain.std(ddof=1))
    )
