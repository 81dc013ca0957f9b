"""Databases that this user may read but not write: read from a copy in memory, so that nothing is needed beside them.

SQLite cannot read a file with a write-ahead log where it may not create files; and an older schema has to be migrated
before it can be read.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from db.errors import UserError


def is_read_only(file: Path) -> bool:
    """Return whether an existing file, or the folder in which SQLite keeps files beside it, cannot be written."""
    return file.exists() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def read_into_memory(file: Path) -> sqlite3.Connection:
    """Return a copy of a SQLite file, with what lies in its write-ahead log.

    Raises:
        UserError: it was written to at the same time.
    """
    memory = sqlite3.connect(":memory:", check_same_thread=False)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        before = _state(file)
        for ending in ("", "-wal"):
            if Path(f"{file}{ending}").exists():
                shutil.copyfile(f"{file}{ending}", f"{copy}{ending}")
        if _state(file) != before:
            raise UserError(f"{file} was changed while it was read. Run the same command again")
        with closing(sqlite3.connect(copy)) as source:
            source.backup(memory)
    return memory


def _state(file: Path) -> list[tuple[int, int, int] | None]:
    """Return what changes with every write: inode, size and time of the file and of its log."""
    parts = [Path(f"{file}{ending}") for ending in ("", "-wal")]
    states = [part.stat() if part.exists() else None for part in parts]
    return [(state.st_ino, state.st_size, state.st_mtime_ns) if state else None for state in states]
