"""The order of a confusion matrix, and what a video counts as taken for."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.records import Prediction
from recognizer.report.confusion import LEVELS, by_likeness, level, predicted

PAIRS = list(combinations(range(8), 2))


@given(st.dictionaries(st.sampled_from(PAIRS), st.floats(0.01, 1)))
def test_every_class_has_one_place_and_the_most_alike_stand_side_by_side(
    likeness: dict[tuple[int, int], float],
) -> None:
    order = by_likeness(range(8), likeness)
    assert sorted(order) == list(range(8))
    if likeness:
        a, b = min(likeness, key=lambda pair: (-likeness[pair], pair))
        assert abs(order.index(a) - order.index(b)) == 1
    assert order == by_likeness(range(8), dict(reversed(likeness.items())))


def test_groups_become_blocks() -> None:
    """Two groups that are confused among themselves, dealt out over the labels in turn."""
    groups = [(0, 2, 4, 6), (1, 3, 5, 7)]
    likeness = {pair: 0.1 for group in groups for pair in combinations(group, 2)}
    order = by_likeness(range(8), {**likeness, (0, 1): 0.01})
    assert {frozenset(order[:4]), frozenset(order[4:])} == {frozenset(group) for group in groups}
    assert by_likeness(range(8), {}) == list(range(8))


@pytest.mark.parametrize(
    ("label", "rank", "taken"),
    [(3, 1, 3), (5, 2, 3), (3, 2, 5), (9, 40, 3)],  # the third: a tie, which counts against the true class
)
def test_what_a_video_was_taken_for(label: int, rank: int, taken: int) -> None:
    assert predicted(Prediction("v", label, ((3, 0.5), (5, 0.5), (1, 0.2)), rank, 1)) == taken


def test_shares_have_levels() -> None:
    assert [level(share) for share in (0.001, *LEVELS)] == [1, 1, 2, 3, 4, 5, 6, 7]
    assert level(0.0501) == 2
