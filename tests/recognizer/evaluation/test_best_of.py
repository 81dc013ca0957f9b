"""The best of many evaluations: its corrected p, and its worth on other videos, in worlds of known truth."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from recognizer.evaluation.best_of import corrected_p, elsewhere
from recognizer.scoring.intervals import Flags


def chance(seed: int, *, evaluations: int, groups: int, clips: int = 1, better: float = 0.0) -> tuple[Flags, Flags]:
    """Return hits [N, V] by labels and with descriptors: equally good but for the first, which is `better`.

    The clips of a group are right or wrong together.
    """
    random = np.random.default_rng(seed)
    rates = np.full((evaluations, 1), 0.5)
    rates[0] += better
    before = np.repeat(random.random((1, groups)) < 0.5, evaluations, axis=0)
    return np.repeat(before, clips, axis=1), np.repeat(random.random((evaluations, groups)) < rates, clips, axis=1)


@pytest.mark.parametrize("clips", [1, 4])
def test_of_many_that_are_no_better_one_looks_better_in_five_of_a_hundred_worlds(clips: int) -> None:
    groups = np.repeat(np.arange(60), clips)
    lowest = [min(corrected_p(*chance(seed, evaluations=20, groups=60, clips=clips), groups)) for seed in range(200)]
    assert 2 <= sum(p <= 0.05 for p in lowest) <= 19  # 10 expected, 3 deviations about it


def test_p_is_that_of_all_changes_of_sign() -> None:
    before, after = chance(3, evaluations=3, groups=8)
    changes = after.astype(int) - before
    largest = [max(row @ signs for row in changes) for signs in product((-1, 1), repeat=8)]
    for p, row in zip(corrected_p(before, after, np.arange(8)), changes, strict=True):
        assert p == pytest.approx(np.mean([value >= row.sum() for value in largest]), abs=0.03)


def test_a_gain_that_is_there_is_found_and_is_not_shrunk() -> None:
    before, after = chance(1, evaluations=20, groups=400, better=0.25)
    assert corrected_p(before, after, np.arange(400))[0] < 0.001
    worth = elsewhere(before, after, np.arange(400))
    assert worth is not None
    assert worth.top1 == pytest.approx(after[0].mean(), abs=0.005)
    assert worth.gain == pytest.approx(after[0].mean() - before[0].mean(), abs=0.005)


def test_the_best_of_equals_is_worth_the_mean_elsewhere() -> None:
    worths = [elsewhere(*chance(seed, evaluations=40, groups=100), np.arange(100)) for seed in range(20)]
    here, there = (np.mean([getattr(worth, name) for worth in worths]) for name in ("here", "top1"))
    assert here > 0.58  # the best of 40 on 50 videos: 0.5 and about two deviations of 0.07
    assert there == pytest.approx(0.5, abs=0.03)


def test_one_group_cannot_be_divided() -> None:
    before, after = chance(0, evaluations=2, groups=1, clips=5)
    assert elsewhere(before, after, np.zeros(5, int)) is None
