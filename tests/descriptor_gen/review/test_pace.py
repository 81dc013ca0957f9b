"""The time that is left, on a clock of the test's own."""

from __future__ import annotations

from descriptor_gen.review.pace import Pace


def test_the_time_left_follows_the_median_gap_and_leaves_breaks_out() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    for gap in (0, 3, 3, 1000, 3, 9):  # the break is none of the gaps
        now[0] += gap
        pace.decided(1)
    assert pace.left(100) == ""  # four gaps say too little
    now[0] += 30
    pace.decided(10)  # three seconds for each
    assert pace.left(100) == ", about 5 minutes left"
    assert pace.left(10) == ", less than a minute left"
    assert pace.left(6000) == ", about 5.0 hours left"
    assert pace.left(0) == ""
