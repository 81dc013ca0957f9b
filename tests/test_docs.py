"""The commands in the documents are commands of this version."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from descriptor_gen.cli import descgen
from recognizer.cli import recognize

PROGRAMS = {"descgen": descgen, "recognize": recognize}
ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(document: Path) -> list[str]:
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.removeprefix("$ ").split(" ")[0] in PROGRAMS]


@pytest.mark.parametrize(
    "command", [pytest.param(line, id=line) for document in DOCUMENTS for line in commands(document)]
)
def test_a_documented_command_parses(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(command, comments=True)
    for name in arguments:
        if re.fullmatch(r"[\w/]+\.(mp4|txt|avi|pt)", name):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
    place = next(index for index, argument in enumerate(arguments) if argument in PROGRAMS[program].commands)
    subcommand = PROGRAMS[program].commands[arguments[place]]
    subcommand.make_context(arguments[place], arguments[place + 1 :])


def test_every_command_has_help_and_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for program, group in PROGRAMS.items():
        for name, command in group.commands.items():
            assert command.help, name
            assert all(
                option.help for option in command.params if isinstance(option, click.Option) and not option.hidden
            )
            assert f"{program} {name}" in readme, f"{program} {name} is not in README.md"
