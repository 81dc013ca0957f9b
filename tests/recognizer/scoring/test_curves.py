"""Average precision, risk and coverage, AUROC and FPR95 against plain loops; the coverage of their intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from recognizer.scoring.curves import (
    Estimate,
    Measure,
    Order,
    Resampling,
    auroc,
    average_precision,
    estimate,
    false_positive_rate,
    risk_coverage_area,
)
from recognizer.scoring.intervals import Flags, Floats


def cases() -> Iterator[tuple[Floats, Flags]]:
    """Yield scores, many of them equal, and flags."""
    random = np.random.default_rng(0)
    for videos in (2, 5, 40):
        for _ in range(10):
            flags = random.random(videos) < 0.4
            flags[:2] = True, False
            yield random.integers(0, 12, videos) / 7, flags


def plain_average_precision(scores: Floats, positive: Flags) -> float:
    """The sum over thresholds of (recall - recall before) precision."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        kept = scores >= threshold
        recall = (positive & kept).sum() / positive.sum()
        total += (recall - before) * (positive & kept).sum() / kept.sum()
        before = recall
    return float(total)


def plain_risk_coverage_area(scores: Floats, wrong: Flags) -> float:
    return float(np.mean([wrong[scores >= score].mean() for score in scores]))


def plain_auroc(scores: Floats, known: Flags) -> float:
    pairs = [(one > other) + (one == other) / 2 for one in scores[known] for other in scores[~known]]
    return float(np.mean(pairs))


def plain_false_positive_rate(scores: Floats, known: Flags) -> float:
    thresholds = [t for t in scores if (scores[known] >= t).mean() >= 0.95]
    return float((scores[~known] >= max(thresholds)).mean())


PAIRS: dict[Callable[[Order, Flags], Measure], Callable[[Floats, Flags], float]] = {
    average_precision: plain_average_precision,
    risk_coverage_area: plain_risk_coverage_area,
    auroc: plain_auroc,
    false_positive_rate: plain_false_positive_rate,
}


@pytest.mark.parametrize("fast", PAIRS, ids=lambda measure: measure.__name__)
def test_measures_are_those_of_a_plain_loop(fast: Callable[[Order, Flags], Measure]) -> None:
    for scores, flags in cases():
        once = fast(Order.of(scores), flags)(np.ones(len(scores)))
        assert float(once) == pytest.approx(PAIRS[fast](scores, flags))


@pytest.mark.parametrize("fast", PAIRS, ids=lambda measure: measure.__name__)
def test_a_weight_is_how_often_a_video_is_there(fast: Callable[[Order, Flags], Measure]) -> None:
    random = np.random.default_rng(1)
    for scores, flags in cases():
        weights = random.integers(0, 4, (3, len(scores)))
        weights[:, :2] = 1  # a flagged video and another
        values = fast(Order.of(scores), flags)(weights.astype(float))
        for value, counts in zip(values.tolist(), weights, strict=True):
            assert value == pytest.approx(PAIRS[fast](np.repeat(scores, counts), np.repeat(flags, counts)))


def test_known_values() -> None:
    order, ones = Order.of([4.0, 3.0, 2.0, 1.0]), np.ones(4)
    flags = np.array([True, False, True, False])
    assert float(average_precision(order, flags)(ones)) == pytest.approx((1 + 2 / 3) / 2)
    assert float(risk_coverage_area(order, ~flags)(ones)) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert float(auroc(order, flags)(ones)) == 0.75
    assert float(false_positive_rate(order, flags)(ones)) == 0.5
    assert np.isnan(average_precision(order, np.zeros(4, dtype=bool))(ones))


def test_groups_are_drawn_as_a_whole_and_strata_keep_their_size() -> None:
    groups, strata = ["a", "a", "b", "c", "d", "d"], [0, 0, 0, 1, 1, 1]
    weights = np.concatenate(list(Resampling.of(groups, strata).weights()))
    assert len(weights) == 200
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, [0, 2]].sum(axis=1) == 2).all()
    assert (weights[:, [3, 4]].sum(axis=1) == 2).all()
    assert set(weights[:, 0]) == {0, 1, 2}


def test_a_measure_that_cannot_vary_still_has_an_interval() -> None:
    perfect = estimate([auroc(Order.of([2, 2, 1, 1]), np.array([True, True, False, False]))], Resampling.of(range(4)))
    assert perfect.rate.value == 1
    assert perfect.rate.low == pytest.approx(1 / (1 + 1.959964**2 / 4))  # Wilson's for 4 of 4
    same = perfect.minus(perfect)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def holds(make: Callable[[], Estimate], truth: float, *, times: int = 150) -> float:
    """Return how often the interval holds the truth."""
    rates = [make().rate for _ in range(times)]
    return sum(rate.low <= truth <= rate.high for rate in rates) / times


def test_intervals_hold_the_value_that_videos_in_the_same_number_give() -> None:
    """For mAP that is not the value of infinitely many: with few positive videos AP is higher (docs/protocols.md)."""
    random, classes, videos = np.random.default_rng(2), 10, 100
    signal = np.linspace(0.3, 2.5, classes)

    def measures() -> list[Measure]:
        truth = random.random((videos, classes)) < 0.2
        scores = random.normal(size=(videos, classes)) + signal * truth
        return [average_precision(Order.of(scores[:, c]), truth[:, c]) for c in range(classes)]

    expected = float(np.mean([m(np.ones(videos)) for _ in range(300) for m in measures()]))
    assert holds(lambda: estimate(measures(), Resampling.of(range(videos))), expected) >= 0.89

    def risk() -> Measure:
        scores = random.normal(size=videos)
        return risk_coverage_area(Order.of(scores), random.random(videos) < 1 / (1 + np.exp(1.5 * scores)))

    expected = float(np.mean([risk()(np.ones(videos)) for _ in range(2000)]))
    assert holds(lambda: estimate([risk()], Resampling.of(range(videos))), expected) >= 0.89

    def separation() -> Measure:
        known = np.arange(videos) < 70
        return auroc(Order.of(random.normal(size=videos) + known), known)

    expected = float(np.mean([separation()(np.ones(videos)) for _ in range(2000)]))
    strata = (np.arange(videos) < 70).tolist()
    assert holds(lambda: estimate([separation()], Resampling.of(range(videos), strata)), expected) >= 0.89
