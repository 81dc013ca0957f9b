"""Shell completion, as docs/config.md says to set it up."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from descriptor_gen.cli import descgen
from recognizer.cli import recognize

PROGRAMS = {"descgen": descgen, "recognize": recognize}
DOCUMENT = Path(__file__).parents[1] / "docs" / "config.md"
SET_UP = re.findall(r"(_[A-Z]+_COMPLETE)=(\w+_source) (\w+)", DOCUMENT.read_text())


def asked(program: str, variables: dict[str, str]) -> str:
    command: click.Command = PROGRAMS[program]
    return CliRunner().invoke(command, prog_name=program, env=variables).output


def test_the_document_shows_both_programs() -> None:
    assert {program for _, _, program in SET_UP} == set(PROGRAMS)


@pytest.mark.parametrize(("variable", "shell", "program"), SET_UP)
def test_the_documented_line_gives_a_script_for_the_shell(variable: str, shell: str, program: str) -> None:
    script = asked(program, {variable: shell})
    assert f"{variable}={shell.removesuffix('source')}complete" in script
    assert f" {program}" in script


@pytest.mark.parametrize(
    ("program", "words", "offered"),
    [
        ("recognize", "recognize doc", ["doctor"]),
        ("recognize", "recognize eval --prec", ["--precision"]),
        ("recognize", "recognize eval --status ac", ["accepted"]),
        ("descgen", "descgen datasets re", ["rename", "remove"]),
    ],
)
def test_words_are_completed(program: str, words: str, offered: list[str]) -> None:
    count = str(len(words.split()) - 1)
    variables = {f"_{program.upper()}_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": count}
    found = [line.partition(",")[2] for line in asked(program, variables).splitlines()]
    assert sorted(found) == sorted(offered)
