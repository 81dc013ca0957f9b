"""recognize with --names, through the command line: names in place of labels, or joined with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.errors import UsageError
from db.store import Store
from recognizer import Recognizer
from tests.fixtures.colours import COLOURS, balls, described, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "described", "encoder"]  # fixtures

# What the encoder sees of a text is its first colour: the names of two classes say the other's.
NAMES = {"red_ball": "green ball", "green_ball": "red ball", "blue_ball": "round blue ball"}


def imported(descgen: Run, balls: Path, names: dict[str, str], file: str = "names.json") -> None:
    path = balls.parent / file
    path.write_text(json.dumps({name: [text] for name, text in names.items()}))
    result = descgen("import", path, "-d", balls, "-k", "name")
    assert result.exit_code == 0, result.output


def evaluated(recognize: Run, balls: Path, *options: object) -> dict[str, Any]:
    result = recognize("eval", balls, "-e", "fake", *options, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def top1(run: dict[str, Any]) -> tuple[float, float]:
    """Return the top-1 of the labels alone, and of the run."""
    rows = run["results"]["rows"]
    return rows["label only"]["top1"]["value"], rows["label + descriptors"]["top1"]["value"]


@pytest.mark.parametrize("method", ["mean", "label"])
def test_names_alone_replace_the_labels_beside_the_plain_baseline(
    descgen: Run, recognize: Run, balls: Path, store: Store, method: str
) -> None:
    imported(descgen, balls, NAMES)
    run = evaluated(recognize, balls, "--names", "replace", "--method", method)
    assert top1(run) == (1.0, pytest.approx(1 / 3))  # only the two blue videos are right by names
    ids = [text.id for text in store.descriptors(store.dataset("balls"))]
    assert (run["descriptor_ids"], run["settings"]["kinds"], run["settings"]["names"]) == (ids, ["name"], "replace")
    assert run["settings"]["classes"][0] == ["blue_ball", "blue ball"]
    shown = recognize("runs", run["id"]).stdout
    assert "the name in place of the label" in shown
    assert "label + descriptors" in shown


def test_joined_names_share_the_label(descgen: Run, recognize: Run, balls: Path) -> None:
    """Names of the right colour keep every label right; those of another colour make a tie (see the sweep below)."""
    imported(descgen, balls, {**NAMES, "red_ball": "a red thing", "green_ball": "a green thing"})
    run = evaluated(recognize, balls, "--names", "join")
    assert top1(run) == (1.0, 1.0)
    assert "the mean of label and name in place of the label" in recognize("runs", 1).stdout


def test_without_the_option_names_are_not_used(descgen: Run, recognize: Run, described: Path) -> None:
    before = evaluated(recognize, described)
    imported(descgen, described, NAMES)
    after = evaluated(recognize, described)
    assert after["descriptor_ids"] == before["descriptor_ids"]
    assert "names" not in after["settings"]
    refused = recognize("eval", described, "-e", "fake", "--kind", "name")
    assert refused.exit_code == 2
    assert "Texts of kind name stand for labels. Say how: --names replace or --names join" in refused.stderr


def test_names_that_are_not_asked_for_are_as_if_there_were_no_texts(descgen: Run, recognize: Run, balls: Path) -> None:
    imported(descgen, balls, NAMES)
    predicted = recognize("predict", balls / "red_ball" / "a", "-d", "balls", "-e", "fake")
    assert predicted.exit_code == 0
    assert "no descriptors: labels alone" in predicted.stdout
    refused = recognize("eval", balls, "-e", "fake")
    assert refused.exit_code == 1
    assert refused.stderr.strip().endswith("or use its names alone: --names replace --kind name")
    assert evaluated(recognize, balls, "--names", "replace", "--kind", "name")["settings"]["kinds"] == ["name"]


def test_names_and_descriptors_of_a_kind(descgen: Run, recognize: Run, described: Path) -> None:
    imported(descgen, described, NAMES)
    run = evaluated(
        recognize, described, "--names", "replace", "--kind", "context", "--llm", "context", "--llm", "names"
    )
    assert run["settings"]["kinds"] == ["context", "name"]
    assert len(run["descriptor_ids"]) == 9 + 3


def test_names_that_are_missing_or_several_are_refused(descgen: Run, recognize: Run, balls: Path) -> None:
    asked = ("eval", balls, "-e", "fake", "--names", "replace")
    descgen("import", balls.parent / "none.json", "-d", balls, "-k", "name")
    imported(descgen, balls, {"red_ball": "a red ball"})
    missing = recognize(*asked)
    assert missing.exit_code == 1
    assert "of kind name for 2 of the 3 classes of balls: blue_ball, green_ball" in missing.stderr
    assert f"Write them with: descgen build --dataset {balls} --kind name, or score" in missing.stderr
    partial = evaluated(recognize, balls, "--names", "replace", "--partial")
    assert partial["settings"]["classes_without"] == {"name": 2}
    assert top1(partial) == (1.0, 1.0)
    imported(descgen, balls, NAMES, "others.json")
    several = recognize(*asked, "--llm", "names.json", "--llm", "others.json")
    assert several.exit_code == 1
    assert "1 classes have several texts of kind name, and a label has one: red_ball" in several.stderr
    assert evaluated(recognize, balls, "--names", "replace", "--llm", "others.json")["settings"]["kinds"] == ["name"]


def test_no_names_at_all_say_how_to_write_them(recognize: Run, descgen: Run, described: Path) -> None:
    refused = recognize("eval", described, "-e", "fake", "--names", "join")
    assert refused.exit_code == 1
    assert "of kind name for balls" in refused.stderr
    assert f"Write them with: descgen build --dataset {described} --kind name" in refused.stderr


@pytest.mark.parametrize(("names", "text"), [("replace", "green ball"), ("join", "red ball + green ball")])
def test_explain_gives_the_name_its_row(descgen: Run, recognize: Run, balls: Path, names: str, text: str) -> None:
    imported(descgen, balls, NAMES)
    asked = ("explain", balls / "red_ball" / "a", "-d", "balls", "-e", "fake", "--class", "red_ball")
    result = recognize(*asked, "--names", names, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    [red] = [each for each in answer["explanations"][0]["classes"] if each["name"] == "red_ball"]
    [row] = red["texts"]
    assert (row["kind"], row["text"], row["status"], row["used"]) == ("name", text, "pending", True)
    assert row["id"] is not None
    assert row["attribution"] == pytest.approx(red["score"], abs=1e-6)
    assert red["label_only_rank"] == 1
    assert answer["settings"]["names"] == names


def test_impact_puts_the_label_back(descgen: Run, recognize: Run, balls: Path) -> None:
    imported(descgen, balls, NAMES)
    evaluated(recognize, balls, "--names", "replace")
    result = recognize("impact", 1, "--json")
    assert result.exit_code == 0, result.output
    effects = {text["descriptor"]["action"]: text for text in json.loads(result.stdout)["texts"]}
    assert effects.keys() == set(COLOURS)
    # red as it is: its two videos are tied with the class whose name is red, and so still wrong
    assert (effects["red_ball"]["gained"], effects["red_ball"]["lost"]) == (0, 0)
    assert effects["red_ball"]["margin_change"] > 0


def test_controls_leave_names_where_they_are(descgen: Run, recognize: Run, described: Path) -> None:
    imported(descgen, described, NAMES)
    evaluated(recognize, described, "--names", "replace", "--llm", "names", "--method", "label")
    refused = recognize("controls", 1)
    assert refused.exit_code == 1
    assert "Run 1 used no descriptors" in refused.stderr
    evaluated(recognize, described, "--names", "join", "--kind", "context", "--llm", "names", "--llm", "context")
    measured = json.loads(recognize("controls", 2, "--json").stdout)
    assert measured["label_only"]["value"] == 1.0
    assert [each["name"] for each in measured["texts"]] == ["swapped", "scrambled", "waffle", "shared"]


def test_report_and_compare_tell_them(descgen: Run, recognize: Run, balls: Path) -> None:
    imported(descgen, balls, NAMES)
    evaluated(recognize, balls, "--method", "label")
    evaluated(recognize, balls, "--names", "replace")
    page = balls.parent / "run.html"
    assert recognize("report", 2, "-o", page).exit_code == 0
    assert "the name in place of the label" in page.read_text()
    assert "names: off → replace" in recognize("compare", 1, 2).stdout


def test_a_sweep_has_names_as_a_list(descgen: Run, recognize: Run, balls: Path) -> None:
    imported(descgen, balls, NAMES)
    asked = (
        "sweep",
        balls,
        "-e",
        "fake",
        "--kinds",
        "label",
        "--names",
        "off",
        "--names",
        "replace",
        "--names",
        "join",
    )
    rows = json.loads(recognize(*asked, "--json").stdout)
    assert {row["names"]: (row["top1"], row["label_only_top1"]) for row in rows} == {
        "off": (1.0, 1.0), "replace": (pytest.approx(1 / 3), 1.0), "join": (pytest.approx(1 / 3), 1.0),
    }  # fmt: skip
    stored = recognize(*asked, "--store")
    assert stored.exit_code == 0, stored.output
    assert recognize("impact", 2).exit_code == 0


def test_predict_and_the_python_interface(descgen: Run, recognize: Run, balls: Path, db_url: str) -> None:
    imported(descgen, balls, NAMES)
    shown = recognize("predict", balls / "red_ball" / "a", "-d", "balls", "-e", "fake", "--names", "replace").stdout
    assert "the name in place of the label" in " ".join(shown.split())
    recognizer = Recognizer("balls", encoder="fake", db=db_url, names="replace", progress=False)
    [ranking] = recognizer.predict(balls / "red_ball" / "a")
    assert (ranking.candidates[0].name, ranking.candidates[0].label_only_rank) == ("green_ball", 3)


def test_texts_to_encode_elsewhere_have_the_names_too(recognize: Run, descgen: Run, balls: Path) -> None:
    asked = ("features", "texts", "-d", balls, "--names", "replace", "--method", "label", "--templates", "none")
    refused = recognize(*asked)
    assert refused.exit_code == 1
    assert "--kind name" in refused.stderr
    imported(descgen, balls, NAMES)
    texts = recognize(*asked).stdout.splitlines()
    assert set(texts) == {"red ball", "green ball", "blue ball", "round blue ball"}


def test_localize_and_unknown_uses_are_refused(descgen: Run, balls: Path, db_url: str) -> None:
    imported(descgen, balls, NAMES)
    recognizer = Recognizer("balls", encoder="fake", db=db_url, names="replace", progress=False)
    with pytest.raises(UsageError, match="recognize localize compares segments with labels as they are"):
        recognizer.localize(balls / "red_ball" / "a")
    with pytest.raises(UsageError, match=r"Unknown use of names 'both'.*off, replace, join"):
        replace(recognizer, names="both").predict(balls / "red_ball" / "a")  # type: ignore[arg-type]
