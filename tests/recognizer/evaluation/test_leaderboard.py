"""recognize leaderboard: which runs share a column, what each number says, and every format."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from db.records import Prediction
from db.records import Run as Evaluation
from db.store import Store
from recognizer import Recognizer
from recognizer.scoring.metrics import accuracy
from tests.fixtures.commands import Run

CLASSES = [["wave", "waving"], ["jump", "jumping"]]
Saved = Callable[..., int]


def evaluation(
    hits: str, *, dataset: str = "hmdb51", videos: str = "video", listed: int = 8, **changed: Any
) -> Evaluation:
    """A run with a video for each of `hits`: `+` right, `-` wrong; by labels alone the first one is right."""
    ranks, labels = [1 if hit == "+" else 2 for hit in hits], [number % 2 for number in range(len(hits))]
    alone = [1, *(2 for _ in hits[1:])]
    settings = {
        "encoder": "ViT-B/16", "encoder_revision": "a" * 40, "protocol": "default", "method": "mean", "frames": 16,
        "layout": "HMDB51 test split 1, lists in lists", "kinds": ["context"], "llms": ["llama"], "root": "/videos",
        "classes": CLASSES, "choice": {"statuses": ["pending", "accepted"]}, "label_templates": ["{}"], "texts_cut": [],
        **changed,
    }  # fmt: skip
    rows = {
        "label only": asdict(accuracy(alone, labels)),
        "label + descriptors": asdict(accuracy(ranks, labels)),
    }
    predictions = tuple(
        Prediction(f"{videos} {n}", label, ((label, 0.5),), rank, other)
        for n, (label, rank, other) in enumerate(zip(labels, ranks, alone, strict=True))
    )
    counts = {"listed": listed, "evaluated": len(hits), "missing": listed - len(hits)}
    ids = () if settings["kinds"] == [] else (1, 2)
    return Evaluation(dataset, settings, "0" * 64, ids, counts, (), {"rows": rows}, 1.0, predictions=predictions)


@pytest.fixture
def save(store: Store) -> Saved:
    """Store a run; give its number."""
    return lambda hits, **changed: store.save_run(evaluation(hits, **changed))


def entries(recognize: Run, *arguments: object) -> list[dict[str, Any]]:
    result = recognize("leaderboard", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["entries"]  # type: ignore[no-any-return]


def test_each_number_says_what_it_is_of(recognize: Run, save: Saved) -> None:
    save("+++-")
    [entry] = entries(recognize)
    assert (entry["value"], entry["label_only_value"]) == (0.75, 0.25)
    assert entry["low"] < 0.75 < entry["high"]
    assert (entry["dataset"], entry["protocol"], entry["split"]) == ("hmdb51", "default", "1")
    assert (entry["listed"], entry["videos"], entry["left_out"]) == (8, 4, 4)
    shown = " ".join(recognize("leaderboard").stdout.split())
    assert "hmdb51 protocol default, split 1 encoder texts 4 videos, 4 left out" in shown
    assert "ViT-B/16 context by llama 75.0 [" in shown
    assert "labels 25.0 [" in shown
    assert "Too few videos to compare anything: 4 of hmdb51" in shown


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"protocol": "tear"}, "protocol"),
        ({"layout": "HMDB51 test splits 1, 2, lists in lists"}, "split"),
        ({"videos": "other"}, "evaluated videos"),
        ({"classes": [["wave", "a wave"], ["jump", "jumping"]]}, "classes or label texts"),
        ({"listed": 9}, "number of listed videos"),
    ],
)
def test_what_cannot_be_compared_has_a_column_of_its_own(
    recognize: Run, save: Saved, changed: dict[str, Any], differs: str
) -> None:
    save("+++-")
    save("++--", encoder="ViT-L/14", **changed)
    rows = entries(recognize)
    columns = ("protocol", "split", "classes_sha256", "listed", "videos_sha256")
    assert len({tuple(row[name] for name in columns) for row in rows}) == 2
    said = recognize("leaderboard", "--format", "markdown").stdout
    assert f"The 2 columns of hmdb51 cannot be compared: other {differs}\n" in said
    assert [line.count("run ") for line in said.splitlines() if line.startswith("| ViT")] == [1, 1]


def test_equal_heads_of_other_videos_are_told_apart(recognize: Run, save: Saved) -> None:
    save("+++-")
    save("+++-", videos="other")
    said = recognize("leaderboard", "--format", "markdown").stdout
    assert "4 left out<br>set 1 of 2" in said
    assert "4 left out<br>set 2 of 2" in said


def test_own_videos_of_another_folder_are_other_videos(recognize: Run, save: Saved) -> None:
    for root in ("/one", "/two"):
        save("++", dataset="balls", root=root)
        save("++", root=root)
    said = recognize("leaderboard").stdout
    assert "The 2 columns of balls cannot be compared: other folder of the videos" in said
    assert "columns of hmdb51" not in said


def test_the_same_choices_have_one_row_over_datasets(recognize: Run, save: Saved) -> None:
    imported = "{}_context.json sha256:{}"
    save("+++-", llms=[imported.format("hmdb51", "1" * 12)])
    save("++--", dataset="ucf101", llms=[imported.format("UCF101", "2" * 12)])
    save("----", dataset="ucf101", kinds=[], llms=[])
    lines = [line for line in recognize("leaderboard", "--format", "markdown").stdout.splitlines() if "ViT" in line]
    assert len(lines) == 2
    assert r"context by \<dataset\>\_context.json" in lines[0]
    assert "| labels alone |" in lines[1]
    assert all(number in lines[0] for number in ("75.0", "50.0"))


def test_other_choices_have_other_rows_best_first(recognize: Run, save: Saved) -> None:
    choices: list[dict[str, Any]] = [
        {}, {"method": "max"}, {"frames": 8}, {"pooling": "max"}, {"templates": "single"}, {"condition": True},
        {"encoder_revision": "b" * 40}, {"kinds": ["context", "decomposition"]}, {"llms": ["qwen"]},
        {"choice": {"statuses": ["accepted"]}}, {"classes_without": {"context": 3}},
        {"templates": "mine.txt", "label_templates": ["a {}"]}, {"templates": "mine.txt", "label_templates": ["b {}"]},
    ]  # fmt: skip
    for number, chosen in enumerate(choices):
        save("+" * number + "-" * (len(choices) - number), listed=99, **chosen)
    rows = entries(recognize)
    names = ("encoder", "encoder_revision", "texts", "method", "choices")
    assert len({tuple(row[name] for name in names) for row in rows}) == len(choices)
    assert [row["run"] for row in rows] == list(range(len(choices), 0, -1))
    assert "recognize compare RUN RUN" in recognize("leaderboard").stdout


def test_the_newest_run_stands_for_older_ones_and_says_so(recognize: Run, save: Saved) -> None:
    save("++++")
    save("++--")
    [entry] = entries(recognize)
    assert (entry["run"], entry["value"], entry["older_runs"]) == (2, 0.5, "1")
    assert "hmdb51: run 2 stands for older runs of the same choices: 1" in recognize("leaderboard").stdout


def test_runs_datasets_and_measures_are_chosen(recognize: Run, save: Saved) -> None:
    save("+++-")
    save("+---", dataset="ucf101")
    save("+-+-", method="max")
    assert [entry["run"] for entry in entries(recognize, 1, 2)] == [1, 2]
    assert [entry["run"] for entry in entries(recognize, "-d", "hmdb51", "-d", "thumos14")] == [1, 3]
    [entry] = entries(recognize, 1, "--measure", "mean_per_class")
    assert (entry["measure"], entry["value"]) == ("mean_per_class", 0.75)
    missing = recognize("leaderboard", 1, 9)
    assert (missing.exit_code, "No run 9" in missing.stderr) == (2, True)


class Cells(HTMLParser):
    """Collects the texts of the cells of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.cells += [""] if tag in ("td", "th") else []

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def test_every_format_has_the_number_and_escapes_names(recognize: Run, save: Saved, tmp_path: Path) -> None:
    odd = r"a_b|c & <d> 50% $e^f~{g} \h"
    save("+++-", llms=[odd])
    for suffix in ("md", "tex", "csv", "html", "json"):
        result = recognize("leaderboard", "-o", tmp_path / f"board.{suffix}")
        assert result.exit_code == 0, result.output
    page = Cells()
    page.feed((tmp_path / "board.html").read_text())
    assert f"context by {odd}" in page.cells
    [row] = csv.DictReader(io.StringIO((tmp_path / "board.csv").read_text()))
    assert (row["texts"], row["value"]) == (f"context by {odd}", "0.75")
    latex = (tmp_path / "board.tex").read_text()
    assert (
        r"context by a\_b$|$c \& $<$d$>$ 50\% \$e\textasciicircum{}f\textasciitilde{}\{g\} \textbackslash{}h & "
        r"\shortstack[r]{{}75.0 ["
    ) in latex
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    markdown = (tmp_path / "board.md").read_text()
    assert r"context by a\_b\|c & \<d\> 50% $e^f~{g} \\h | 75.0 [" in markdown


def test_a_file_of_unknown_format_is_refused(recognize: Run, save: Saved, tmp_path: Path) -> None:
    save("++")
    refused = recognize("leaderboard", "-o", tmp_path / "board.xyz")
    assert refused.exit_code == 2
    assert "board.xyz ends in .xyz. Known: .md, .tex, .csv, .html, .htm, .json" in refused.stderr
    assert recognize("leaderboard", "-o", tmp_path / "board.txt", "--format", "markdown").exit_code == 0
    assert not (tmp_path / "board.xyz").exists()


def test_without_runs(recognize: Run, store: Store) -> None:
    assert json.loads(recognize("leaderboard", "--json").stdout) == {"measure": "top1", "entries": [], "notes": []}
    assert "No runs yet. Make one with: recognize eval" in recognize("leaderboard").stderr


def test_from_python(save: Saved, database: Path) -> None:
    save("+++-")
    save("+---", dataset="ucf101")
    board = Recognizer("hmdb51", db=str(database), progress=False).leaderboard()
    assert [(entry.column.dataset, entry.rate["value"]) for entry in board.entries] == [
        ("hmdb51", 0.75),
        ("ucf101", 0.25),
    ]
