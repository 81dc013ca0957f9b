"""Backups: by `descgen backup`, and before a migration; every schema that was ever in use opens."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from db.backup import copy_database
from db.engine import open_engine
from db.errors import UserError
from db.schema import HEAD, Base
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run

DATA = Path(__file__).parents[1] / "data"
SCHEMAS = sorted(file.stem.removeprefix("schema-") for file in DATA.glob("schema-*.db"))


def test_there_is_a_file_of_every_revision() -> None:
    assert {name[:4] for name in SCHEMAS} == {f"{number:04}" for number in range(1, int(HEAD) + 1)}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_that_was_ever_in_use_opens(name: str, database: Path) -> None:
    """0001a and 0001b are of the days when the first tables were still being written."""
    shutil.copy(DATA / f"schema-{name}.db", database)
    store = Store.open(str(database))
    [text] = store.descriptors(store.dataset("hmdb51"))
    assert (text.id, text.text, text.status, text.version, text.llm) == (11, "a hand", "accepted", 2, "fake")
    with store.claims() as claims:
        assert claims.take(["key"], at_most=1) == {"key"}
    store.close()
    with open_engine(str(database)).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    backup = Path(f"{database}.{name[:4]}.bak")
    assert backup.exists() == (name[:4] != HEAD)
    assert [file.name for file in database.parent.glob("*.part*")] == []


def test_a_partial_backup_of_a_killed_migration_is_made_again(database: Path) -> None:
    """Earlier versions wrote under the final name; a kill left a part there, which was then kept."""
    shutil.copy(DATA / "schema-0002.db", database)
    backup = Path(f"{database}.0002.bak")
    backup.write_bytes(database.read_bytes()[:5000])
    Path(f"{backup}.part").write_bytes(b"left by a kill")
    Store.open(str(database)).close()
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT text FROM descriptor").fetchall() == [("a hand",)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0002",)]
    assert not Path(f"{backup}.part").exists()


def test_a_copy_is_whole_or_not_there(database: Path, tmp_path: Path) -> None:
    """The source is damaged in its middle: neither a copy nor a part of one stays, and an older copy is kept."""
    good = (DATA / "schema-0003.db").read_bytes()
    for at in range(2048, len(good) - 1024, 512):
        damaged = good[:at] + b"\xff" * 512 + good[at + 512 :]
        database.write_bytes(damaged)
        target = tmp_path / "copy"
        target.write_text("older")
        try:
            copy_database(database, target)
        except UserError:
            assert target.read_text() == "older"
        else:
            with closing(sqlite3.connect(target)) as connection:
                assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        assert sorted(file.name for file in tmp_path.glob("copy*")) == ["copy"]


def test_backup_has_what_lies_in_the_log_of_a_writer(
    descgen: Run, llm: FakeLLM, store: Store, database: Path, tmp_path: Path
) -> None:
    """The store is open, so that what was built lies in the write-ahead log: a plain copy of the file lacks it."""
    assert descgen("build", "-d", "hmdb51", "-k", "context", "--limit", 5).exit_code == 0
    copy = tmp_path / "copy.db"
    result = descgen("backup", copy)
    assert result.exit_code == 0, result.output
    copied = Store.open(str(copy))
    assert copied.counts() == store.counts() != []
    copied.close()


@pytest.mark.parametrize(
    ("target", "message"), [("descriptors.db", "exists. Give a new name"), ("none/copy.db", "There is no folder")]
)
def test_backup_overwrites_nothing(descgen: Run, store: Store, database: Path, target: str, message: str) -> None:
    result = descgen("backup", database.parent / target)
    assert result.exit_code == 2
    assert message in result.stderr


def test_backup_of_no_database_says_so(descgen: Run, database: Path, tmp_path: Path) -> None:
    result = descgen("backup", tmp_path / "copy.db")
    assert (result.exit_code, list(tmp_path.glob("*.db"))) == (1, [])
    assert "No database at" in result.stderr


@pytest.mark.parametrize(
    ("revision", "message"),
    [("9999", "newer than this program"), ("0000", "no revision"), ("garbage", "no revision"), ("", "no revision")],
)
def test_other_revisions_are_refused_in_one_line(descgen: Run, database: Path, revision: str, message: str) -> None:
    shutil.copy(DATA / "schema-0003.db", database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    before = database.read_bytes()
    result = descgen("stats")
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert database.read_bytes()[100:] == before[100:]  # the header says: write-ahead log
