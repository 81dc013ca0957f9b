"""The feature store: records of float32 in files that only grow, and an index that says which of them are whole.

    index.db               SQLite: the shelves, each record's key, place and checksum, and the files that were seen
    objects-5f0c91d2.f32   a shelf: records of one shape, little-endian float32, one after the other, nothing else

A record is written and forced to disk before the index names it, both under the index's write lock. A process may be
killed at any moment: what it left after the last named record is overwritten by the next. Any number of processes may
read and write; the locks are SQLite's, on every system. The folder may be copied or moved as a whole.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import RLock
from typing import Any, Literal, Self

from db.errors import UserError

INDEX = "index.db"
SUFFIX = ".f32"
_FORMAT = 1  # of the tables below
_PATIENCE_SECONDS = 60.0  # for another process that is writing a batch
_TABLES = """
CREATE TABLE shelf (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,    -- JSON of everything that determines its records
  file TEXT NOT NULL UNIQUE,
  shape TEXT NOT NULL,         -- JSON, of one record
  records INTEGER NOT NULL,    -- whole ones in the file
  facts TEXT NOT NULL,         -- JSON, what else is known of the encoder
  used_at TEXT NOT NULL        -- date, UTC
);
CREATE TABLE entry (
  shelf INTEGER NOT NULL REFERENCES shelf (id) ON DELETE CASCADE,
  key TEXT NOT NULL,           -- sha256 of a video's content, or of a text
  slot INTEGER,                -- place in the file; null where nothing could be made
  checksum INTEGER,            -- crc32 of the record
  note TEXT NOT NULL,          -- the reader of a video, the tokens of a text, or why there is nothing
  PRIMARY KEY (shelf, key)
) WITHOUT ROWID;
CREATE TABLE seen (
  shelf INTEGER NOT NULL REFERENCES shelf (id) ON DELETE CASCADE,
  path BLOB NOT NULL,
  stamp TEXT NOT NULL,         -- what the file looked like when its content was read
  key TEXT NOT NULL,
  PRIMARY KEY (shelf, path)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class ShelfRow:
    """One shelf, as the index has it."""

    id: int
    key: Mapping[str, Any]
    file: str
    shape: tuple[int, ...]
    records: int
    facts: Mapping[str, Any]
    used_at: str

    @property
    def record_bytes(self) -> int:
        return 4 * prod(self.shape)


class FeatureStore:
    """A folder of shelves; see `Shelf` for one of them, and `upkeep` for looking after all."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection
        self._lock = RLock()  # the threads of this process; the processes have SQLite's

    @classmethod
    def open(cls, folder: Path, *, create: bool = True) -> Self:
        """Open a store, or make one.

        Raises:
            UserError: it cannot be opened, is of a newer version, or is not there and `create` is false.
        """
        index = folder / INDEX
        if not create and not index.exists():
            raise UserError(_NONE.format(folder=folder))
        with _told(folder):
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                index, timeout=_PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA foreign_keys=ON")
        store = cls(folder, connection)
        store._prepare()
        return store

    def _prepare(self) -> None:
        found = self._format()
        if found == 0:
            with self.writing() as connection:
                if self._format() == 0:  # again: another process may have been first
                    for statement in [*_TABLES.split(";\n"), f"PRAGMA user_version={_FORMAT}"]:
                        connection.execute(statement)
        elif found > _FORMAT:
            raise UserError(_NEWER.format(folder=self.folder))

    def _format(self) -> int:
        with _told(self.folder):
            return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def close(self) -> None:
        """Close the index."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the index as it is at one moment."""
        with self._transaction("DEFERRED") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give the index to one writer at a time, of all processes; what it does counts wholly or not at all."""
        with self._transaction("IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, mode: Literal["DEFERRED", "IMMEDIATE"]) -> Iterator[sqlite3.Connection]:
        with self._lock, _told(self.folder):
            self._connection.execute(f"BEGIN {mode}")
            with self._connection:  # commits, or rolls back
                yield self._connection

    def shelves(self) -> list[ShelfRow]:
        """Return all shelves, in the order in which they were begun."""
        with self.reading() as connection:
            return [shelf_row(row) for row in connection.execute("SELECT * FROM shelf ORDER BY id")]


def shelf_row(row: tuple[Any, ...]) -> ShelfRow:
    """Return a row of the table `shelf`, all columns of it."""
    id_, key, file, shape, records, facts, used_at = row
    return ShelfRow(id_, json.loads(key), file, tuple(json.loads(shape)), records, json.loads(facts), used_at)


def canonical(key: Mapping[str, Any]) -> str:
    """Return the JSON by which a shelf is known."""
    return json.dumps(key, sort_keys=True, ensure_ascii=False)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what the disk or the index refuses into an error that a user can read."""
    try:
        yield
    except sqlite3.OperationalError as error:  # locked for long, read-only, disk full
        raise UserError(f"The feature store in {folder} says: {error}. Another folder: --features DIR") from error
    except sqlite3.DatabaseError as error:
        raise UserError(_BROKEN.format(folder=folder, error=error)) from error
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}. Another folder: --features DIR") from error


_NONE = (
    "No features in {folder} yet. Make some with: recognize embed --dataset ucf101 --root UCF101, "
    "or name another folder with --features"
)
_NEWER = "{folder} was written by a newer version. Run: pip install --upgrade descgen-recognize"
_BROKEN = (
    "The index of the feature store in {folder} is damaged ({error}). Nothing is in there that cannot be made again: "
    "delete the folder, or give another one with --features"
)
