"""recognize compare: the statistics against other ways to get them, and what the command says."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.records import Prediction
from db.records import Run as Evaluation
from db.store import Store
from recognizer.evaluation.compare import bootstrap, compare, mcnemar
from tests.fixtures.commands import Run

CLASSES = [["wave", "waving"], ["jump", "jumping"], ["run", "running"]]
VIDEOS = [("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 1), ("f", 2), ("g", 2), ("h", 2)]


def evaluation(ranks: dict[str, int], label_only: dict[str, int] | None = None, **changed: object) -> Evaluation:
    """A run in which the true classes of these videos have these ranks."""
    chosen = {"encoder": "fake", "protocol": "default", "method": "mean", "kinds": ["context"], "classes": CLASSES,
              "llms": ["fake"], "statuses": {"pending": 3}}  # fmt: skip
    predictions = tuple(
        Prediction(video, label, ((0, 0.5),), ranks[video], (label_only or ranks)[video])
        for video, label in VIDEOS
        if video in ranks
    )
    run = Evaluation("three", chosen, "0123456789", (1, 2, 3), {}, (), {"rows": {}}, 1.0, predictions=predictions)
    settings_changed = {name: value for name, value in changed.items() if name in chosen}
    others = {name: value for name, value in changed.items() if name not in chosen}
    return replace(run, settings={**chosen, **settings_changed}, **others)  # type: ignore[arg-type]


FIRST = evaluation({"a": 1, "b": 2, "c": 1, "d": 1, "e": 9, "f": 6, "h": 3})
SECOND = evaluation({"a": 1, "b": 1, "c": 2, "d": 1, "e": 1, "f": 1, "g": 1, "h": 2}, method="align")


def test_videos_are_paired_and_the_others_counted() -> None:
    found = compare(FIRST, SECOND)
    assert (found.both, found.only_first, found.only_second) == (7, 0, 1)
    assert dict(found.changed) == {"method": ("mean", "align")}
    assert (found.top1.gained, found.top1.lost) == (3, 1)
    assert (found.top1.first.value, found.top1.second.value) == (3 / 7, 5 / 7)
    assert found.top1.difference.value == pytest.approx(2 / 7)
    assert (found.top5.gained, found.top5.lost) == (2, 0)
    assert [(c.name, c.videos, c.first, c.second) for c in found.classes] == [
        ("run", 2, 0, 1), ("wave", 2, 1, 2), ("jump", 3, 2, 2),
    ]  # fmt: skip
    assert [(v.video, v.name, v.first, v.second) for v in found.videos] == [
        ("b", "wave", 2, 1), ("c", "jump", 1, 2), ("e", "jump", 9, 1), ("f", "run", 6, 1),
    ]  # fmt: skip


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


def test_the_bootstrap_is_that_of_the_videos() -> None:
    """Three counts drawn at once have the interval of resampling the videos themselves, and of theory."""
    gained, lost, videos = 60, 35, 1000
    change = np.repeat([1, -1, 0], [gained, lost, videos - gained - lost])
    draws = np.random.default_rng(5).integers(0, videos, size=(4000, videos))
    expected = np.percentile(change[draws].mean(axis=1), [2.5, 97.5])
    found = bootstrap(gained, lost, videos, seed=0)
    assert found == pytest.approx(expected, abs=0.002)
    deviation = math.sqrt((gained + lost) / videos - ((gained - lost) / videos) ** 2) / math.sqrt(videos)
    assert found == pytest.approx((0.025 - 1.96 * deviation, 0.025 + 1.96 * deviation), abs=0.002)
    assert found == bootstrap(gained, lost, videos, seed=0)


@pytest.fixture
def stored(store: Store) -> Store:
    for run in (FIRST, SECOND, evaluation({"a": 1}, dataset="four"), evaluation({"g": 1})):
        store.save_run(run)
    return store


def test_what_the_command_shows(recognize: Run, stored: Store) -> None:
    result = recognize("compare", 1, 2)
    assert result.exit_code == 0, result.output
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "three · run 1 → run 2",
        "method: mean → align",
        "videos: 7 in both, 0 only in run 1, 1 only in run 2",
        "",
        "%                  run 1                run 2            difference  gained  lost      p",
        "top-1  42.9 [15.8, 75.0]    71.4 [35.9, 91.8]  +28.6 [-28.6, +71.4]       3     1  0.625",
        "top-5  71.4 [35.9, 91.8]  100.0 [64.6, 100.0]   +28.6 [+0.0, +57.1]       2     0  0.500",
        "",
        "classes: 2 won, 0 lost, 1 unchanged",
        "",
        "class  videos  right in run 1  right in run 2  difference",
        "run         2               0               1          +1",
        "wave        2               1               2          +1",
        "",
        "video that changed  class  rank in run 1  rank in run 2",
        "b                   wave               2              1",
        "e                   jump               9              1",
        "f                   run                6              1",
        "c                   jump               1              2",
    ]
    worse = recognize("compare", 2, 1).stdout
    assert "classes: 0 won, 2 lost, 1 unchanged" in worse
    assert "-28.6 [-71.4, +28.6]       1     3  0.625" in worse
    fewer = recognize("compare", 1, 2, "--show", 1).stdout
    assert "and 2 more videos that changed (all of them: --json, or --show 4)" in fewer


def test_json_has_all_and_is_the_same_each_time(recognize: Run, stored: Store) -> None:
    answer = recognize("compare", 2, 1, "--json")
    found = json.loads(answer.stdout)
    assert (found["first"], found["second"], found["both"], found["only_first"]) == (2, 1, 7, 1)
    assert (found["top1"]["gained"], found["top1"]["lost"], found["top1"]["p"]) == (1, 3, 0.625)
    assert len(found["videos"]) == 4
    assert answer.stdout == recognize("compare", 2, 1, "--json").stdout


def test_one_run_is_compared_with_its_labels_alone(recognize: Run, store: Store) -> None:
    store.save_run(evaluation({"a": 1, "b": 1, "c": 1}, label_only={"a": 2, "b": 1, "c": 3}))
    shown = recognize("compare", 1).stdout
    assert shown.startswith("three · labels alone → run 1\nkinds: none → context\nllms: none → fake\n")
    assert "descriptors: none → 3 (01234567)\n" in shown
    assert json.loads(recognize("compare", 1, "--json").stdout)["top1"]["gained"] == 2


@pytest.mark.parametrize(
    ("runs", "code", "said"),
    [
        ((1, 3), 1, "Run 1 is on three, run 3 on four: only runs on the same dataset can be compared"),
        ((1, 4), 1, "Runs 1 and 4 have no video in common"),
        ((1, 9), 2, "No run 9. The runs are listed by: recognize runs"),
    ],
)
def test_what_cannot_be_compared_is_told(
    recognize: Run, stored: Store, runs: tuple[int, int], code: int, said: str
) -> None:
    result = recognize("compare", *runs)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())


def test_runs_on_other_classes_are_refused(recognize: Run, stored: Store) -> None:
    stored.save_run(evaluation({"a": 1}, classes=CLASSES[::-1]))
    assert "The classes of three changed between run 1 and run 5" in recognize("compare", 1, 5).stderr
