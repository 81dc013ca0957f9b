"""recognize runs: names that stand for numbers, notes, tags, filters, orders, short rows, deletion."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from db.runs import RunChange
from db.store import Store
from recognizer import Recognizer
from recognizer.cli import recognize as program
from recognizer.evaluation.run_list import RunFilter, summary
from recognizer.evaluation.run_list import listed as listing
from recognizer.evaluation.run_table import run_table
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run
from tests.fixtures.runs import large

__all__ = ["balls", "described", "encoder"]  # fixtures


def evaluated(recognize: Run, root: Path, *arguments: object) -> dict[str, Any]:
    result = recognize("eval", "-d", "balls", "--root", root, "-e", "fake", "--json", *arguments)
    assert result.exit_code == 0, result.output
    run: dict[str, Any] = json.loads(result.stdout)
    return run


@pytest.fixture
def three(store: Store) -> Store:
    """Three runs of ucf101: of two encoders and two methods, the last one the best."""
    large(store, "ucf101", each=1)
    [made] = store.runs()
    rows = made.results["rows"]
    rate = {"value": 0.99, "low": 0.95, "high": 1.0}
    better = {"label only": rows["label only"], "label + descriptors": {**rows["label + descriptors"], "top1": rate}}
    gain = {"top1": {"value": 0.5, "low": 0.4, "high": 0.6}}
    for number, (name, method) in enumerate((("hf:org/SigLIP", "mean"), ("fake", "max")), start=2):
        settings = {**made.settings, "encoder": name, "method": method}
        results = {"rows": better if number == 3 else rows, "gain": gain if number == 3 else {}}
        store.save_run(replace(made, settings=settings, results=results, id=None))
    return store


def listed(recognize: Run, *arguments: object) -> list[int]:
    result = recognize("runs", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [run["id"] for run in json.loads(result.stdout)]


def test_a_name_stands_for_the_number_in_every_command(
    recognize: Run, descgen: Run, described: Path, tmp_path: Path, db_url: str
) -> None:
    evaluated(recognize, described, "--method", "label")
    evaluated(recognize, described, "-k", "context")
    named = recognize("runs", 2, "--name", "mine, at last")
    assert named.exit_code == 0, named.output
    assert "mine, at last" in named.stdout
    name = "mine, at last"
    same = (
        ("runs", "RUN"), ("runs", "RUN", "--json"), ("compare", "RUN"), ("compare", 1, "RUN", "--json"),
        ("impact", "RUN", "--json"), ("leaderboard", "RUN"), ("leaderboard", "RUN", "--json"),
        ("controls", "RUN", "--permutations", 3, "--replicates", 0, "--json"),
        ("report", "RUN", "-o", tmp_path / "run.html"),
    )  # fmt: skip
    for command in same:
        by_name, by_number = (
            recognize(*(given if part == "RUN" else part for part in command)) for given in (name, "2")
        )
        assert by_name.exit_code == 0, (command, by_name.output)
        if command[0] != "controls":
            assert by_name.stdout == by_number.stdout, command
    assert "run 2 (mine, at last)" in recognize("leaderboard", name).stdout.replace("\n", " ").replace("  ", " ")
    assert "balls · run 1 → run 2 (mine, at last)" in recognize("compare", 1, name).stdout
    assert Recognizer("balls", db=db_url).run(name).id == 2
    assert Recognizer("balls", db=db_url).compare(name).second == 2
    built = descgen("build", "-d", "balls", "-k", "contrast", "--against", f"run:{name}", "--llm", "fake", "--dry-run")
    assert "No run" not in built.output
    unknown = recognize("report", "mine at lats")
    assert unknown.exit_code == 2
    assert "Did you mean mine, at last?" in unknown.stderr


def test_changes_are_shown_and_refused_as_a_whole(recognize: Run, three: Store) -> None:
    changed = recognize("runs", 1, 3, "--tag", "paper", "--tag", "may", "--note", "for the table")
    assert changed.exit_code == 0, changed.output
    assert changed.stdout.count("[may] [paper]") == 2
    assert [run.tags for run in three.runs()] == [("may", "paper"), (), ("may", "paper")]
    for wrong, said in (
        ((1, 2, "--name", "x"), "A name is for one run"),
        ((1, 2, "--untag", "paper"), "Run 2 has no tag paper"),
        (("--tag", "x"), "Which runs to change?"),
        (("--delete",), "Which runs to delete?"),
        ((1, "--delete", "--note", "x"), "Do one after the other"),
        ((1, "--name", "7"), "cannot have the name 7"),
        ((9, "--note", "x"), "No run 9"),
        ((1, 2, "--method", "mean", "--delete"), "--method chooses runs for the list: leave it out, or 1 2"),
    ):
        result = recognize("runs", *wrong)
        assert result.exit_code == 2, wrong
        assert said in result.stderr, wrong
    assert [run.note for run in three.runs()] == ["for the table", None, "for the table"]
    assert json.loads(recognize("runs", 1, "--untag", "may", "--json").stdout)[0]["tags"] == ["paper"]


def test_filters_and_orders(recognize: Run, three: Store) -> None:
    recognize("runs", 1, "--name", "Baseline", "--tag", "paper")
    recognize("runs", 3, "--note", "after the second review")
    assert listed(recognize) == [1, 2, 3]
    assert listed(recognize, "--sort", "newest") == [3, 2, 1]
    assert listed(recognize, "--sort", "best") == [3, 1, 2]
    assert listed(recognize, "--sort", "gain") == [3, 1, 2]
    assert listed(recognize, "--sort", "name") == [1, 2, 3]
    assert listed(recognize, "--encoder", "siglip") == [2]
    assert listed(recognize, "--method", "max") == [3]
    assert listed(recognize, "--protocol", "tear") == []
    assert listed(recognize, "--tagged", "paper") == [1]
    assert listed(recognize, "--search", "baseLINE") == [1]
    assert listed(recognize, "--search", "second") == [3]
    assert listed(recognize, "--since", "2020-01-01") == [1, 2, 3]
    assert listed(recognize, "--since", "2999-01-01") == []
    assert listed(recognize, "--encoder", "fake", "--method", "mean") == [1]
    assert listed(recognize, "-d", "hmdb51") == []
    none = recognize("runs", "--tagged", "papers", "-d", "ucf101")
    assert none.exit_code == 1
    assert "None of 3 runs matches: tag papers. All: recognize runs --dataset ucf101" in none.stderr


def test_a_day_begins_at_midnight_utc(three: Store) -> None:
    times = [datetime(2030, 1, 2, 23, 59, tzinfo=UTC), datetime(2030, 1, 3, tzinfo=UTC)]
    runs = [replace(summary(run), created_at=when) for run, when in zip(three.runs(), times, strict=False)]
    assert [run.id for run in listing(runs, RunFilter(since=times[1]))] == [2]


def test_short_rows_have_the_numbers_of_the_whole_run(recognize: Run, described: Path, store: Store) -> None:
    run = evaluated(recognize, described, "-k", "context")
    evaluated(recognize, described, "--method", "label")
    first, second = json.loads(recognize("runs", "--json").stdout)
    assert (first["id"], first["dataset"], first["encoder"], first["method"]) == (1, "balls", "fake", "mean")
    assert first["texts"].startswith("context by context.json sha256:")
    assert (first["descriptors"], first["left_out"], first["counts"]) == (9, 1, run["counts"])
    for name, row in first["rows"].items():
        for measure, rate in row.items():
            assert rate == run["results"]["rows"][name][measure]
    assert first["gain"] == run["results"]["gain"]
    assert (first["created_at"], first["seconds"]) == (run["created_at"], run["seconds"])
    assert (second["texts"], second["descriptors"], list(second["rows"]), second["gain"]) == (
        "labels alone", 0, ["label only"], {},
    )  # fmt: skip


def test_twenty_runs_of_101_classes_are_short(recognize: Run, store: Store) -> None:
    large(store, "ucf101", each=2)
    [run] = store.runs()
    gain = {name: {"value": 0.123456789012345, "low": -0.1, "high": 0.2} for name in ("top1", "top5", "mean_per_class")}
    results = {**run.results, "gain": gain, "controls": {"texts": ["long"] * 10_000}}
    left_out = tuple((f"video {n}", "missing") for n in range(3000))
    for _ in range(19):
        store.save_run(replace(run, results=results, left_out=left_out, descriptor_ids=tuple(range(700)), id=None))
    output = recognize("runs", "--json").stdout
    assert len(json.loads(output)) == 20
    assert len(output.encode()) < 60_000


def test_80_columns_cut_no_number_and_no_name(three: Store) -> None:
    name = "tear against mine, with the texts of the second review"
    runs = [summary(replace(run, name=name, tags=("paper",), note="see the log\nsecond line")) for run in three.runs()]
    file = io.StringIO()
    Console(width=80, file=file).print(run_table(runs))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in file.getvalue()
    words = " ".join(" ".join(line.split()) for line in lines)
    for run in runs:
        for rate in (run.label_only, run.with_descriptors):
            assert rate is not None
            shown = f"{100 * rate['value']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"
            assert any(shown in line for line in lines), shown
        assert run.method in words
    assert [line.split()[0] for line in lines if line[:3].strip().isdecimal()] == ["1", "2", "3"]
    assert words.count("101/101") == 3


@pytest.mark.parametrize(("answer", "left"), [("n\n", [1, 2, 3]), ("", [1, 2, 3]), ("y\n", [2])])
def test_deletion_asks_and_says_what_goes(three: Store, db_url: str, answer: str, left: list[int]) -> None:
    three.run_changes().change([1], RunChange(name="old one"))
    result = CliRunner().invoke(
        program, ["runs", "old one", "3", "1", "--delete"], input=answer, env={"DESCGEN_DB": db_url}
    )
    assert "run 1 (old one): ucf101, " in result.stderr
    assert "101 predictions, 0 impacts of texts" in result.stderr
    assert (
        "This cannot be undone. To keep a copy: recognize runs 1 --json > run-1.json (and so for each" in result.stderr
    )
    assert "Delete 2 runs?" in result.stderr
    assert [run.id for run in three.runs()] == left
    assert (result.exit_code == 0) == (left == [2])


def test_deletion_without_a_question(recognize: Run, three: Store) -> None:
    result = recognize("runs", 2, "--delete", "--yes", "--json")
    assert result.exit_code == 0, result.output
    assert [gone["run"] for gone in json.loads(result.stdout)] == [2]
    assert [run.id for run in three.runs()] == [1, 3]
