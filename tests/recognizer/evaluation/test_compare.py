"""recognize compare: the statistics against other ways to get them, and what the command says."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from db.records import Prediction
from db.records import Run as Evaluation
from db.store import Store
from recognizer.evaluation.compare import compare
from recognizer.scoring.intervals import tango
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


def test_runs_that_do_not_differ_are_not_certainly_equal() -> None:
    """Without a change, the score interval of n pairs is z^2 / (n + z^2) on each side; of 7 pairs 0.354."""
    found = compare(FIRST, FIRST)
    for paired in (found.top1, found.top5):
        assert (paired.difference.value, paired.gained, paired.lost, paired.p) == (0, 0, 0, 1)
        assert (-paired.difference.low, paired.difference.high) == (pytest.approx(0.354, abs=5e-4),) * 2
    assert found.mean_per_class.difference.low < -0.354, "classes of 2, 2 and 3 videos: fewer than 7 of equal weight"


def clips(ranks: list[int]) -> Evaluation:
    """A run on clips of UCF101, 5 of each group: each group is right or wrong as a whole."""
    names = [f"Archery/v_Archery_g{group:02}_c{clip:02}.avi" for group in range(1, 9) for clip in range(1, 6)]
    predictions = tuple(
        Prediction(name, 0, ((0, 0.5),), rank, 1)
        for name, rank in zip(names, np.repeat(ranks, 5).tolist(), strict=True)
    )
    return replace(FIRST, predictions=predictions)


def test_clips_of_one_source_count_as_one(recognize: Run, store: Store) -> None:
    """Of 8 groups 5 are gained as a whole: of 2^8 signs 2 of the 5 that matter are as far off, p = 2 / 2^5."""
    one, other = clips([2, 2, 2, 2, 2, 1, 1, 2]), clips([1, 1, 1, 1, 1, 1, 1, 2])
    found = compare(one, other)
    assert (found.both, found.groups, found.top1.gained, found.top1.lost) == (40, 8, 25, 0)
    assert found.top1.p == pytest.approx(2 / 2**5)
    low, high = tango(np.array(5 / 8), np.array(0.0), np.array(8.0))
    assert found.top1.difference.low < low < high < found.top1.difference.high, "no surer than eight videos"
    for run in (one, other):
        store.save_run(run)
    shown = recognize("compare", 1, 2).stdout
    assert "95% intervals over 8 groups of clips cut from one source (by file name)" in shown


@pytest.fixture
def stored(store: Store) -> Store:
    for run in (FIRST, SECOND, evaluation({"a": 1}, dataset="four"), evaluation({"g": 1})):
        store.save_run(run)
    return store


def test_what_the_command_shows(recognize: Run, stored: Store) -> None:
    result = recognize("compare", 1, 2)
    assert result.exit_code == 0, result.output
    lines = [re.split(r" {2,}", re.sub(r" \[[^]]+\]", "", line.rstrip())) for line in result.stdout.splitlines()]
    assert lines == [
        ["three · run 1 → run 2"],
        ["method: mean → align"],
        ["videos: 7 in both, 0 only in run 1, 1 only in run 2"],
        [""],
        ["%", "run 1", "run 2", "difference", "gained", "lost", "p"],
        ["top-1", "42.9", "71.4", "+28.6", "3", "1", "0.625"],
        ["top-5", "71.4", "100.0", "+28.6", "2", "0", "0.500"],
        ["mean per class", "38.9", "72.2", "+33.3"],
        [""],
        ["classes: 2 won, 0 lost, 1 unchanged"],
        [""],
        ["class", "videos", "right in run 1", "right in run 2", "difference"],
        ["run", "2", "0", "1", "+1"],
        ["wave", "2", "1", "2", "+1"],
        [""],
        ["video that changed", "class", "rank in run 1", "rank in run 2"],
        ["b", "wave", "2", "1"],
        ["e", "jump", "9", "1"],
        ["f", "run", "6", "1"],
        ["c", "jump", "1", "2"],
    ]
    assert all(len(re.findall(r"\[[^]]+\]", line)) == 3 for line in result.stdout.splitlines()[5:8])
    worse = recognize("compare", 2, 1).stdout
    assert "classes: 0 won, 2 lost, 1 unchanged" in worse
    assert re.search(r"^top-1 .* -28\.6 \[-\d+\.\d, \+\d+\.\d\] +1 +3 +0\.625$", worse, re.MULTILINE)
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
