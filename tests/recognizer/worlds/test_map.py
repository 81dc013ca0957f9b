"""The map of methods and worlds: its numbers, its command, and the one in docs/methods.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from recognizer.worlds.measure import COLUMNS, measure, over_seeds
from recognizer.worlds.named import WORLDS
from tests.fixtures.commands import Run

DOCUMENT = Path(__file__).parents[3] / "docs" / "methods.md"


def test_the_interval_over_seeds_is_that_of_student() -> None:
    found = over_seeds([1.0, 2.0, 3.0, 4.0, 5.0])  # deviation sqrt(2.5); t(0.975, 4) = 2.776
    assert (found.low, found.value, found.high) == pytest.approx((3 - 1.963, 3, 3 + 1.963), abs=1e-3)
    same = over_seeds([0.25] * 3)
    assert (same.low, same.value, same.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("seeds", [2, 5, 40])
def test_the_interval_over_seeds_holds_the_truth_in_95_of_100_cases(seeds: int) -> None:
    drawn = np.random.default_rng(0).normal(size=(2000, seeds))
    rates = [over_seeds(row) for row in drawn.tolist()]
    assert sum(rate.low <= 0 <= rate.high for rate in rates) / 2000 == pytest.approx(0.95, abs=0.015)


def test_a_gain_is_the_mean_over_seeds_and_has_a_verdict() -> None:
    worlds = [WORLDS["plain"], WORLDS["wrong"]]
    found = measure(worlds, ["label", "mean"], seeds=3)
    right, wrong = found.cells["plain", "mean"], found.cells["wrong", "mean"]
    assert right.gain.value == pytest.approx(sum(right.by_seed) / 3)
    assert right.top1.value == pytest.approx(found.label_only["plain"].value + right.gain.value)
    assert (wrong.verdict, found.cells["plain", "label"].verdict) == ("collapses", "unclear")


def test_the_command_shows_the_table_and_what_it_says_in_words(recognize: Run, tmp_path: Path) -> None:
    picture = tmp_path / "map.png"
    shown = recognize(
        "worlds", "-w", "wrong", "--method", "mean", "--method", "label", "--seeds", 2, "--picture", picture
    )
    assert shown.exit_code == 0, shown.output
    assert re.search(r"^wrong +\d+\.\d +-\d+\.\d\* +0\.0 ?$", shown.stdout, re.MULTILINE)
    assert "mean collapses in wrong." in shown.stdout
    assert "label is the same as the labels alone in every world." in shown.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_json_has_every_world_and_method_with_its_parameters(recognize: Run) -> None:
    shown = json.loads(recognize("worlds", "--world", "few", "--world", "plain", "--seeds", 2, "--json").stdout)
    rows = shown["map"]
    assert shown["placement"] is None
    assert [(row["world"], row["method"]) for row in rows] == [(w, m) for w in ("few", "plain") for m in COLUMNS]
    assert rows[0]["parameters"]["classes_present"] == 3
    assert all(len(row["gain_by_seed"]) == 2 and row["gain"]["low"] <= row["gain"]["value"] for row in rows)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--world", "plane"], "Unknown world 'plane'. Did you mean plain"),
        (["--method", "maen"], "Unknown method 'maen'. Did you mean mean"),
        (["--method", "mean+sinkhole"], "Unknown transductive 'sinkhole'. Did you mean sinkhorn"),
        (["--seeds", "1"], "1 is not in the range x>=2"),
        (["--root", "."], "--root is for the videos of a run: give its number or name with --run"),
        (["--picture", "map.gif"], "map.gif ends in .gif. Known: .png, .svg, .pdf"),
    ],
)
def test_wrong_use_is_told_with_what_is_known(recognize: Run, arguments: list[str], said: str) -> None:
    result = recognize("worlds", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def documented() -> Iterator[tuple[str, str, str]]:
    """Yield (world, method, cell) of the table in the document."""
    made = DOCUMENT.read_text().partition("<!-- map -->")[2].partition("<!-- end of the map -->")[0]
    head, *rows = [
        line.strip("| ").replace("`", "").split(" | ") for line in made.splitlines() if line.startswith("| ")
    ]
    for world, _, _, *cells in rows:
        yield from ((world, method, cell) for method, cell in zip(head[3:], cells, strict=True))


def test_the_map_in_the_documents_has_every_world_and_method() -> None:
    known = {(world, method) for world in WORLDS for method in COLUMNS}
    assert {(world, method) for world, method, _ in documented()} == known, "make it again: python docs/methods_map.py"


def test_clear_cells_of_the_map_in_the_documents_have_their_sign_again() -> None:
    clear = [(w, m, float(cell[:-1]) > 0) for w, m, cell in documented() if cell.endswith("*")]
    assert len(clear) > len(WORLDS)
    fresh = measure(list(WORLDS.values()), list(COLUMNS), seeds=3).cells
    reversed_ = [(w, m) for w, m, up in clear if fresh[w, m].verdict != "unclear" and (fresh[w, m].gain.low > 0) != up]
    assert not reversed_, "make the map again: python docs/methods_map.py"
    assert sum((fresh[w, m].gain.value > 0) == up for w, m, up in clear) > 0.9 * len(clear)
