"""Intervals and tests: against published examples, against counting all cases, and their coverage by simulation.

Coverage is how often an interval holds the truth that the videos were drawn from, over seeded simulations. The goal is
93 to 98%. The hits of few videos take few values, so coverage jumps with the truth (Brown, Cai & DasGupta, Statistical
Science 16, 2001): it is averaged over truths near each value. Rare changes are the exception: if hardly a video
changes, an interval must be wide, and holds the truth more often.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognizer.scoring.intervals import (
    Design,
    Floats,
    Indices,
    difference_interval,
    mcnemar,
    rate_interval,
    sign_flip,
    tango,
    wilson,
)

Intervals = tuple[Floats, Floats]
Random = np.random.Generator


@pytest.mark.parametrize(
    ("hits", "videos", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson(hits: int, videos: int, low: float, high: float) -> None:
    """The last row is the example of Newcombe (Statistics in Medicine 17, 1998)."""
    found = wilson(np.array(hits / videos), np.array(videos))
    assert found == pytest.approx((low, high), abs=5e-5)
    design = Design.of(["one class"] * videos)
    exact = rate_interval(np.repeat([1.0, 0.0], [hits, videos - hits]), design)
    assert exact[1] - exact[0] == pytest.approx(high - low, rel=0.05), "one class: nearly Wilson's own"


@pytest.mark.parametrize(
    ("gained", "lost", "pairs", "low", "high", "digits"),
    [
        (1, 7, 21, -0.517, -0.026, 3),  # Bentur et al., 2009; Fagerland, Lydersen & Laake, BMC Med. Res. Meth. 14, 2014
        (6, 16, 161, -0.1240, -0.0054, 4),  # Cavo et al., 2012; in the book by the same authors, 2017, chapter 8
        (60, 20, 1000, 0.0231, 0.0584, 4),  # PropCIs::scoreci.mp(20, 60, 1000, 0.95) of R
        (20, 60, 1000, -0.0584, -0.0231, 4),
    ],
)
def test_tango_of_published_examples(gained: int, lost: int, pairs: int, low: float, high: float, digits: int) -> None:
    found = tango(np.array(gained / pairs), np.array(lost / pairs), np.array(pairs))
    assert [round(float(limit), digits) for limit in found] == [low, high]


@pytest.mark.parametrize(("gained", "lost", "pairs"), [(3, 1, 11), (0, 4, 30), (9, 9, 50), (0, 0, 11), (11, 0, 11)])
def test_tango_is_the_score_test_turned_around(gained: int, lost: int, pairs: int) -> None:
    """At a limit the score statistic is 1.96; the likelihood is maximised by trying 200,000 shares."""

    def statistic(difference: float) -> float:
        share = np.linspace(max(0.0, -difference), (1 - difference) / 2, 200_001)[1:-1]  # of lost videos
        with np.errstate(divide="ignore"):
            terms = ((gained, share + difference), (lost, share), (pairs - gained - lost, 1 - 2 * share - difference))
            likelihood = sum(count * np.log(chance) for count, chance in terms if count)
        best = float(share[np.argmax(likelihood)])
        return abs(gained - lost - pairs * difference) / math.sqrt(pairs * (2 * best + difference * (1 - difference)))

    limits = tango(np.array(gained / pairs), np.array(lost / pairs), np.array(float(pairs)))
    for limit in limits:
        assert abs(limit) > 0.999999 or statistic(float(limit)) == pytest.approx(1.96, abs=2e-3)


def test_no_change_is_not_certain() -> None:
    """With b = c = 0 the score equation is n d / (1 - d) = z^2."""
    design = Design.of(list("aabbbccdddd"))
    low, high = difference_interval(np.zeros(11), design)
    assert (-low, high) == (pytest.approx(1.959964**2 / (11 + 1.959964**2)),) * 2
    clips = Design.of(list("aabbbccdddd"), [1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 4])
    assert difference_interval(np.zeros(11), clips)[1] > 1.959964**2 / (4.5 + 1.959964**2), "four groups, not 11 videos"
    assert rate_interval(np.ones(11), clips)[0] < 0.55 < rate_interval(np.ones(11), design)[0]


def test_the_design_of_the_mean_over_classes() -> None:
    design = Design.of(["a", "a", "a", "b"], by_class=True)
    assert design.mean(np.array([1.0, 1.0, 0.0, 0.0])) == pytest.approx(1 / 3)
    assert Design.of(["a", "b", "b"], [1, 1, 1]).group_count == 2, "no group reaches over two classes"


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_effective_videos_are_those_of_loops_over_classes(data: st.DataObject) -> None:
    """The formula of docs/protocols.md, one class and one group at a time."""
    rows = data.draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-1, 1)), min_size=2, max_size=15)
    )
    by_class = data.draw(st.booleans())
    classes = sorted({c for c, _, _ in rows})
    weight = {c: 1 / sum(r[0] == c for r in rows) / len(classes) if by_class else 1 / len(rows) for c in classes}
    mean = sum(weight[c] * x for c, _, x in rows)
    spread = sum(weight[c] * (x - mean) ** 2 for c, _, x in rows)

    def variance(units: dict[tuple[int, int], list[int]]) -> float:
        average = {unit: sum(values) / len(values) for unit, values in units.items()}
        every = sum((x - mean) ** 2 for x in average.values()) / len(average)
        total = 0.0
        for c in classes:
            own = {unit: weight[c] * len(values) for unit, values in units.items() if unit[0] == c}
            squares, share = sum(w * w for w in own.values()), sum(own.values())
            n, centre = share**2 / squares, sum(w * average[unit] for unit, w in own.items()) / share
            s = sum((w * (average[unit] - centre)) ** 2 for unit, w in own.items()) / squares
            t = (n * s + 3 * every) / (n + 3) + 3 * n * (centre - mean) ** 2 / (n + 3) ** 2
            total += share**2 * (s + t / n) / n
        return total

    groups: dict[tuple[int, int], list[int]] = {}
    for c, group, x in rows:
        groups.setdefault((c, group), []).append(x)
    singles = {(c, number): [x] for number, (c, _, x) in enumerate(rows)}
    few = 1 + 2 * (1 - len(groups) / len(rows)) / (len(groups) - 1) if len(groups) > 1 else 1
    if spread < 1e-9 or len(groups) == 1:
        expected = 1 / sum((weight[c] * len(values)) ** 2 for (c, _), values in groups.items())
    else:
        expected = spread / max(variance(singles), few * variance(groups) if len(groups) < len(rows) else 0)
    design = Design.of([c for c, _, _ in rows], [group for _, group, _ in rows], by_class=by_class)
    assert float(design.effective_videos(np.array([float(x) for _, _, x in rows]))) == pytest.approx(expected)


@given(st.integers(0, 400), st.integers(0, 400))
@settings(deadline=None, max_examples=50)
def test_mcnemar_is_the_binomial_test_of_a_fair_coin(gained: int, lost: int) -> None:
    pairs = gained + lost
    as_extreme = [k for k in range(pairs + 1) if abs(2 * k - pairs) >= abs(gained - lost)]
    logs = [math.lgamma(pairs + 1) - math.lgamma(k + 1) - math.lgamma(pairs - k + 1) for k in as_extreme]
    expected = sum(math.exp(log - pairs * math.log(2)) for log in logs)
    assert mcnemar(gained, lost) == pytest.approx(min(1.0, expected), rel=1e-9)


def test_mcnemar_of_known_numbers() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar(59, 6) == pytest.approx(2 * sum(math.comb(65, k) for k in range(7)) / 2**65, rel=1e-12)
    assert mcnemar(14000, 14000) == 1.0
    z = (14300 - 13700 - 1) / math.sqrt(28000)  # with the correction for continuity
    assert mcnemar(14300, 13700) == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-3)


@given(st.lists(st.integers(-3, 3), max_size=9))
@settings(deadline=None)
def test_sign_flip_counts_all_signs(changes: list[int]) -> None:
    sums = [
        abs(sum(s * c for s, c in zip(signs, changes, strict=True))) for signs in product((1, -1), repeat=len(changes))
    ]
    assert sign_flip(changes) == pytest.approx(np.mean([total >= abs(sum(changes)) for total in sums]))


@given(st.integers(0, 60), st.integers(0, 60))
@settings(deadline=None, max_examples=30)
def test_sign_flip_of_single_videos_is_mcnemar(gained: int, lost: int) -> None:
    assert sign_flip([1] * gained + [-1] * lost + [0]) == pytest.approx(mcnemar(gained, lost), rel=1e-9)


PROFILES: dict[str, Callable[[Random, int], Floats]] = {  # true accuracies of C classes
    "0.1": lambda random, classes: np.full(classes, random.uniform(0.07, 0.13)),
    "0.5": lambda random, classes: np.full(classes, random.uniform(0.47, 0.53)),
    "0.9": lambda random, classes: np.full(classes, random.uniform(0.87, 0.93)),
    "Beta(2, 2)": lambda random, classes: random.beta(2, 2, classes),
    "Beta(4, 1)": lambda random, classes: random.beta(4, 1, classes),
    "uniform": lambda random, classes: random.random(classes),
}
CHANGES: dict[str, Callable[[Random, int], Floats]] = {  # true shares of gained, lost and unchanged videos [C, 3]
    "0.1 and 0.1": lambda _, classes: np.tile([0.1, 0.1, 0.8], (classes, 1)),
    "0.3 and 0.1": lambda _, classes: np.tile([0.3, 0.1, 0.6], (classes, 1)),
    "0.15 and 0.03": lambda _, classes: np.tile([0.15, 0.03, 0.82], (classes, 1)),
    "another in each class": lambda random, classes: random.dirichlet([0.6, 0.4, 3], classes),
}
TRUTHS = 40


def whole(*values: object) -> object:
    """Return parameters of the whole simulation, which is slow."""
    return pytest.param(*values, marks=pytest.mark.slow)


def held(intervals: Intervals, truth: float) -> float:
    return float(((intervals[0] <= truth) & (truth <= intervals[1])).mean())


def drawn(random: Random, chances: Floats, groups: Indices, *, alike: float, samples: int) -> Indices:
    """Return outcomes [samples, V] of clips; those of one group share chances, `alike` is their correlation.

    Args:
        random: the generator.
        chances: [G, K], of K outcomes in each group; the groups of a sample have Dirichlet chances around them.
        groups: [V].
        alike: 0 to 1.
        samples: how many test sets.
    """
    shared = np.broadcast_to(chances, (samples, *chances.shape))
    if alike:
        parts = random.standard_gamma(np.broadcast_to(chances * (1 / alike - 1), shared.shape).clip(1e-3))
        shared = parts / parts.sum(axis=-1, keepdims=True)
    bounds = shared.cumsum(axis=-1)[:, groups, :-1]  # [samples, V, K - 1]
    return (random.random((samples, len(groups), 1)) > bounds).sum(axis=-1)


def rate_coverage(
    profile: str, classes: Indices, groups: Indices, *, alike: float = 0, samples: int = 50
) -> list[float]:
    """Return the coverage of top-1 and of the mean per class, in percent."""
    random, found = np.random.default_rng(7), []
    of_group = classes[np.unique(groups, return_index=True)[1]]
    designs = [Design.of(classes.tolist(), groups.tolist(), by_class=by_class) for by_class in (False, True)]
    for _ in range(TRUTHS):
        truth = PROFILES[profile](random, int(classes.max()) + 1)
        chances = np.stack([truth, 1 - truth], axis=1)[of_group]
        hits = (drawn(random, chances, groups, alike=alike, samples=samples) == 0).astype(float)
        found.append([held(rate_interval(hits, d), float(d.mean(truth[classes]))) for d in designs])
    return [100 * float(share) for share in np.mean(found, axis=0)]


def change_coverage(
    profile: str, classes: Indices, groups: Indices, *, alike: float = 0, samples: int = 50
) -> list[float]:
    """Return the coverage of the differences of top-1 and of the mean per class, in percent."""
    random, found = np.random.default_rng(8), []
    of_group = classes[np.unique(groups, return_index=True)[1]]
    designs = [Design.of(classes.tolist(), groups.tolist(), by_class=by_class) for by_class in (False, True)]
    for _ in range(TRUTHS):
        chances = CHANGES[profile](random, int(classes.max()) + 1)
        outcome = drawn(random, chances[of_group], groups, alike=alike, samples=samples)
        changes = np.array([1.0, -1.0, 0.0])[outcome]
        truth = chances[:, 0] - chances[:, 1]
        found.append([held(difference_interval(changes, d), float(d.mean(truth[classes]))) for d in designs])
    return [100 * float(share) for share in np.mean(found, axis=0)]


def videos_of(classes: int, each: int | Sequence[int]) -> tuple[Indices, Indices]:
    """Return the class and the group of videos: `each` a class, independent."""
    of_class = np.repeat(np.arange(classes), each)
    return of_class, np.arange(len(of_class))


def clips_of(classes: int, groups: int, sizes: Sequence[int]) -> tuple[Indices, Indices]:
    """Return the class and the group of clips: `groups` a class, with these numbers of clips in turn."""
    group = np.repeat(np.arange(classes * groups), np.resize(sizes, classes * groups))
    return group // groups, group


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("each", [1, 2, 5, 30])
@pytest.mark.parametrize("classes", [20, whole(51), whole(101)])
def test_coverage_of_accuracies(classes: int, each: int, profile: str) -> None:
    for found in rate_coverage(profile, *videos_of(classes, each), samples=50 if each < 30 else 20):
        assert 93 <= found <= 98


@pytest.mark.parametrize("profile", PROFILES)
def test_coverage_of_accuracies_of_classes_of_different_sizes(profile: str) -> None:
    sizes = np.resize([1, 2, 3, 5, 8, 11], 20).tolist()
    for found in rate_coverage(profile, *videos_of(20, sizes)):
        assert 93 <= found <= 98


@pytest.mark.parametrize("alike", [whole(0), whole(0.2), 0.5])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("classes", "groups", "sizes"),
    [(20, 7, [4, 5, 6]), whole(20, 11, [1, 2, 3, 4]), whole(101, 7, [4, 5, 6])],
)
def test_coverage_of_accuracies_over_groups(
    classes: int, groups: int, sizes: list[int], profile: str, alike: float
) -> None:
    """As UCF101's test lists: 7 groups a class; and as HMDB51's: more groups, of different sizes."""
    for found in rate_coverage(profile, *clips_of(classes, groups, sizes), alike=alike, samples=50):
        assert 93 <= found <= 98


def test_correlated_clips_are_no_independent_videos() -> None:
    """The simulation can tell: without the groups, the same intervals are far too narrow."""
    classes, groups = clips_of(20, 7, [5])
    random, truth = np.random.default_rng(3), np.full(20, 0.5)
    hits = drawn(random, np.full((140, 2), 0.5), groups, alike=0.5, samples=2000).astype(float)
    assert held(rate_interval(hits, Design.of(classes.tolist())), float(truth[0])) < 0.8


@pytest.mark.parametrize("alike", [0, 0.2, 0.5])
def test_coverage_of_the_accuracy_of_one_class(alike: float) -> None:
    """A row of the report: one class of 7 groups of clips, or of 30 videos; its accuracy may be anything."""
    for found in rate_coverage("uniform", *clips_of(1, 7, [4, 5, 6]), alike=alike, samples=400):
        assert 93 <= found <= 98
    for found in rate_coverage("uniform", *videos_of(1, 30), samples=400):
        assert 93 <= found <= 98


@pytest.mark.parametrize("profile", CHANGES)
@pytest.mark.parametrize(
    ("classes", "each"), [(1, 50), (20, 2), (20, 5), (51, 1), whole(51, 2), whole(101, 5), whole(51, 30)]
)
def test_coverage_of_differences(classes: int, each: int, profile: str) -> None:
    for found in change_coverage(profile, *videos_of(classes, each), samples=50 if each < 30 else 20):
        assert 93 <= found <= 98


@pytest.mark.parametrize("alike", [whole(0), 0.3])
@pytest.mark.parametrize("profile", CHANGES)
@pytest.mark.parametrize(("classes", "groups", "sizes"), [(20, 7, [4, 5, 6]), whole(51, 11, [1, 2, 3, 4])])
def test_coverage_of_differences_over_groups(
    classes: int, groups: int, sizes: list[int], profile: str, alike: float
) -> None:
    for found in change_coverage(profile, *clips_of(classes, groups, sizes), alike=alike, samples=40):
        assert 93 <= found <= 98


@pytest.mark.parametrize(("gained", "lost"), [(0.0, 0.0), (0.02, 0.02), (0.1, 0.1), (0.3, 0.1)])
def test_few_videos_and_rare_changes_are_never_too_certain(gained: float, lost: float) -> None:
    random, design = np.random.default_rng(9), Design.of([0] * 11)
    outcome = drawn(random, np.tile([gained, lost, 1 - gained - lost], (11, 1)), np.arange(11), alike=0, samples=4000)
    assert held(difference_interval(np.array([1.0, -1.0, 0.0])[outcome], design), gained - lost) >= 0.93


def test_the_p_of_groups_is_as_rare_as_it_says() -> None:
    """Without any true difference, p is below 0.05 in at most 5% of samples, though clips of a group are alike."""
    _, groups = clips_of(20, 7, [5])
    random = np.random.default_rng(4)
    outcome = drawn(random, np.tile([0.1, 0.1, 0.8], (140, 1)), groups, alike=0.5, samples=400)
    changes = np.array([1, -1, 0])[outcome]
    nets = np.stack([np.bincount(groups, row).astype(int) for row in changes])
    assert np.mean([sign_flip(row.tolist()) < 0.05 for row in nets]) < 0.08
    single = [mcnemar(int((row == 1).sum()), int((row == -1).sum())) < 0.05 for row in changes]
    assert np.mean(single) > 0.15, "the clips as independent videos: too many"
