"""The commands in the documents are commands of this version."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest

from descriptor_gen.cli import descgen
from recognizer.cli import recognize
from recognizer.scoring.methods import METHODS

PROGRAMS = {"descgen": descgen, "recognize": recognize}
ROOT = Path(__file__).parents[1]
FOLDERS = ("videos", "annotation")  # that commands of the documents look into
LOCK = {"format": "descgen lock, version 1", "dataset": "hmdb51", "options": {}, "classes": {}, "parameters": {},
        "llm": {"provider": "p", "model": "m", "revision": "r"}, "templates": [], "calls": []}  # fmt: skip
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(document: Path) -> list[str]:
    """Return the lines of shell blocks that begin with a program; in blocks with output, those after `$`."""
    blocks = re.findall(r"^```(sh|console)\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    lines = [(kind, line) for kind, block in blocks for line in block.replace("\\\n", " ").splitlines()]
    typed = [line.removeprefix("$ ") for kind, line in lines if kind == "sh" or line.startswith("$ ")]
    return [line for line in typed if line.split(" ")[0] in PROGRAMS]


@pytest.mark.parametrize("line", [pytest.param(line, id=line) for document in DOCUMENTS for line in commands(document)])
def test_a_documented_command_parses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = takewhile(lambda word: word != ">", shlex.split(line, comments=True))
    for name in arguments:
        if re.fullmatch(r"[\w/]+\.(mp4|txt|avi|pt|json|npy|csv)", name):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
        if name.endswith(".lock"):  # is read while the options are
            Path(name).write_text(json.dumps(LOCK))
        if name in FOLDERS:
            Path(name).mkdir(exist_ok=True)
    command: click.Command = PROGRAMS[program]
    while isinstance(command, click.Group):
        named = [index for index, argument in enumerate(arguments) if argument in command.commands]
        if not named and command.invoke_without_command:
            break
        place = named[0]
        name, *arguments = arguments[place:]
        command = command.commands[name]
    command.make_context(name, arguments)


def inside(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    for part, subcommand in command.commands.items() if isinstance(command, click.Group) else ():
        yield from inside(f"{name} {part}", subcommand)


def test_no_place_is_left_to_be_filled_in() -> None:
    for document in DOCUMENTS:
        assert "@@" not in document.read_text(), document


def test_every_command_has_help_and_is_in_the_documents() -> None:
    readme, documents = DOCUMENTS[0].read_text(), "".join(document.read_text() for document in DOCUMENTS)
    for program, group in PROGRAMS.items():
        for name, command in inside(program, group):
            assert command.help, name
            options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
            assert all(option.help for option in options), name
            is_part = len(name.split()) > 2  # of a group that the README names
            assert name in (documents if is_part else readme), f"{name} is not in {'docs' if is_part else 'README.md'}"


def test_the_methods_refused_with_encoders_of_clips_are_in_the_document() -> None:
    page = (ROOT / "docs/clips.md").read_text()
    (refused,) = re.findall(r"^- \*\*Refused\*\*.*?(?=^\n|^- )", page, re.MULTILINE | re.DOTALL)
    told = set(re.findall(r"`(\w+)`", refused.partition("`--pooling")[0]))
    assert told == {name for name, method in METHODS.items() if method.needs_frames}
