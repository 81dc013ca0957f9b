"""Which repeated calls count as paid twice."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.torture.calls import CONCURRENCY, Call, CallLog, Stop

NONE: frozenset[str] = frozenset()


def paid_twice(
    *calls: tuple[str, str, float],
    at: float = 10.0,
    stored: frozenset[str] = NONE,
    ends: Mapping[str, float] | float = 10.0,
) -> int:
    """Count, for a builder "slow" that was stopped at `at`."""
    log = CallLog([Call(*call) for call in calls], [Stop("slow", at, stored, ends)])
    forgiven, wrong = log.repeated()
    assert forgiven + len(wrong) == len(calls) - len({messages for _, messages, _ in calls})
    return len(wrong)


def test_a_call_that_was_in_flight_when_its_builder_was_killed_is_forgiven_once() -> None:
    assert paid_twice(("slow", "a", 9), ("next", "a", 11)) == 0
    assert paid_twice(("slow", "a", 9), ("next", "a", 11), ("third", "a", 12)) == 1


@pytest.mark.parametrize(
    "calls",
    [
        [("next", "a", 11), ("third", "a", 12)],  # the one that was stopped had not asked it
        [("slow", "a", 8), ("slow", "a", 9)],  # by one builder
        [("slow", "a", 8), ("next", "a", 9)],  # before it was stopped
    ],
)
def test_a_repeat_that_no_stop_explains_is_paid_twice(calls: list[tuple[str, str, float]]) -> None:
    assert paid_twice(*calls) == 1


def test_a_call_whose_reply_was_stored_is_not_in_flight() -> None:
    assert paid_twice(("slow", "a", 9), ("next", "a", 11), stored=frozenset("a")) == 1


def test_a_builder_has_as_many_calls_in_flight_as_connections() -> None:
    names = [f"call {number}" for number in range(CONCURRENCY + 2)]
    calls = [(builder, name, at) for builder, at in (("slow", 9.0), ("next", 11.0)) for name in names]
    assert paid_twice(*calls) == 2


def test_the_claims_of_a_suspended_builder_are_taken_after_their_end() -> None:
    assert paid_twice(("slow", "a", 9), ("next", "a", 101), ends={"a": 100.0}) == 0
    assert paid_twice(("slow", "a", 9), ("next", "a", 99), ends={"a": 100.0}) == 1
    assert paid_twice(("slow", "a", 9), ("next", "a", 101), ends={}) == 1  # it held no claim


def test_a_builder_that_goes_on_makes_only_the_calls_that_it_was_about_to_make() -> None:
    ends = dict.fromkeys("abcdef", 100.0)
    assert paid_twice(("next", "a", 101), ("slow", "a", 120), ends=ends) == 0
    first = [("slow", name, 111.0) for name in "bcde"]
    assert paid_twice(("next", "a", 101), *first, ("slow", "a", 120), ends=ends) == 1
