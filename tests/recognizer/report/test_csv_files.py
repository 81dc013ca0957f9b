"""--csv of eval, report and predict: what other programs read."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.colours import COLOURS, balls, described, encoder
from tests.fixtures.commands import Run

TABLES = Path(__file__).parents[3] / "docs" / "tables.md"
__all__ = ["balls", "described", "encoder"]  # fixtures


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_eval_writes_predictions_classes_and_confusion(recognize: Run, described: Path, tmp_path: Path) -> None:
    shutil.copytree(described / "green_ball" / "a", described / "red_ball" / "green in truth")
    folder = tmp_path / "tables"
    asked = ("eval", "-d", "balls", "--root", described, "-e", "fake", "-k", "context", "--json")
    result = recognize(*asked, "--csv", folder)
    assert result.exit_code == 0, result.output
    run, names = json.loads(result.stdout), sorted(COLOURS)

    predictions = rows(folder / "predictions.csv")
    assert len(predictions) == run["counts"]["listed"] == 8
    read = [row for row in predictions if not row["left_out"]]
    assert [(row["video"], row["left_out"]) for row in predictions if row["left_out"]] == [
        ("red_ball/broken.mp4", "empty file")
    ]
    assert all(row["true"] == row["video"].split("/")[0] for row in read)
    assert {(row["run"], row["dataset"], row["encoder"], row["protocol"], row["method"]) for row in predictions} == {
        ("1", "balls", "fake", "default", "mean")
    }
    right = sum(row["true"] == row["predicted"] for row in read)
    assert right / len(read) == run["results"]["rows"]["label + descriptors"]["top1"]["value"]
    assert right == 6

    cells = rows(folder / "confusion.csv")
    assert {(c["true"], c["predicted"]): int(c["videos"]) for c in cells} == Counter(
        (row["true"], row["predicted"]) for row in read
    )
    classes = rows(folder / "classes.csv")
    assert [row["class"] for row in classes] == names
    for row in classes:
        own = [video for video in read if video["true"] == row["class"]]
        assert (int(row["videos"]), int(row["right"])) == (len(own), sum(v["rank"] == "1" for v in own))
        assert float(row["top1_low"]) <= float(row["top1"]) == int(row["right"]) / len(own) <= float(row["top1_high"])
        assert row["label_only_top1"] == row["top1"]  # both see the colour alone


def test_report_writes_the_same_from_a_stored_run(recognize: Run, described: Path, tmp_path: Path) -> None:
    asked = ("eval", "-d", "balls", "--root", described, "-e", "fake", "-k", "context")
    assert recognize(*asked, "--csv", tmp_path / "first").exit_code == 0
    result = recognize("report", 1, "-o", tmp_path / "run.html", "--csv", tmp_path / "second")
    assert result.exit_code == 0, result.output
    for name in ("predictions", "classes", "confusion"):
        first, second = (tmp_path / folder / f"{name}.csv" for folder in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_classes_without_videos_have_no_rate(descgen: Run, recognize: Run, llm: FakeLLM, balls: Path) -> None:
    labels = balls.parent / "five.txt"
    labels.write_text("\n".join([*COLOURS, "grey_ball", "a, b"]))
    descgen("build", "-d", labels, "-k", "context")
    result = recognize("eval", "-d", "five", "--root", balls, "-e", "fake", "--csv", balls.parent / "tables")
    assert result.exit_code == 0, result.output
    found = {
        row["class"]: (row["videos"], row["top1"], row["top1_low"]) for row in rows(balls.parent / "tables/classes.csv")
    }
    assert found["grey_ball"] == found["a, b"] == ("0", "", "")
    assert found["red_ball"][0] == "2"


def test_predict_writes_a_row_for_each_class_of_each_video(recognize: Run, described: Path, tmp_path: Path) -> None:
    file = tmp_path / "predictions.csv"
    videos = (described / "red_ball" / "a", described / "red_ball" / "broken.mp4")
    result = recognize("predict", *videos, "-d", "balls", "-e", "fake", "--top", 2, "--csv", file, "--json")
    assert result.exit_code == 0, result.output
    answer, [*ranked, unreadable] = json.loads(result.stdout)["rankings"], rows(file)
    assert [(row["rank"], row["class"], float(row["score"])) for row in ranked] == [
        (str(c["rank"]), c["name"], c["score"]) for c in answer[0]["candidates"]
    ]
    assert {row["video"] for row in ranked} == {"a"}
    assert (unreadable["video"], unreadable["rank"], unreadable["unreadable"]) == ("broken.mp4", "", "empty file")
    assert {(row["encoder"], row["protocol"], row["method"]) for row in ranked} == {("fake", "default", "mean")}


def documented(start: str) -> str:
    """Return the block of Python in docs/tables.md that begins like this."""
    blocks = re.findall(r"^```python\n(.*?)^```", TABLES.read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if block.startswith(start))


def test_the_lines_for_pandas_read_the_confusion(
    recognize: Run, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    assert recognize("eval", "-d", "balls", "--root", described, "-e", "fake", "--csv", "tables").exit_code == 0
    names: dict[str, Any] = {}
    exec(documented("import pandas"), names)  # noqa: S102 - our own document
    assert isinstance(names["matrix"], pandas.DataFrame)
    for cell in rows(tmp_path / "tables/confusion.csv"):
        assert names["matrix"].loc[cell["true"], cell["predicted"]] == int(cell["videos"])
    assert names["matrix"].to_numpy().sum() == sum(
        not row["left_out"] for row in rows(tmp_path / "tables/predictions.csv")
    )


def test_the_lines_for_fiftyone_find_the_columns(
    recognize: Run, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    videos = [(described / "red_ball" / take).relative_to(tmp_path) for take in ("a", "b")]
    asked = ("predict", *videos, "-d", "balls", "-e", "fake", "-k", "context", "--csv", "my.csv")
    assert recognize(*asked).exit_code == 0
    fiftyone = SimpleNamespace(Sample=dict, Classification=dict)  # with the parameters that FiftyOne documents
    names: dict[str, Any] = {"csv": csv, "fo": fiftyone}
    exec(documented("best = "), names)  # noqa: S102 - our own document
    assert names["samples"] == [{"filepath": str(video), "action": {"label": "red_ball"}} for video in videos]
