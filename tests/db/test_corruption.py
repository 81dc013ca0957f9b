"""Damaged files: 150 of them, each made by a seeded change; every command answers, or refuses in one line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run
from tests.fixtures.damage import DAMAGES

COMMANDS = (("stats",), ("show", "-d", "hmdb51"), ("history", "-d", "hmdb51"), ("export", "-d", "hmdb51"))


@pytest.fixture
def whole(descgen: Run, llm: FakeLLM, database: Path) -> bytes:
    """The bytes of a sound database with calls, texts and decisions."""
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", 20)
    descgen("accept", "-d", "hmdb51", "--action", "cartwheel", "--reviewer", "anna")
    copy = database.with_name("copy.db")
    assert descgen("backup", copy).exit_code == 0
    return copy.read_bytes()


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_files_give_one_line_and_no_traceback(
    descgen: Run, database: Path, whole: bytes, damage: object
) -> None:
    chance = random.Random(13)
    refused = 0
    for number in range(38):
        for ending in ("", "-wal", "-shm"):
            Path(f"{database}{ending}").unlink(missing_ok=True)
        database.write_bytes(damage(whole, chance))  # type: ignore[operator]
        result = descgen(*COMMANDS[number % len(COMMANDS)])
        if result.exit_code:
            refused += 1
            assert isinstance(result.exception, SystemExit), (number, result.exception)
            assert result.stderr.count("\n") == 1, (number, result.stderr)
    assert refused
    Store.open(str(database.with_name("copy.db"))).close()  # the sound one is as it was
