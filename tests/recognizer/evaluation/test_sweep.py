"""recognize sweep: the same numbers as single evaluations, from one pass over the videos."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from db.store import Store
from encoders.testing import FakeEncoder
from recognizer.features.store import FeatureStore
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "described", "encoder"]  # fixtures


def sweep(recognize: Run, root: Path, *arguments: object) -> list[dict[str, object]]:
    result = recognize("sweep", "-d", "balls", "--root", root, "-e", "fake", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


LISTS = (
    "--kinds", "decomposition", "--kinds", "context+description", "--kinds", "every", "--kinds", "label",
    "--method", "mean", "--method", "align", "--method", "max", "--templates", "tear16", "--templates", "none",
    "--condition", "yes", "--condition", "no", "--pooling", "avg", "--pooling", "max", "--temperature", 3,
    "--protocol", "default", "--protocol", "tear",
)  # fmt: skip


def test_each_row_is_what_eval_says(recognize: Run, described: Path) -> None:
    rows = sweep(recognize, described, *LISTS)
    combined = 3 * 3 * 2 * 2 * 2 * 2  # kinds, methods, templates, conditioning, pooling, protocols
    assert len(rows) == combined + 2 * 2 + 3 * 2 * 2 * 2  # labels alone: only what changes them; under tear, all
    assert [row["top1"] for row in rows] == sorted((row["top1"] for row in rows), reverse=True)
    assert len({row["top1"] for row in rows}) > 2, "the choices make no difference here, so nothing is tested"
    asked = [row for row in rows if row["kinds"] != "label"][::31]
    for row in asked:
        chosen = [part for kind in str(row["kinds"]).split("+") for part in ("--kind", kind)]
        for name in ("method", "templates", "pooling", "protocol", "temperature"):
            chosen += [f"--{name}", str(row[name])]
        chosen += ["--condition"] if row["condition"] == "yes" else []
        result = recognize("eval", "-d", "balls", "--root", described, "-e", "fake", *chosen, "--json")
        run = json.loads(result.stdout)
        of_row = run["results"]["rows"]["label + descriptors"]
        assert (row["videos"], row["top1"], row["top1_low"]) == (
            of_row["videos"], of_row["top1"]["value"], of_row["top1"]["low"],
        )  # fmt: skip
        assert row["label_only_top1"] == run["results"]["rows"]["label only"]["top1"]["value"]
        assert row["log_loss"] == pytest.approx(run["results"]["log_loss"]["label + descriptors"], abs=1e-5)


def test_videos_are_embedded_once_for_each_preprocessing_and_strings_once_in_all(
    recognize: Run, described: Path, encoder: FakeEncoder
) -> None:
    sweep(recognize, described, *LISTS)
    assert sum(encoder.frames) == 2 * 6 * 16
    assert len(encoder.encoded) == len(set(encoder.encoded)) > 500
    before = (list(encoder.frames), list(encoder.encoded))
    sweep(recognize, described, *LISTS)  # all of it is in the feature store
    assert (encoder.frames, encoder.encoded) == before


def test_rows_are_of_the_same_videos_or_refused(recognize: Run, described: Path, features: Path) -> None:
    protocols = ("--protocol", "default", "--protocol", "tear")
    sweep(recognize, described, *protocols)
    with FeatureStore.open(features) as store, store.writing() as connection:
        [_, of_tear] = [row for row in store.shelves() if row.shape[-2:] == (16, 32)]
        connection.execute(
            "UPDATE entry SET slot = NULL, note = 'the decoder died' WHERE shelf = ? AND slot = 2", (of_tear.id,)
        )
    result = recognize("sweep", "-d", "balls", "--root", described, "-e", "fake", *protocols)
    assert result.exit_code == 1
    message = " ".join(result.stderr.split())
    assert "Of the videos, 2 can be read with the preprocessing of one protocol but not of another: " in message
    assert {row["videos"] for row in sweep(recognize, described, "--protocol", "tear")} == {4}
    assert {row["videos"] for row in sweep(recognize, described, *protocols, "--retry")} == {6}


def test_the_grid_of_tear_is_one_command(recognize: Run, described: Path, encoder: FakeEncoder) -> None:
    rows = sweep(recognize, described, "--grid", "tear")
    choices = {(row["kinds"], row["method"], row["templates"], row["condition"]) for row in rows}
    assert len(rows) == len(choices) == 40
    assert {kinds for kinds, *_ in choices} == {
        "label", "description", "decomposition", "context", "context+decomposition+description",
    }  # fmt: skip
    assert {row["protocol"] for row in rows} == {"tear"}
    assert "A video action of blue ball blue ball" in encoder.encoded  # only_label, conditioned, as in its files
    fewer = sweep(recognize, described, "--grid", "tear", "--method", "align", "--kinds", "every")
    assert {(row["method"], row["kinds"]) for row in fewer} == {("align", "context+decomposition+description")}
    assert len(fewer) == 4


def test_the_table_shows_what_differs_and_the_files_hold_all(recognize: Run, described: Path, tmp_path: Path) -> None:
    table, picture = tmp_path / "rows.csv", tmp_path / "rows.png"
    lists = ("--kinds", "context", "--kinds", "decomposition", "--method", "mean", "--method", "max")
    result = recognize(
        "sweep", "-d", "balls", "--root", described, "-e", "fake", *lists, "--csv", table, "--plot", picture
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "balls · 4 evaluations"
    assert lines[1] == "encoder fake · 16 frames · class folders"
    assert lines[2].startswith("protocol default · templates protocol · condition no · ")
    assert lines[3] == "videos: 7 listed, 6 evaluated, 1 unreadable"
    assert lines[4] == "6 videos are too few to compare anything: see the intervals"
    assert lines[6].split()[:3] == ["kinds", "method", "videos"]
    assert lines[7].split()[:5] == ["1", "context", "mean", "6", "100.0"]
    number, kinds, _, videos, top1, *_, gain, _, _, corrected_p = lines[10].split()
    assert (number, kinds, videos) == ("4", "decomposition", "6")
    assert float(top1) - 100 == pytest.approx(float(gain), abs=0.06)
    assert float(corrected_p) == 1
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["top1"]) for row in rows] == sorted((float(row["top1"]) for row in rows), reverse=True)
    assert {row["kinds"] for row in rows} == {"context", "decomposition"}
    assert float(rows[0]["label_only_top1_low"]) == pytest.approx(0.6097, abs=1e-4), "Wilson's, 6 of 6"
    assert all(float(row["gain_low"]) < float(row["gain"]) < float(row["gain_high"]) for row in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_classes_without_descriptors_are_refused_or_told(
    recognize: Run, described: Path, descgen: Run, store: Store
) -> None:
    for text in store.descriptors(store.dataset("balls"), kinds=["context"]):
        if text.action == "red_ball":
            assert descgen("reject", text.id, "--reviewer", "kim").exit_code == 0
    videos = ("-d", "balls", "--root", described, "-e", "fake")
    lists = ("--kinds", "context", "--kinds", "decomposition")
    refused = recognize("sweep", *videos, *lists)
    assert refused.exit_code == 1
    assert "score those classes by label alone: --partial" in " ".join(refused.stderr.split())
    told = "partial: 1 class without context; a class without any descriptor is scored by its label alone"
    assert told in " ".join(recognize("sweep", *videos, *lists, "--partial").stdout.split())
    rows = {row["kinds"]: row for row in sweep(recognize, described, *lists, "--partial")}
    assert [rows[kind]["classes_without"] for kind in ("context", "decomposition")] == ["context:1", ""]
    run = json.loads(recognize("eval", *videos, "--kind", "context", "--partial", "--json").stdout)
    assert rows["context"]["top1"] == run["results"]["rows"]["label + descriptors"]["top1"]["value"]


def test_runs_are_stored_when_asked_for(recognize: Run, described: Path, store: Store) -> None:
    lists = ("--kinds", "context", "--kinds", "label", "--method", "mean", "--method", "align")
    assert [row["run"] for row in sweep(recognize, described, *lists)] == [None] * 3
    assert store.runs() == []
    rows = sweep(recognize, described, *lists, "--store")
    assert [row["run"] for row in rows] == [1, 2, 3]
    for row in rows:
        run = store.run(int(str(row["run"])))
        assert (run.settings["method"], len(run.predictions)) == (row["method"], 6)
        assert run.results["rows"]["label + descriptors"]["top1"]["value"] == row["top1"]
        shown = recognize("runs", row["run"])
        assert shown.exit_code == 0
    assert "descriptors: none, labels alone" in "".join(recognize("runs", n).stdout for n in (1, 2, 3))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--grid", "bear"], 2, "Unknown grid 'bear'. Did you mean tear? Known: tear"),
        (["--method", "mean", "--method", "median"], 2, "Unknown method 'median'. "),
        (["--templates", "tear15"], 2, "Unknown templates 'tear15'"),
        (["--kinds", "context+contxt"], 2, "Unknown kind 'contxt'. Did you mean context or contrast?"),
        (["--llm", "qwen"], 1, "No descriptors by qwen. There are some by: "),
        (["--plot", "a.jpeg2"], 2, "a.jpeg2 ends in .jpeg2. Known: .png, .svg, .pdf"),
        (["--csv", "nowhere/a.csv"], 2, "There is no folder nowhere to write a.csv to"),
        (["--condition", "maybe"], 2, "'maybe' is not one of 'yes', 'no'"),
    ],
)
def test_wrong_use_is_told_before_any_work(
    recognize: Run, described: Path, encoder: FakeEncoder, arguments: list[str], code: int, said: str
) -> None:  # fmt: skip
    result = recognize("sweep", "-d", "balls", "--root", described, "-e", "fake", *arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert encoder.encoded == []


def test_labels_alone_have_a_row_by_a_method_that_pools_frames_in_its_own_way(
    recognize: Run, described: Path, encoder: FakeEncoder
) -> None:
    methods = [part for name in ("mean", "align", "mta", "label") for part in ("--method", name)]
    rows = sweep(recognize, described, "--kinds", "label", *methods, "--store")
    assert {(row["kinds"], row["method"], row["descriptors"]) for row in rows} == {
        ("label", "label", 0),
        ("label", "mta", 0),
    }
    numbers = {row["method"]: row["run"] for row in rows}
    assert "labels alone by mta" in recognize("runs", numbers["mta"]).stdout
    assert "labels alone by" not in recognize("runs", numbers["label"]).stdout
    [by_label, by_mta] = [
        json.loads(recognize("runs", numbers[m], "--json").stdout)["results"]["rows"] for m in ("label", "mta")
    ]
    assert by_label["label only"] == by_mta["label only"]
