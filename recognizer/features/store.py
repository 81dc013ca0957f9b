"""The feature store: an index, and shelves of records that only grow."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from threading import RLock
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

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


class Entry(NamedTuple):
    """What the index knows of one key."""

    slot: int | None  # place in the file; None: nothing could be made
    checksum: int | None
    note: str


class Seen(NamedTuple):
    """A file or folder, what it looked like (see `recognizer.video.source`), and the key of what it then held."""

    path: Path
    stamp: str
    key: str


@dataclass(frozen=True)
class New:
    """What is to be added under a key: a record with a note, or without one the reason why."""

    key: str
    record: NDArray[np.float32] | None
    note: str


@dataclass(frozen=True)
class Loaded:
    """What a shelf has of some keys, at one moment.

    Attributes:
        entries: by key; only those that are whole.
        damaged: keys whose record does not fit its checksum.
        records: all of the shelf [N, *shape], float32, memory-mapped; writing to it changes no file.
    """

    entries: Mapping[str, Entry]
    damaged: tuple[str, ...]
    records: NDArray[np.float32]

    def rows(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """Return the records [K, *shape] of keys that have one; nothing is copied where they lie side by side."""
        slots = np.array([self.entries[key].slot for key in keys], dtype=np.int64)
        first = int(slots[0]) if keys else 0
        side_by_side = (slots == first + np.arange(len(slots))).all()
        rows: NDArray[np.float32] = self.records[first : first + len(slots)] if side_by_side else self.records[slots]
        return rows


class Shelf:
    """The records of one shape that were made in one way."""

    def __init__(self, store: FeatureStore, key: Mapping[str, Any]) -> None:
        self.key = key
        self._store = store
        self._name = canonical(key)

    def row(self) -> ShelfRow | None:
        """Return what the index says of the shelf; None before its first record."""
        with self._store.reading() as connection:
            return self._row(connection)

    def _row(self, connection: sqlite3.Connection) -> ShelfRow | None:
        row = connection.execute("SELECT * FROM shelf WHERE key = ?", (self._name,)).fetchone()
        return shelf_row(row) if row else None

    def entry(self, key: str) -> Entry | None:
        """Look one key up; the record itself is not looked at."""
        with self._store.reading() as connection:
            row = self._row(connection)
            return _entries(connection, row, [key]).get(key) if row else None

    def seen(self, paths: Iterable[Path]) -> dict[Path, Seen]:
        """Return what is remembered of paths."""
        with self._store.reading() as connection:
            row = self._row(connection)
            if row is None:
                return {}
            query = "SELECT stamp, key FROM seen WHERE shelf = ? AND path = ?"
            found = ((path, connection.execute(query, (row.id, _name(path))).fetchone()) for path in paths)
            return {path: Seen(path, *stamp_and_key) for path, stamp_and_key in found if stamp_and_key}

    def load(self, keys: Iterable[str]) -> Loaded:
        """Return what there is of some keys, every record checked."""
        with self._store.reading() as connection:
            row = self._row(connection)
            if row is None:
                return Loaded({}, (), np.empty((0, 0), np.float32))
            entries = _entries(connection, row, keys)
            records = mapped(self._store.folder / row.file, row)
        self._touch(row)
        whole = {key: entry for key, entry in entries.items() if is_whole(entry, records)}
        return Loaded(whole, tuple(entries.keys() - whole.keys()), records)

    def _touch(self, row: ShelfRow) -> None:
        """Note the day of the last use, for `recognize features prune --unused`; a store may be read-only."""
        if row.used_at != today():
            with suppress(UserError), self._store.writing() as connection:
                connection.execute("UPDATE shelf SET used_at = ? WHERE id = ?", (today(), row.id))

    def add(
        self,
        news: Sequence[New],
        *,
        shape: tuple[int, ...],
        seen: Sequence[Seen] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Add records [*shape]; after this returns, no crash loses them. What another process added before stays.

        Args:
            news: in the order in which they shall lie.
            shape: of each record.
            seen: files to remember.
            facts: what else to remember of the encoder; kept from the first time.

        Raises:
            UserError: the shelf's records have another shape, or the disk or the index refuse.
        """
        with self._store.writing() as connection:
            row = self._row(connection) or self._begin(connection, shape, facts or {})
            if row.shape != shape:
                raise UserError(_OTHER_SHAPE.format(before=row.shape, now=shape, **self.key))
            there = _entries(connection, row, [new.key for new in news])
            wanted = {new.key: new for new in news if _is_news(new, there.get(new.key))}
            self._write(connection, row, list(wanted.values()))
            _remember(connection, row, seen)

    def _begin(self, connection: sqlite3.Connection, shape: tuple[int, ...], facts: Mapping[str, Any]) -> ShelfRow:
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", str(self.key.get("encoder", ""))).strip("-.")[:60]
        file = f"{readable}-{hashlib.sha256(self._name.encode()).hexdigest()[:8]}{SUFFIX}"
        values = (self._name, file, json.dumps(shape), 0, json.dumps(facts), today())
        query = "INSERT INTO shelf (key, file, shape, records, facts, used_at) VALUES (?, ?, ?, ?, ?, ?)"
        connection.execute(query, values)
        row = self._row(connection)
        assert row is not None  # noqa: S101 - inserted just now
        return row

    def _write(self, connection: sqlite3.Connection, row: ShelfRow, news: Sequence[New]) -> None:
        records = [np.ascontiguousarray(new.record, "<f4") for new in news if new.record is not None]
        if records:
            append(self._store.folder / row.file, records, place=row.records * row.record_bytes)
        slots = iter(range(row.records, row.records + len(records)))
        checksums = (zlib.crc32(record.data) for record in records)
        values = [
            (row.id, new.key, *((None, None) if new.record is None else (next(slots), next(checksums))), new.note)
            for new in news
        ]
        connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?)", values)
        total = row.records + len(records)
        connection.execute("UPDATE shelf SET records = ?, used_at = ? WHERE id = ?", (total, today(), row.id))

    def forget(self, keys: Iterable[str]) -> None:
        """Drop keys from the index, so that they are made anew; their bytes go with the next `prune`."""
        with self._store.writing() as connection:
            row = self._row(connection)
            if row:
                values = [(row.id, key) for key in keys]
                connection.executemany("DELETE FROM entry WHERE shelf = ? AND key = ?", values)


def append(path: Path, records: Sequence[NDArray[np.float32]], *, place: int) -> None:
    """Write records at a place of a file, over whatever a killed process left there, and force them to disk."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(place)
        for record in records:
            file.write(record.data)
        file.flush()
        os.fsync(file.fileno())


def mapped(path: Path, row: ShelfRow) -> NDArray[np.float32]:
    """Return the records [N, *shape] of a shelf, memory-mapped; those that its file lacks are not among them."""
    there = path.stat().st_size // row.record_bytes if path.exists() else 0
    shape = (min(row.records, there), *row.shape)
    if not shape[0]:
        return np.empty(shape, np.float32)
    return np.memmap(path, "<f4", mode="c", shape=shape).view(np.ndarray)  # c: torch wants to be allowed to write


def is_whole(entry: Entry, records: NDArray[np.float32]) -> bool:
    """Tell whether a record is there and fits its checksum; an entry without one has nothing to break."""
    if entry.slot is None:
        return True
    return entry.slot < len(records) and zlib.crc32(records[entry.slot].data) == entry.checksum


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def _is_news(new: New, there: Entry | None) -> bool:
    """A record is kept once it is there; a reason gives way to a record, or to a newer reason."""
    return there is None or there.slot is None


def _entries(connection: sqlite3.Connection, row: ShelfRow, keys: Iterable[str]) -> dict[str, Entry]:
    query = "SELECT key, slot, checksum, note FROM entry WHERE shelf = ? AND key IN (SELECT value FROM json_each(?))"
    rows = connection.execute(query, (row.id, json.dumps(list(keys))))
    return {key: Entry(slot, checksum, note) for key, slot, checksum, note in rows}


def _remember(connection: sqlite3.Connection, row: ShelfRow, seen: Sequence[Seen]) -> None:
    values = [(row.id, _name(path), stamp, key) for path, stamp, key in seen]
    connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", values)


def _name(path: Path) -> bytes:
    return os.fsencode(path.absolute())


_OTHER_SHAPE = (
    "{encoder} now gives records of shape {now}, before {before}, under the same revision {revision}. "
    "Drop the old ones with: recognize features prune --encoder {encoder}"
)
