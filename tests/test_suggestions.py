"""The commands that messages suggest: each is taken out of its message and run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run

SUGGESTED = re.compile(r"descgen (?:'[^']*'|[^\s'.:;,()]|[.](?=\S)|\s)+")


def commands_in(message: str) -> list[list[str]]:
    """Return the arguments of each `descgen ...` in a message; NAME and FILE stand for what a user fills in."""
    return [shlex.split(found.strip())[1:] for found in SUGGESTED.findall(message.replace("FILE", "copy"))]


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
        (with_a_subset, ["datasets", "add", "{labels}", "--name", "x", "--classes", "fry"], 1),
    ],
)
def test_a_suggested_command_works(
    descgen: Run,
    llm: FakeLLM,
    labels: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Run, Path], None],
    arguments: list[str],
    count: int,
) -> None:
    monkeypatch.chdir(labels.parent.parent)
    prepare(descgen, Path("my videos/kitchen labels.txt"))
    refused = descgen(*(argument.format(labels="my videos/kitchen labels.txt") for argument in arguments))
    assert refused.exit_code in (1, 2)
    commands = commands_in(refused.stderr)
    assert len(commands) == count, refused.stderr
    for command in commands:
        done = descgen(*command)
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
        assert descgen(*command).exit_code == 0
        assert descgen(*first).exit_code == 0
