"""Databases that cannot be written, or that are deleted, replaced or out of room while they are in use."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from db.errors import UserError
from db.read_only import read_into_memory
from db.store import Store
from descriptor_gen.cli import descgen as program
from descriptor_gen.generate.build import build_descriptors
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.prompting.prompt import load_prompts
from tests.fixtures.commands import Run
from tests.fixtures.databases import engine_of

DATA = Path(__file__).parents[1] / "data"
AS_USER = (
    ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
)  # root may write everywhere


def read_only(database: Path, source: Path) -> Path:
    """Put a database into a folder that it cannot be written in; return the database."""
    folder = database.parent / "read only"
    folder.mkdir()
    copy = folder / "descriptors.db"
    shutil.copy(source, copy)
    copy.chmod(0o444)
    folder.chmod(0o555)
    return copy


def run(database: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run descgen as a user who may not write."""
    if AS_USER and not shutil.which(AS_USER[0]):
        pytest.skip("root may write everywhere, and there is no setpriv")
    command = [*AS_USER, sys.executable, "-m", "descriptor_gen", "--db", str(database), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("schema", ["0001a", "0004"])
def test_a_file_that_cannot_be_written_can_be_read(database: Path, schema: str) -> None:
    """It is in the state in which it was left, and an older schema is migrated in memory alone."""
    file = read_only(database, DATA / f"schema-{schema}.db")
    before = file.read_bytes()
    shown = run(file, "show", "-d", "hmdb51", "--json")
    assert shown.returncode == 0, shown.stderr
    assert [item["text"] for item in json.loads(shown.stdout)] == ["a hand"]
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["descriptors.db"]


def test_what_would_be_stored_is_refused_in_one_line(database: Path) -> None:
    file = read_only(database, DATA / "schema-0004.db")
    refused = run(file, "accept", "11", "--reviewer", "anna")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "cannot be written" in refused.stderr


def test_the_log_of_a_writer_is_read_too(descgen: Run, llm: FakeLLM, store: Store, database: Path) -> None:
    assert descgen("build", "-d", "hmdb51", "-k", "context", "--limit", 2).exit_code == 0
    assert Path(f"{database}-wal").stat().st_size
    with closing(read_into_memory(database)) as memory:
        assert memory.execute("SELECT count(*) FROM generation").fetchall() == [(2,)]


def delete(database: Path) -> None:
    database.unlink()


def replace(database: Path) -> None:
    other = database.with_name("other.db")
    Store.open(str(other)).close()
    other.replace(database)


@pytest.mark.parametrize(("change", "word"), [(delete, "deleted"), (replace, "replaced")])
def test_a_build_into_a_file_that_is_gone_ends_with_an_error(
    store: Store, database: Path, change: Callable[[Path], None], word: str
) -> None:
    llm = FakeLLM(batch_size=4)

    def progress(done: int, total: int) -> None:
        if done == 8:
            change(database)

    with pytest.raises(UserError, match=f"was {word}.* while it was in use"):
        build_descriptors(
            store, store.dataset("hmdb51"), llm=llm, prompts=load_prompts(["context"]), on_progress=progress
        )
    assert len(llm.history) == 8


def test_a_build_whose_file_is_gone_after_the_last_reply_ends_with_an_error(store: Store, database: Path) -> None:
    def progress(done: int, total: int) -> None:
        if done == total and database.exists():
            delete(database)

    with pytest.raises(UserError, match="was deleted"):
        build_descriptors(
            store, store.dataset("hmdb51"), llm=FakeLLM(), prompts=load_prompts(["context"]), on_progress=progress
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_stops_before_a_call_and_nothing_is_paid_again(tmp_path: Path, llm: FakeLLM, descgen: Run) -> None:
    from click.testing import CliRunner

    from descriptor_gen.cli import descgen as command

    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(disk)], capture_output=True)  # noqa: S607
    if mounted.returncode:
        pytest.skip("no right to mount")
    try:
        build = ["--db", str(disk / "d.db"), "build", "-d", "hmdb51", "-k", "context", "--llm", "fake"]
        assert CliRunner().invoke(command, [*build, "--limit", "3"]).exit_code == 0
        (disk / "filler").write_bytes(bytes(8 * 2**20))
        full = CliRunner().invoke(command, build)
        assert (full.exit_code, len(llm.history)) == (1, 3)
        assert "MiB left" in full.stderr
        (disk / "filler").unlink()
        assert CliRunner().invoke(command, build).exit_code == 0
        assert len(llm.history) == 51
    finally:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S607


def test_a_database_that_lost_its_classes_is_a_user_error(store: Store, db_url: str) -> None:
    def progress(done: int, total: int) -> None:
        with engine_of(db_url).begin() as connection:
            for table in ("descriptor", "generation", "action"):
                connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608

    with pytest.raises(UserError, match="no longer whole"):
        build_descriptors(
            store, store.dataset("hmdb51"), llm=FakeLLM(), prompts=load_prompts(["context"]), on_progress=progress
        )


def test_a_file_that_another_process_has_locked_is_one_line_that_says_what_to_do(database: Path) -> None:
    """`timeout` is the driver's; without it a command waits for 30 seconds."""
    url = f"sqlite:///{database}?timeout=0.1"
    Store.open(str(database)).close()
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = CliRunner().invoke(
            program, ["--db", url, "build", "-d", "hmdb51", "-k", "context", "--llm", "smollm2"]
        )
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 2  # the first one is about the model
    assert f"{database} is locked" in result.stderr
    assert "kill -CONT PID" in result.stderr
