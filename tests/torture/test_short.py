"""The short form of `make torture`."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.torture import kills
from tests.torture.__main__ import SHORT, run, table
from tests.torture.room import Room


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_or_paid_twice(name: str, tmp_path: Path) -> None:
    [found] = run({name: SHORT[name]}, tmp_path, seed=13)
    assert not found.faults, table([found])
    if found.not_run:
        pytest.skip(found.not_run)


@pytest.mark.slow
def test_a_decision_without_its_event_is_noticed(tmp_path: Path) -> None:
    with Room.open(tmp_path / "room", "decision", 1) as room:
        database = room.folder / "d.db"
        room.end(room.build(database, "--limit", 2))
        room.end(room.start(database, "accept", "-d", "hmdb51", "--all", "--reviewer", "anna"))
        assert kills.half_decisions(database) == 0
        with sqlite3.connect(database) as connection:
            connection.execute("DELETE FROM review_event WHERE id = 1")
        assert kills.half_decisions(database) == 1
