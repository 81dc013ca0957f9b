"""recognize eval on videos with several labels each: mAP, and what other commands say about such runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from descriptor_gen.llms.testing import FakeLLM
from recognizer import Recognizer
from recognizer.datasets.records import Video
from recognizer.evaluation.ranking import best_true
from tests.fixtures.colours import COLOURS, balls, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "encoder"]  # fixtures

ROWS = {
    "red_ball/a": "red_ball",
    "red_ball/b": "red_ball;green_ball",
    "green_ball/a": "green ball",
    "green_ball/b": "(none of these)",
    "blue_ball/a": "red_ball",  # blue frames come last for red
}


@pytest.fixture
def manifest(descgen: Run, llm: FakeLLM, balls: Path) -> Path:
    descgen("build", "-d", balls, "-k", "context")
    file = balls / "list.csv"
    file.write_text("path,labels\n" + "".join(f"{path},{labels}\n" for path, labels in ROWS.items()))
    return file


def evaluated(recognize: Run, manifest: Path) -> dict[str, Any]:
    result = recognize("eval", "-d", "balls", "--root", manifest, "-e", "fake", "--json")
    assert result.exit_code == 0, result.output
    run: dict[str, Any] = json.loads(result.stdout)
    return run


def average_precision(scores: list[float], positive: list[bool]) -> float:
    """The mean over positive videos of the precision at their score."""
    found = []
    for score, own in zip(scores, positive, strict=True):
        if own:
            kept = [other for value, other in zip(scores, positive, strict=True) if value >= score]
            found.append(sum(kept) / len(kept))
    return sum(found) / len(found)


def test_the_mean_average_precision_is_that_of_a_plain_loop(recognize: Run, manifest: Path) -> None:
    run = evaluated(recognize, manifest)
    names = sorted(COLOURS)  # blue, green, red
    truth = {path: {name.strip().replace(" ", "_") for name in labels.split(";")} for path, labels in ROWS.items()}
    scores = {p["video"]: dict(p["ranking"]) for p in run["predictions"]}
    assert scores.keys() == ROWS.keys()
    by_class = [
        average_precision([scores[v][label] for v in ROWS], [name in truth[v] for v in ROWS])
        if name != "blue_ball"
        else None
        for label, name in enumerate(names)
    ]
    results, row = run["results"], run["results"]["rows"]["label + descriptors"]
    assert results["average_precision"]["label + descriptors"] == pytest.approx(by_class)
    assert row["map"]["value"] == pytest.approx((by_class[1] + by_class[2]) / 2)  # type: ignore[operator]
    assert row["map"]["low"] < row["map"]["value"] < row["map"]["high"]
    assert (row["videos"], row["of_no_class"], row["classes"], row["classes_without_videos"]) == (5, 1, 2, 1)
    assert row["top1_in_set"]["value"] == 0.75  # of the four with labels, the blue one is wrong
    label_only = results["rows"]["label only"]["map"]["value"]
    assert results["gain"]["map"]["value"] == pytest.approx(row["map"]["value"] - label_only)


def test_what_is_printed_says_what_is_in_the_mean(recognize: Run, manifest: Path) -> None:
    run = evaluated(recognize, manifest)
    shown = recognize("runs", "1").stdout
    assert (
        "several labels a video: mAP is the mean over the 2 of 3 classes that have videos; 1 of the videos are of no "
        "class: wrong for each in mAP, not in the other number"
    ) in " ".join(shown.split())
    value = 100 * run["results"]["rows"]["label only"]["map"]["value"]
    assert "label only" in shown
    assert f" {value:.1f} [" in shown
    assert "top-1" not in shown
    assert f"mAP {value:.1f} [" in " ".join(recognize("runs").stdout.split())


@pytest.mark.parametrize(
    "command",
    [
        ("compare", "1"), ("compare", "1", "1"), ("report", "1"), ("impact", "1"), ("controls", "1"),
        ("runs", "1", "2"), ("runs", "1", "--export", "mteb"), ("report", "1", "--csv", "tables"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_that_need_one_label_a_video_refuse(
    recognize: Run, manifest: Path, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evaluated(recognize, manifest)
    if command[:3] == ("runs", "1", "2"):
        evaluated(recognize, manifest)
    result = recognize(*command)
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert "The videos of run 1 have several labels each" in said
    assert "Its numbers: recognize runs 1" in said
    assert not list(tmp_path.glob("*.html"))
    assert not (tmp_path / "tables").exists()


def test_a_sweep_of_several_labels_is_refused(recognize: Run, manifest: Path) -> None:
    result = recognize("sweep", "-d", "balls", "--root", manifest, "-e", "fake", "--method", "mean", "--method", "max")
    assert result.exit_code == 1
    assert "has several labels a video, and a sweep is sorted by top-1" in " ".join(result.output.split())


def test_the_leaderboard_keeps_map_apart(recognize: Run, manifest: Path, balls: Path) -> None:
    evaluated(recognize, manifest)
    alone = recognize("leaderboard")
    assert alone.exit_code == 1
    assert "1 run is not shown, of videos with several labels each: --measure map" in " ".join(alone.output.split())
    recognize("eval", "-d", "balls", "--root", balls, "-e", "fake")
    recognize("eval", "-d", "balls", "--root", manifest, "-e", "fake", "--method", "max")
    board = json.loads(recognize("leaderboard", "--measure", "map", "--json").stdout)
    assert [entry["run"] for entry in board["entries"]] in ([1, 3], [3, 1])
    assert len({entry["videos_sha256"] for entry in board["entries"]}) == 1
    assert "1 run is not shown, of videos with one label each: --measure top1" in board["notes"]
    assert [entry["run"] for entry in json.loads(recognize("leaderboard", "--json").stdout)["entries"]] == [2]


def test_videos_without_any_label_have_no_map(recognize: Run, manifest: Path) -> None:
    manifest.write_text("path,labels\nred_ball/a,(none of these)\n")
    result = recognize("eval", "-d", "balls", "--root", manifest, "-e", "fake")
    assert result.exit_code == 1
    assert "None of the 1 videos that were read has a label" in " ".join(result.output.split())


def test_from_python(manifest: Path, db_url: str, tmp_path: Path) -> None:
    balls = Recognizer("balls", encoder="fake", db=db_url, features=tmp_path / "features", progress=False)
    run = balls.evaluate(manifest)
    assert run.results["rows"]["label only"]["videos"] == 5
    assert len(balls.replay(run).features.videos) == 5


def test_the_best_true_class_and_its_rank_among_the_others() -> None:
    videos = [Video("a", 0, None, (), (0, 2)), Video("b", 1, None, (), (1,)), Video("c", -1, None, ())]
    scores = torch.tensor([[0.1, 0.5, 0.7], [0.3, 0.3, 0.1], [0.9, 0.8, 0.7]])
    labels, ranks = best_true(scores, videos)
    assert labels.tolist() == [2, 1, -1]
    assert ranks.tolist() == [1, 2, 4]  # a tie counts against the true class
