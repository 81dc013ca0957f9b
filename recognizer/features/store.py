"""The feature store: append-only files of embeddings, and an SQLite index of their records.

A shelf is one file of records of one shape, all computed in the same way (encoder, sampling, preprocessing ...). A
record is written to disk before it enters the index. Bytes of a killed process that are not in the index are
overwritten by the next batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from math import prod
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO, Literal, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from db.errors import UserError

INDEX = "index.db"
SUFFIX = ".f32"
_FORMAT = 1  # of the tables below
_LOCK_SECONDS = 60.0  # to wait while another process writes a batch
_TABLES = """
CREATE TABLE IF NOT EXISTS shelf (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,    -- JSON of everything that determines its records
  file TEXT NOT NULL UNIQUE,
  shape TEXT NOT NULL,         -- JSON, of one record
  records INTEGER NOT NULL,    -- complete ones in the file
  facts TEXT NOT NULL,         -- JSON, further properties of the encoder
  used_at TEXT NOT NULL        -- date, UTC
);
CREATE TABLE IF NOT EXISTS entry (
  shelf INTEGER NOT NULL REFERENCES shelf (id) ON DELETE CASCADE,
  key TEXT NOT NULL,           -- sha256 of a video's content, or of a text
  slot INTEGER,                -- index of the record in the file; null where the video is unreadable
  checksum INTEGER,            -- crc32 of the record
  note TEXT NOT NULL,          -- the reader of a video, the tokens of a text, or why a video is unreadable
  PRIMARY KEY (shelf, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
  shelf INTEGER NOT NULL REFERENCES shelf (id) ON DELETE CASCADE,
  path BLOB NOT NULL,
  stamp TEXT NOT NULL,         -- digest of names, sizes and times when the content was hashed
  key TEXT NOT NULL,
  PRIMARY KEY (shelf, path)
) WITHOUT ROWID;
"""
_LOOKED_UP = 500  # keys at most, without looking whether they are most of the index
_VALUES = 500  # in one IN clause; SQLite's oldest limit on parameters is 999
_SOME_FILES = "SELECT path, stamp, key FROM seen WHERE shelf = ? AND path IN ({marks})"
_SOME_ENTRIES = """
SELECT key, slot, checksum, note FROM entry WHERE shelf = ? AND key IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True)
class ShelfRow:
    """A row of the table `shelf`."""

    id: int
    key: Mapping[str, Any]
    file: str
    shape: tuple[int, ...]
    records: int
    facts: Mapping[str, Any]
    used_at: str

    @classmethod
    def parse(cls, id_: int, key: str, file: str, shape: str, records: int, facts: str, used_at: str) -> Self:
        """Decode the JSON columns of a row."""
        return cls(id_, json.loads(key), file, tuple(json.loads(shape)), records, json.loads(facts), used_at)

    @property
    def record_bytes(self) -> int:
        return 4 * prod(self.shape)


class IndexEntry(NamedTuple):
    """The index's columns of one key."""

    slot: int | None  # index of the record in the file; None: the video is unreadable
    checksum: int | None
    note: str


class KnownFile(NamedTuple):
    """A video file or folder whose content was hashed: its stamp at that time (see `Source`), and the hash."""

    path: Path
    stamp: str
    key: str


@dataclass(frozen=True)
class NewRecord:
    """A record to add under a key, with its note; without an array, the note is why the video is unreadable."""

    key: str
    array: NDArray[np.float32] | None
    note: str


@dataclass(frozen=True)
class StoredRecords:
    """The undamaged entries of the requested keys, in one snapshot of a shelf."""

    entries: Mapping[str, IndexEntry]  # by key
    arrays: NDArray[np.float32]  # all records of the shelf [N, *shape], memory-mapped; writing to it changes no file

    def rows(self, keys: Sequence[str]) -> NDArray[np.float32]:
        """Return the records [K, *shape] of keys that have one; a view, not a copy, if their slots are adjacent."""
        slots = np.array([self.entries[key].slot for key in keys], dtype=np.int64)
        first = int(slots[0]) if keys else 0
        adjacent = (slots == first + np.arange(len(slots))).all()
        rows: NDArray[np.float32] = self.arrays[first : first + len(slots)] if adjacent else self.arrays[slots]
        return rows


class FeatureStore:
    """A folder with an index and the files of its shelves; `Shelf` reads and writes one of them."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection
        self._lock = RLock()  # between threads; SQLite locks between processes

    @classmethod
    @contextmanager
    def open(cls, folder: Path, *, create: bool = True) -> Iterator[Self]:
        """Open a store, or create one; it is closed at the end of the block.

        Raises:
            UserError: it cannot be opened, is of a newer version, or does not exist and `create` is false.
        """
        index = folder / INDEX
        if not create and not index.exists():
            raise UserError(_NO_STORE.format(folder=folder))
        with _user_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(index, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False)
        with closing(connection):
            store = cls(folder, connection)
            store.query("PRAGMA foreign_keys=ON")
            [(version,)] = store.query("PRAGMA user_version")
            if version > _FORMAT:
                raise UserError(_NEWER.format(folder=folder))
            if version == 0:
                with store.writing():
                    for statement in [*_TABLES.split(";\n"), f"PRAGMA user_version={_FORMAT}"]:
                        connection.execute(statement)
            yield store

    def __reduce__(self) -> tuple[Callable[[Path], FeatureStore], tuple[Path]]:
        """A process that gets a store from another one opens it by itself."""
        return _opened_here, (self.folder.absolute(),)

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """Open a read transaction (snapshot)."""
        return self._transaction("DEFERRED")

    def writing(self) -> AbstractContextManager[sqlite3.Connection]:
        """Open a write transaction: one at a time over all processes; an error rolls it back."""
        return self._transaction("IMMEDIATE")

    @contextmanager
    def _transaction(self, mode: Literal["DEFERRED", "IMMEDIATE"]) -> Iterator[sqlite3.Connection]:
        with self._lock, _user_errors(self.folder):
            self._connection.execute(f"BEGIN {mode}")
            with self._connection:  # commits, or rolls back
                yield self._connection

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return rows of the index, within the open transaction if there is one."""
        with self._lock, _user_errors(self.folder):
            return self._connection.execute(statement, values).fetchall()

    def shelves(self) -> list[ShelfRow]:
        """Return all shelves, in the order in which they were created."""
        return [ShelfRow.parse(*row) for row in self.query("SELECT * FROM shelf ORDER BY id")]

    def entries(self, row: ShelfRow, keys: Iterable[str] | None = None) -> dict[str, IndexEntry]:
        """Return the entries of a shelf by key: all, or those of some keys."""
        wanted = None if keys is None else set(keys)
        if wanted is None or len(wanted) > max(_LOOKED_UP, row.records // 2):  # one by one takes longer
            rows = self.query("SELECT key, slot, checksum, note FROM entry WHERE shelf = ?", row.id)
        else:
            rows = self.query(_SOME_ENTRIES, row.id, json.dumps(list(wanted)))
        return {key: IndexEntry(*columns) for key, *columns in rows if wanted is None or key in wanted}

    def arrays(self, row: ShelfRow) -> NDArray[np.float32]:
        """Return the records [N, *shape] in the file of a shelf, memory-mapped."""
        path = self.folder / row.file
        shape = (min(row.records, file_size(path) // row.record_bytes), *row.shape)
        if not shape[0]:
            return np.empty(shape, np.float32)
        return np.memmap(path, "<f4", mode="c", shape=shape).view(np.ndarray)  # c: torch warns of read-only arrays

    def opened(self, row: ShelfRow) -> BinaryIO:
        """Open the file of a shelf to read its records; one that does not exist is empty."""
        path = self.folder / row.file
        return cast(BinaryIO, path.open("rb", buffering=0)) if path.exists() else BytesIO()


_NOTHING = np.empty((0, 0), np.float32)
_kept_open = ExitStack()


@cache
def _opened_here(folder: Path) -> FeatureStore:
    """Return the store in a folder; it stays open until this process ends."""
    return _kept_open.enter_context(FeatureStore.open(folder, create=False))


class Shelf:
    """One shelf: records of one shape, all computed in the same way."""

    def __init__(self, store: FeatureStore, key: Mapping[str, Any]) -> None:
        self.key = key  # everything that determines the records, as JSON values; `encoder` and `revision` are in it
        self._store = store
        self._key_json = json.dumps(key, sort_keys=True, ensure_ascii=False)

    def row(self) -> ShelfRow | None:
        """Return the shelf's row in the index; None before its first record."""
        rows = self._store.query("SELECT * FROM shelf WHERE key = ?", self._key_json)
        return ShelfRow.parse(*rows[0]) if rows else None

    def entry(self, key: str) -> IndexEntry | None:
        """Look one key up in the index, without checking its record."""
        row = self.row()
        return self._store.entries(row, [key]).get(key) if row else None

    def known_files(self, paths: Iterable[Path]) -> dict[Path, KnownFile]:
        """Return the known files among paths, whether or not they changed since."""
        row, by_bytes = self.row(), {_path_bytes(path): path for path in paths}
        if row is None:
            return {}
        wanted, rows = list(by_bytes), list[tuple[Any, ...]]()
        with self._store.reading():  # one lock for all paths
            for start in range(0, len(wanted), _VALUES):
                part = wanted[start : start + _VALUES]
                rows += self._store.query(_SOME_FILES.format(marks=",".join("?" * len(part))), row.id, *part)
        return {by_bytes[path]: KnownFile(by_bytes[path], stamp, key) for path, stamp, key in rows}

    def every_file(self) -> list[KnownFile]:
        """Return all known files, whether or not they changed since."""
        row = self.row()
        rows = self._store.query("SELECT path, stamp, key FROM seen WHERE shelf = ?", row.id) if row else []
        return [KnownFile(Path(os.fsdecode(path)), stamp, key) for path, stamp, key in rows]

    def load(self, keys: Iterable[str]) -> StoredRecords:
        """Return the stored records of keys; damaged ones are dropped, so that they are computed again.

        Also records the day of use, for `recognize features prune --unused`.
        """
        with self._store.reading():
            row = self.row()
            if row is None:
                return StoredRecords({}, _NOTHING)
            entries, arrays = self._store.entries(row, keys), self._store.arrays(row)
        return StoredRecords(self._undamaged(row, entries, damaged_keys(entries, arrays)), arrays)

    def without_vectors(self, keys: Iterable[str]) -> StoredRecords:
        """Return what `load` does without the arrays: each is read for its check alone, and memory does not grow."""
        with self._store.reading():
            row = self.row()
            if row is None:
                return StoredRecords({}, _NOTHING)
            entries, file = self._store.entries(row, keys), self._store.opened(row)
        with file:
            damaged = {key for key, entry in entries.items() if entry.slot is not None and _damaged(file, row, entry)}
        return StoredRecords(self._undamaged(row, entries, damaged), _NOTHING)

    def _undamaged(self, row: ShelfRow, entries: Mapping[str, IndexEntry], damaged: set[str]) -> dict[str, IndexEntry]:
        """Drop the damaged entries, and return the others."""
        if row.used_at != _today():
            with suppress(UserError), self._store.writing() as connection:  # a store may be read-only
                connection.execute("UPDATE shelf SET used_at = ? WHERE id = ?", (_today(), row.id))
        if damaged:
            with self._store.writing() as connection:
                drop_entries(connection, row.id, damaged)
        return {key: entry for key, entry in entries.items() if key not in damaged}

    def add(
        self,
        new: Sequence[NewRecord],
        *,
        shape: tuple[int, ...],
        files: Sequence[KnownFile] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Append records; after this returns, no crash loses them.

        A record that another process added meanwhile is kept; an unreadable entry is replaced.

        Args:
            new: in their order in the file.
            shape: of each record.
            files: to recognise later without reading them.
            facts: further properties of the encoder; kept from the first call.

        Raises:
            UserError: the shelf's records have another shape, or the store cannot be written.
        """
        with self._store.writing() as connection:
            row = self.row() or self._create(connection, shape, facts or {})
            if row.shape != shape:
                raise UserError(_OTHER_SHAPE.format(before=row.shape, now=shape, **self.key))
            entries = self._store.entries(row, [record.key for record in new])
            stored = {key for key, entry in entries.items() if entry.slot is not None}
            self._append(connection, row, list({r.key: r for r in new if r.key not in stored}.values()))
            values = [(row.id, _path_bytes(path), stamp, key) for path, stamp, key in files]
            connection.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", values)

    def _create(self, connection: sqlite3.Connection, shape: tuple[int, ...], facts: Mapping[str, Any]) -> ShelfRow:
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", str(self.key.get("encoder", ""))).strip("-.")[:60]
        file = f"{readable}-{hashlib.sha256(self._key_json.encode()).hexdigest()[:8]}{SUFFIX}"
        values = (self._key_json, file, json.dumps(shape), 0, json.dumps(facts), _today())
        query = "INSERT INTO shelf (key, file, shape, records, facts, used_at) VALUES (?, ?, ?, ?, ?, ?)"
        return ShelfRow.parse(connection.execute(query, values).lastrowid or 0, *values)

    def _append(self, connection: sqlite3.Connection, row: ShelfRow, new: Sequence[NewRecord]) -> None:
        arrays = [np.ascontiguousarray(record.array, "<f4") for record in new if record.array is not None]
        if arrays:
            write_arrays(self._store.folder / row.file, arrays, offset=row.records * row.record_bytes)
        slots = iter([(row.records + n, zlib.crc32(array.data)) for n, array in enumerate(arrays)])
        values = [(row.id, r.key, *((None, None) if r.array is None else next(slots)), r.note) for r in new]
        connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?)", values)
        total = row.records + len(arrays)
        connection.execute("UPDATE shelf SET records = ?, used_at = ? WHERE id = ?", (total, _today(), row.id))


def write_arrays(path: Path, arrays: Iterable[NDArray[np.float32]], *, offset: int) -> None:
    """Write records from a byte offset, over remains of a killed process, and force them to disk."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.seek(offset)
        for array in arrays:
            file.write(array.data)
        file.flush()
        os.fsync(file.fileno())


def damaged_keys(entries: Mapping[str, IndexEntry], arrays: NDArray[np.float32]) -> set[str]:
    """Return the keys whose record is missing from the file or does not match its checksum."""
    return {
        key
        for key, (slot, checksum, _) in entries.items()
        if slot is not None and (slot >= len(arrays) or zlib.crc32(arrays[slot].data) != checksum)
    }


def _damaged(file: BinaryIO, row: ShelfRow, entry: IndexEntry) -> bool:
    """Whether the record of an entry is missing from an open file or does not match its checksum."""
    file.seek((entry.slot or 0) * row.record_bytes)
    record = file.read(row.record_bytes)
    return len(record) < row.record_bytes or zlib.crc32(record) != entry.checksum


def drop_entries(connection: sqlite3.Connection, shelf_id: int, keys: Iterable[str]) -> None:
    """Remove keys from the index; their bytes stay in the file until the next `prune`."""
    values = [(shelf_id, key) for key in keys]
    connection.executemany("DELETE FROM entry WHERE shelf = ? AND key = ?", values)


def file_size(path: Path) -> int:
    """Return a file's size in bytes; 0 if it does not exist."""
    return path.stat().st_size if path.exists() else 0


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _path_bytes(path: Path) -> bytes:
    return os.fsencode(path.absolute())


@contextmanager
def _user_errors(folder: Path) -> Iterator[None]:
    """Raise UserError for errors of SQLite and the disk."""
    try:
        yield
    except sqlite3.OperationalError as error:  # locked for long, read-only, disk full
        raise UserError(f"The feature store in {folder} reports: {error}. Another folder: --features DIR") from error
    except sqlite3.DatabaseError as error:
        raise UserError(_DAMAGED.format(folder=folder, error=error)) from error
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror}. Another folder: --features DIR") from error


_NO_STORE = (
    "No features in {folder} yet. Compute some with: recognize embed --dataset ucf101 --root UCF101, "
    "or name another folder with --features"
)
_NEWER = "{folder} was written by a newer version. Run: pip install --upgrade descgen-recognize"
_DAMAGED = (
    "The index of the feature store in {folder} is damaged ({error}). All of its features can be computed again: "
    "delete the folder, or give another one with --features"
)
_OTHER_SHAPE = (
    "{encoder} now gives records of shape {now}, not {before} as before, under the same revision {revision}. "
    "Drop the old ones with: recognize features prune --encoder {encoder}"
)
