"""The commands that messages suggest: each is taken out of its message and run."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from descriptor_gen.cli import descgen as descgen_program
from descriptor_gen.llms.testing import FakeLLM
from recognizer.cli import recognize as recognize_program
from tests.fixtures.colours import encoder
from tests.fixtures.commands import Run
from tests.fixtures.videos import make_images

__all__ = ["encoder"]
ROOT = Path(__file__).parents[1]

PROGRAMS: dict[str, click.Group] = {"descgen": descgen_program, "recognize": recognize_program}
SUGGESTED = re.compile(r"(?<![\w`])(?:descgen|recognize)(?= [a-z-])(?:'[^']*'|[^\s'.:;,()]|[.](?=\S)|\s)+")
PLACES = {"FILE": "copy.json", "FOLDER": "'my videos/clips'", "NAME": "fake"}  # what a user fills in
SOURCES = [
    path
    for folder in ("db", "encoders", "descriptor_gen", "recognizer", "studio")
    for path in (ROOT / folder).rglob("*.py")
]


def commands_in(message: str) -> list[list[str]]:
    """Return each `descgen ...` and `recognize ...` in a message, as words."""
    for place, value in PLACES.items():
        message = re.sub(rf"\b{place}\b", value, message)
    commands = [shlex.split(found.strip()) for found in SUGGESTED.findall(message)]
    return [command[:-1] if command[-1] in ("or", "and", "then") else command for command in commands]


def run(command: list[str]) -> Result:
    """Run a command as it is written; of `review`, which serves until it is stopped, only read the options."""
    if command[1] == "review":
        command = [*command, "--help"]
    return CliRunner().invoke(PROGRAMS[command[0]], command[1:])


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A file of labels in a folder with a space in its name."""
    path = tmp_path / "my videos" / "kitchen labels.txt"
    path.parent.mkdir()
    path.write_text("cut\npour\n")
    return path


def stored(descgen: Run, labels: Path) -> None:
    """Store the labels with texts."""
    assert descgen("build", "-d", labels, "-k", "context").exit_code == 0


def other_classes(descgen: Run, labels: Path) -> None:
    stored(descgen, labels)
    labels.write_text("cut\nstir\n")


def other_phrase(descgen: Run, labels: Path) -> None:
    stored(descgen, labels)
    labels.write_text("cut\tcutting food\npour\tpour\n")


def with_a_subset(descgen: Run, labels: Path) -> None:
    stored(descgen, labels)
    assert descgen("datasets", "add", labels, "--name", "one part", "--classes", "cut").exit_code == 0


def nothing(descgen: Run, labels: Path) -> None:
    """Store another dataset, so that there is a database."""
    assert descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "1").exit_code == 0


@pytest.mark.parametrize(
    ("prepare", "arguments", "count"),
    [
        (nothing, ["show", "-d", "{labels}"], 1),
        (nothing, ["history", "-d", "{labels}"], 1),
        (nothing, ["review", "-d", "{labels}", "--no-browser"], 1),
        (stored, ["show", "-d", "{labels}", "-k", "description"], 1),
        (stored, ["datasets", "remove", "kitchen labels"], 2),
        (other_classes, ["list", "-d", "{labels}"], 2),
        (other_classes, ["build", "-d", "{labels}", "-k", "context"], 2),
        (other_phrase, ["list", "-d", "{labels}"], 1),
        (with_a_subset, ["datasets", "remove", "kitchen labels", "--yes"], 1),
        (with_a_subset, ["datasets", "remove", "kitchen labels"], 1),
        (with_a_subset, ["datasets", "add", "{labels}", "--name", "x", "--classes", "fry"], 1),
    ],
)
def test_a_suggested_command_works(
    descgen: Run,
    llm: FakeLLM,
    labels: Path,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Run, Path], None],
    arguments: list[str],
    count: int,
) -> None:
    monkeypatch.chdir(labels.parent.parent)
    prepare(descgen, Path("my videos/kitchen labels.txt"))
    monkeypatch.setenv("DESCGEN_DB", str(database))
    refused = descgen(*(argument.format(labels="my videos/kitchen labels.txt") for argument in arguments))
    assert refused.exit_code in (1, 2)
    every_command_works(refused.stderr, count)


def every_command_works(message: str, count: int) -> None:
    commands = commands_in(message)
    assert len(commands) == count, message
    for command in commands:
        done = run(command)
        assert done.exit_code == 0, (command, done.output)


def test_after_the_suggested_command_the_first_one_works(
    descgen: Run, llm: FakeLLM, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(labels.parent)
    for change, place in ((other_classes, 1), (other_phrase, 0)):
        labels.write_text("cut\npour\n")
        descgen("datasets", "add", labels.name, "--replace")
        change(descgen, Path(labels.name))
        first = ("list", "-d", labels.name)
        command = commands_in(descgen(*first).stderr)[place]
        assert descgen(*command[1:]).exit_code == 0
        assert descgen(*first).exit_code == 0


@pytest.fixture
def clips(labels: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of class folders in the labels' folder, which is the current folder's; the name as it is typed."""
    monkeypatch.chdir(labels.parent.parent)
    folder = labels.parent / "clips"
    for name in ("cut", "pour"):
        (folder / name).mkdir(parents=True)
        make_images(folder / name / "take", ["frame_1.png", "frame_2.png"], size=(30, 20))
    Path("descgen.toml").write_text('encoder = "fake"\nllm = "fake"\nroot = "my videos/clips"\n')
    return Path("my videos/clips")


def evaluated(descgen: Run, recognize: Run) -> None:
    """Store the clips with texts of one kind, and a run."""
    assert descgen("build", "-d", "my videos/clips", "-k", "context").exit_code == 0
    assert recognize("eval", "my videos/clips", "-e", "fake").exit_code == 0


def labels_evaluated(descgen: Run, recognize: Run) -> None:
    assert recognize("eval", "my videos/clips", "-e", "fake", "--method", "label").exit_code == 0


def two_writers(descgen: Run, recognize: Run) -> None:
    evaluated(descgen, recognize)
    Path("other.json").write_text('{"cut": ["a knife"], "pour": ["a jug"]}')
    assert descgen("import", "other.json", "-d", "my videos/clips", "-k", "context").exit_code == 0


def one_class_written(descgen: Run, recognize: Run) -> None:
    assert descgen("build", "-d", "my videos/clips", "-k", "context", "--limit", "1").exit_code == 0


def changed(descgen: Run, recognize: Run) -> None:
    evaluated(descgen, recognize)
    assert descgen("edit", "1", "a sharp knife").exit_code == 0


def nothing_stored(descgen: Run, recognize: Run) -> None:
    """Leave the folder without a database."""


CLIPS = "my videos/clips"
VIDEO = f"{CLIPS}/cut/take"


@pytest.mark.parametrize(
    ("prepare", "arguments", "count"),
    [
        (evaluated, ["eval", CLIPS, "-e", "fake", "-k", "description"], 1),
        (evaluated, ["eval", CLIPS, "-e", "fake", "--status", "accepted"], 1),
        (evaluated, ["predict", VIDEO, "-d", CLIPS, "-e", "fake", "-k", "description"], 1),
        (evaluated, ["explain", VIDEO, "-d", CLIPS, "-e", "fake", "-k", "description"], 1),
        (evaluated, ["compare", "1", "9"], 1),
        (evaluated, ["runs", "9"], 1),
        (evaluated, ["report", "9"], 1),
        (evaluated, ["impact", "1"], 1),
        (evaluated, ["localize", VIDEO, "-d", CLIPS, "-e", "fake"], 1),
        (labels_evaluated, ["predict", VIDEO, "-d", CLIPS, "-e", "fake"], 1),
        (two_writers, ["eval", CLIPS, "-e", "fake"], 1),
        (one_class_written, ["eval", CLIPS, "-e", "fake"], 1),
        (changed, ["impact", "1"], 1),
        (nothing_stored, ["predict", VIDEO, "-d", CLIPS, "-e", "fake"], 1),
        (nothing_stored, ["eval", CLIPS, "-e", "fake"], 1),
    ],
)
def test_a_suggested_command_of_recognize_works(
    descgen: Run,
    recognize: Run,
    llm: FakeLLM,
    clips: Path,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Run, Run], None],
    arguments: list[str],
    count: int,
) -> None:
    prepare(descgen, recognize)
    monkeypatch.setenv("DESCGEN_DB", str(database))
    said = recognize(*arguments)
    every_command_works(said.output, count)


def test_the_database_that_was_typed_is_repeated(
    descgen: Run, llm: FakeLLM, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(labels.parent.parent)
    typed = ["--db", "my videos/a b.db"]
    build = ["build", "-d", "my videos/kitchen labels.txt", "-k", "context"]
    assert run(["descgen", *typed, *build]).exit_code == 0
    for program, arguments in (
        ("descgen", ["show", "-d", "my videos/kitchen labels.txt", "-k", "description"]),
        ("descgen", ["datasets", "remove", "kitchen labels"]),
        ("recognize", ["runs", "7"]),
        ("recognize", ["eval", "-d", "kitchen labels", "--root", "my videos", "-k", "description"]),
    ):
        commands = commands_in(run([program, *typed, *arguments]).stderr)
        assert commands, arguments
        assert all(command[1:3] == typed for command in commands), commands
    assert not Path("descriptors.db").exists()


def test_a_password_is_not_repeated() -> None:
    refused = run(["descgen", "--db", "nothing://me:secret@localhost/x", "show", "-d", "hmdb51"])
    assert refused.exit_code
    assert "secret" not in refused.output


def suggested_in_sources() -> Iterator[tuple[str, list[str]]]:
    """Yield each command with an option that a text of the sources suggests, values of its own left as X."""
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
                text = node.value
            else:
                continue
            for found in re.findall(r"(?<![\w`])((?:descgen|recognize)(?: [\w-]+)+? --[^`\n]*)", text):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", re.split(r"[\s;,()]+", found)


def test_every_suggestion_in_the_sources_names_a_command_and_its_options() -> None:
    checked = 0
    for place, (program, *words) in suggested_in_sources():
        command: click.Command = PROGRAMS[program]
        while isinstance(command, click.Group) and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        assert not isinstance(command, click.Group) or words[0].startswith("--"), (place, program, words)
        known = {name for option in command.params for name in option.opts} | {"--help"}
        options = [word for word in words if re.fullmatch(r"--[a-z-]+", word)]
        assert options[0] in known, (place, options, known)
        checked += 1
    assert checked > 30
