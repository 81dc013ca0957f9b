"""Copies of a SQLite file: whole, checked and on the disk before they get their name."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from db.errors import UserError

_REVISION = "SELECT version_num FROM alembic_version"


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite file while others write to it; the copy replaces `target` at once, or not at all.

    Raises:
        UserError: the source is damaged, or the copy cannot be written.
    """
    part = target.with_name(f"{target.name}.part")
    _remove(part)
    try:
        with closing(sqlite3.connect(source)) as connection, closing(sqlite3.connect(part)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
            faults = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if faults != "ok":
            raise UserError(f"{source} is damaged, so no backup of it was made: {faults.splitlines()[-1]}")
        _sync(part)
        part.replace(target)
        _sync(target.parent)
    except sqlite3.Error as error:
        raise UserError(f"No backup of {source} was made at {target}: {error}") from error
    finally:
        _remove(part)


def is_whole(file: Path, *, revision: str) -> bool:
    """Return whether a file is a sound database of a revision of the schema."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            answers = [connection.execute(query).fetchone() for query in ("PRAGMA quick_check(1)", _REVISION)]
    except sqlite3.Error:
        return False
    return answers == [("ok",), (revision,)]


def _remove(part: Path) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        part.with_name(part.name + ending).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
