"""What is in the feature store, and whether it is whole."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recognizer.datasets.records import printable
from recognizer.feature_store import FeatureStore, ShelfRow
from recognizer.shelf import Entry, is_whole, mapped
from recognizer.sources import content_in
from recognizer.video.sampling import Sampling


@dataclass(frozen=True)
class Stock:
    """One shelf, for people.

    Attributes:
        what: `texts`, or how videos were looked at.
        records: those in use.
        unreadable: videos known to give none.
        bytes: of its file, dropped and unfinished records included.
    """

    encoder: str
    revision: str
    what: str
    records: int
    unreadable: int
    bytes: int
    used_at: str
    file: str


def stock(store: FeatureStore) -> list[Stock]:
    """Return what there is, a line for each shelf."""
    return [_stock(store, row) for row in store.shelves()]


def _stock(store: FeatureStore, row: ShelfRow) -> Stock:
    slots = [entry.slot for entry in entries_of(store, row).values()]
    unreadable = sum(slot is None for slot in slots)
    return Stock(
        encoder=row.key["encoder"],
        revision=row.key["revision"],
        what=what(row),
        records=len(slots) - unreadable,
        unreadable=unreadable,
        bytes=size_of(store.folder / row.file),
        used_at=row.used_at,
        file=row.file,
    )


def what(row: ShelfRow) -> str:
    """Say in a few words what a shelf holds."""
    key = row.key
    if key["what"] == "texts":
        return "texts"
    if key["what"] == "long":
        return f"{key['fps']:g} frames a second, {key['preprocessing']}"
    return f"{Sampling(key['frames'], key['clips'], key['crops'])}, {key['preprocessing']}"


def entries_of(store: FeatureStore, row: ShelfRow) -> dict[str, Entry]:
    """Return all that the index has for a shelf, by key."""
    with store.reading() as connection:
        rows = connection.execute("SELECT key, slot, checksum, note FROM entry WHERE shelf = ?", (row.id,))
        return {key: Entry(slot, checksum, note) for key, slot, checksum, note in rows}


def size_of(path: Path) -> int:
    """Return a file's bytes; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def paths_of(store: FeatureStore, row: ShelfRow) -> dict[str, list[Path]]:
    """Return the files that were seen, by the key of their content."""
    paths: dict[str, list[Path]] = {}
    with store.reading() as connection:
        for key, path in connection.execute("SELECT key, path FROM seen WHERE shelf = ?", (row.id,)):
            paths.setdefault(key, []).append(Path(os.fsdecode(path)))
    return paths


@dataclass(frozen=True)
class Check:
    """What `verify` found of one shelf.

    Attributes:
        records: how many were read and compared with their checksums.
        damaged: those that do not fit: videos by a path, texts by the sha256 of the text.
        unfinished: bytes at the end of the file, of a batch that was never finished; the next one takes their place.
    """

    encoder: str
    what: str
    file: str
    records: int
    damaged: tuple[str, ...]
    unfinished: int


def verify(store: FeatureStore, *, on_progress: Callable[[int, int], None] = lambda done, total: None) -> list[Check]:
    """Read every record of every shelf, and compare it with its checksum.

    Raises:
        UserError: the index itself is damaged.
    """
    with store.reading() as connection:
        [said] = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if said != "ok":
            raise sqlite3.DatabaseError(said)  # the store says what to do
    rows, checks = store.shelves(), []
    for row in rows:
        checks.append(_check(store, row))
        on_progress(len(checks), len(rows))
    return checks


def _check(store: FeatureStore, row: ShelfRow) -> Check:
    entries, file = entries_of(store, row), store.folder / row.file
    paths = paths_of(store, row)
    contents = {content_in(key) for key in damaged_in(store, row, entries)}
    damaged = [printable(str(paths[key][0])) if key in paths else key for key in contents]
    return Check(
        encoder=row.key["encoder"],
        what=what(row),
        file=row.file,
        records=sum(entry.slot is not None for entry in entries.values()),
        damaged=tuple(sorted(damaged)),
        unfinished=max(0, size_of(file) - row.records * row.record_bytes),
    )


def damaged_in(store: FeatureStore, row: ShelfRow, entries: dict[str, Entry]) -> set[str]:
    """Return the keys of the records that do not fit their checksums."""
    records = mapped(store.folder / row.file, row)
    return {key for key, entry in entries.items() if not is_whole(entry, records)}
