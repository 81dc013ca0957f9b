"""Which texts a command uses: `--llm`, `--partial`, labels alone, and texts that are written on the way."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from db.descriptor_filter import find_writer
from db.errors import UserError
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.colours import COLOURS, balls, described, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "described", "encoder"]  # fixtures


def evaluated(recognize: Run, *options: object) -> dict[str, Any]:
    result = recognize("eval", *options, "-e", "fake", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def imported(descgen: Run, folder: Path, name: str, kind: str = "context") -> None:
    """Import a file of one text a class."""
    file = folder / name
    file.write_text(json.dumps({colour: [f"{colour} of {name}"] for colour in COLOURS}))
    assert descgen("import", file, "-d", "balls", "-k", kind).exit_code == 0


def test_labels_alone_are_an_evaluation_without_descriptors(recognize: Run, balls: Path) -> None:
    run = evaluated(recognize, balls, "--method", "label")
    assert (run["descriptor_ids"], run["results"]["rows"]["label only"]["top1"]["value"]) == ([], 1.0)
    shown = recognize("runs", "1").stdout
    assert "descriptors: none, labels alone" in shown
    assert "label + descriptors" not in shown


def test_a_folder_is_dataset_and_root_in_one(recognize: Run, descgen: Run, llm: FakeLLM, balls: Path) -> None:
    descgen("build", "-d", balls, "-k", "context")
    runs = [evaluated(recognize, *given) for given in ([balls], ["-d", balls], ["-d", "balls", balls])]
    assert {run["counts"]["evaluated"] for run in runs} == {6}
    assert {run["descriptors_sha256"] for run in runs} == {runs[0]["descriptors_sha256"]}
    for given, words in (
        ([balls, "--root", balls], "Give the folder of the videos once"),
        ([], "Give a folder that holds one folder a class, or --dataset NAME"),
    ):
        result = recognize("eval", *given, "-e", "fake")
        assert (result.exit_code, words in result.stderr) == (2, True), result.output


def test_a_partial_choice_scores_other_classes_by_label_and_says_so(
    recognize: Run, descgen: Run, llm: FakeLLM, balls: Path
) -> None:
    descgen("build", "-d", balls, "-k", "context", "--limit", "1")
    refused = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake")
    assert refused.exit_code == 1
    assert "of kind context for 2 of the 3 classes of balls: green_ball, red_ball. " in refused.stderr
    assert "--partial" in refused.stderr
    run = evaluated(recognize, balls, "--partial")
    assert run["settings"]["classes_without"] == {"context": 2}
    shown = recognize("runs", "1").stdout
    assert "partial: 2 classes without context; a class without any descriptor is scored by its label alone" in shown
    videos = [balls / name / "a" for name in sorted(COLOURS)]
    partly, by_label = (
        json.loads(recognize("predict", *videos, "-d", "balls", "-e", "fake", *options, "--json").stdout)["rankings"]
        for options in (["--partial"], ["--method", "label"])
    )
    for ranking, of_labels in zip(partly, by_label, strict=True):
        scores, labels = ({c["name"]: c["score"] for c in each["candidates"]} for each in (ranking, of_labels))
        assert [scores[name] == pytest.approx(labels[name]) for name in ("green_ball", "red_ball")] == [True, True]
        assert scores["blue_ball"] != pytest.approx(labels["blue_ball"])


def test_several_sources_are_refused_chosen_or_used_together(recognize: Run, descgen: Run, balls: Path) -> None:
    descgen("import", write(balls.parent / "one.json"), "-d", balls, "-k", "context")
    imported(descgen, balls.parent, "two.json")
    mixed = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake")
    assert mixed.exit_code == 1
    assert "Descriptors of kind context are from several sources: one.json sha256:" in mixed.stderr
    one, two = (evaluated(recognize, balls, "--llm", name)["descriptor_ids"] for name in ("one", "two.json"))
    both = evaluated(recognize, balls, "--llm", "one", "--llm", "two")["descriptor_ids"]
    assert (len(one), len(two), sorted(one + two)) == (3, 3, sorted(both))
    swept = recognize(
        "sweep", "-d", "balls", "--root", balls, "-e", "fake", "--llm", "one", "--llm", "one+two", "--json"
    )
    assert {row["llm"]: row["descriptors"] for row in json.loads(swept.stdout)} == {"one": 3, "one+two": 6}
    [command] = re.findall(r"descgen (reject .*?--status any)", mixed.stderr)
    assert descgen(*shlex.split(command.replace("NAME", "one"))).exit_code == 0  # as the message says
    assert evaluated(recognize, balls)["descriptor_ids"] == two


def write(file: Path) -> Path:
    file.write_text(json.dumps({colour: [f"{colour} of {file.name}"] for colour in COLOURS}))
    return file


WRITERS = ("gpt-4.1", "gpt-4.1-mini", "org/Llama-3.1-8B", "tear.json sha256:12", "tear_spatio.json sha256:34", "hand")


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("gpt-4.1", "gpt-4.1"),
        ("openai:gpt-4.1", "gpt-4.1"),
        ("GPT-4.1-MINI", "gpt-4.1-mini"),
        ("mini", "gpt-4.1-mini"),
        ("hf:org/Llama-3.1-8B", "org/Llama-3.1-8B"),
        ("llama", "org/Llama-3.1-8B"),
        ("tear.json", "tear.json sha256:12"),
        ("spatio", "tear_spatio.json sha256:34"),
        ("hand", "hand"),
        ("qwen", None),
    ],
)
def test_a_writer_is_named_whole_or_by_a_part_that_only_it_has(name: str, writer: str | None) -> None:
    assert find_writer(name, WRITERS) == writer


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("handd", "Did you mean hand? "),
        ("my_file.jsn", "Did you mean my file.json? "),
        ("qwen", ""),
    ],
)
def test_an_unknown_writer_is_told_with_those_like_it(
    recognize: Run, descgen: Run, balls: Path, name: str, said: str
) -> None:
    assert descgen("datasets", "add", balls).exit_code == 0
    imported(descgen, balls.parent, "my file.json")
    assert descgen("add", "-d", "balls", "-a", "red_ball", "-k", "context", "a tomato").exit_code == 0
    for command, before, after in (
        (("eval", balls, "-e", "fake", "--llm", name), f"No descriptors by {name}. ", "There are some by: hand, "),
        (("lint", "-d", "balls", "--llm", name), f"descriptors by {name} of balls", "Stored: "),
    ):
        told = (recognize if command[0] == "eval" else descgen)(*command)
        assert told.exit_code == 1
        assert before in told.stderr
        assert f". {said}{after}" in told.stderr, told.stderr


@pytest.mark.parametrize("name", ["gpt", "tear", "sha256"])
def test_a_name_that_means_several_writers_is_refused_with_all_of_them(name: str) -> None:
    with pytest.raises(UserError, match=f"--llm {name} means several: .*, .*Give more of the name"):
        find_writer(name, WRITERS)


def test_the_choice_of_texts_is_honoured_for_labels_in_a_file(recognize: Run, descgen: Run, balls: Path) -> None:
    labels = balls.parent / "colours.txt"
    labels.write_text("\n".join(sorted(COLOURS)))
    file = write(balls.parent / "one.json")
    asked = ("predict", balls / "red_ball" / "a", "--labels", labels, "-e", "fake", "--json")
    assert json.loads(recognize(*asked).stdout)["settings"]["descriptors"] == 0
    descgen("import", file, "-d", labels, "-k", "context")
    assert json.loads(recognize(*asked).stdout)["settings"]["descriptors"] == 3
    for options in (["--kind", "situation"], ["--status", "accepted"]):
        assert recognize(*asked, *options).exit_code == 1


@pytest.mark.slow
def test_one_line_writes_the_missing_texts_and_predicts(recognize: Run, balls: Path) -> None:
    labels = balls.parent / "two words.txt"
    labels.write_text("red ball\ngreen ball\n")
    asked = ("predict", balls / "red_ball" / "a", "--labels", labels, "--llm", "smollm2", "-k", "context")
    first = recognize(*asked, "-e", "fake", "--json")
    assert first.exit_code == 0, first.output
    assert "Writing the missing descriptors: descgen build --dataset" in first.stderr
    assert json.loads(first.stdout)["settings"]["descriptors"] > 4
    second = recognize(*asked, "-e", "fake", "--json")
    assert "Writing" not in second.stderr
    assert second.stdout == first.stdout


def test_texts_that_cannot_be_written_end_the_prediction(recognize: Run, balls: Path) -> None:
    labels = balls.parent / "labels.txt"
    labels.write_text("red ball\ngreen ball\n")
    result = recognize("predict", balls / "red_ball" / "a", "--labels", labels, "--llm", "nobody", "-e", "fake")
    assert result.exit_code == 1
    assert f"The command was: descgen build --dataset {labels} --llm nobody" in result.stderr


@pytest.mark.parametrize(("options", "kinds"), [
    (("--method", "label"), "--kind name"), (("-k", "context"), "--kind context --kind name"), ((), ""),
])  # fmt: skip
def test_names_are_written_too_where_they_are_used(
    recognize: Run, balls: Path, options: tuple[str, ...], kinds: str
) -> None:
    labels = balls.parent / "labels.txt"
    labels.write_text("red ball\ngreen ball\n")
    asked = ("predict", balls / "red_ball" / "a", "--labels", labels, "--llm", "nobody", "-e", "fake")
    result = recognize(*asked, "--names", "replace", *options)
    assert result.exit_code == 1
    assert result.stderr.strip().endswith(f"--llm nobody {kinds}".strip())


@pytest.fixture
def kinds(descgen: Run, llm: FakeLLM, balls: Path) -> Path:
    """Two datasets: the balls have texts of an imported kind, the labels of the returned file those of a prompt."""
    assert descgen("datasets", "add", balls).exit_code == 0
    imported(descgen, balls.parent, "moods.json", kind="mood")
    template = balls.parent / "setting.j2"
    template.write_text(descgen("prompts", "show", "context").stdout.replace("kind: context", "kind: setting"))
    labels = balls.parent / "colours.txt"
    labels.write_text("\n".join(sorted(COLOURS)))
    assert descgen("build", "-d", labels, "--template", template).exit_code == 0
    return labels


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("contxt", "Unknown kind 'contxt'. Did you mean context or contrast? Known: "),
        ("Context", "Unknown kind 'Context'. Did you mean context? Known: "),
        ("moods", "Unknown kind 'moods'. Did you mean mood? Known: "),
        ("seting", "Unknown kind 'seting'. Did you mean setting? Known: "),
        ("qqqq", "Unknown kind 'qqqq'. Known: "),
    ],
)
def test_an_unknown_kind_is_told_with_those_like_it(recognize: Run, kinds: Path, kind: str, said: str) -> None:
    every = "context, contrast, decomposition, description, mood, name, setting, situation\n"
    video = kinds.parent / "balls" / "red_ball" / "a"
    for command in (
        ("eval", video.parents[1], "-e", "fake", "-k", kind),
        ("sweep", video.parents[1], "-e", "fake", "--kinds", f"mood+{kind}"),
        ("predict", video, "-d", "balls", "-e", "fake", "-k", kind),
    ):
        told = recognize(*command)
        assert told.exit_code == 2, told.output
        assert said in told.stderr
        assert told.stderr.endswith(every)


def test_a_kind_that_is_known_elsewhere_is_written_or_imported_as_the_message_says(
    recognize: Run, descgen: Run, kinds: Path
) -> None:
    video = kinds.parent / "balls" / "red_ball" / "a"
    for dataset, kind, said in (
        ("balls", "setting", "Write them with: descgen build --dataset balls --kind setting"),
        ("colours", "mood", "import such texts: descgen import FILE --dataset colours --kind mood"),
    ):
        asked = ("predict", video, "-d", dataset, "-e", "fake", "-k", kind)
        told = recognize(*asked)
        assert (told.exit_code, said in told.stderr) == (1, True), told.output
        [command] = re.findall(rf"descgen ((?:build|import) .*--kind {kind})", told.stderr)
        file = str(kinds.parent / "moods.json")
        done = descgen(*(file if word == "FILE" else word for word in shlex.split(command)))
        assert done.exit_code == 0, done.output
        assert recognize(*asked).exit_code == 0


def test_filters_of_descgen_take_known_kinds_and_suggest_what_works(
    descgen: Run, kinds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["export"], ["lint"], ["similarity"], ["pack", "mine", "--licence", "MIT"]):
        told = descgen(*command, "-d", "balls", "-k", "contxt")
        assert (told.exit_code, "Unknown kind 'contxt'. Did you mean context" in told.stderr) == (2, True), told.output
    for dataset, kind, suggested in (("colours", "mood", ""), ("colours", "situation", " --kind situation")):
        told = descgen("export", "-d", dataset, "-k", kind)
        assert told.exit_code == 1
        assert told.stderr.endswith(f"Write others with: descgen build --dataset {dataset}{suggested}\n")
        assert descgen("build", *told.stderr.split("descgen build ")[1].split(), "--dry-run").exit_code == 0
