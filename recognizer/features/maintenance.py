"""What a feature store holds, whether it is whole, and what can go."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.errors import UsageError
from db.progress import Progress
from recognizer.datasets.records import printable
from recognizer.features.decode import content_in
from recognizer.features.store import SUFFIX, Entry, FeatureStore, ShelfRow, append, is_whole, mapped, shelf_row
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


def verify(store: FeatureStore, *, on_progress: Progress = lambda done, total: None) -> list[Check]:
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


_RECORDS_AT_ONCE = 1024  # copied when a file is written anew


@dataclass(frozen=True)
class Unwanted:
    """What is to go: shelves are chosen by the first two, what of them by the others; without those, all of it.

    Attributes:
        encoder: id of an encoder.
        unused_days: not used for so many days.
        gone: videos none of whose files is there any more.
        damaged: records that do not fit their checksums.
    """

    encoder: str | None = None
    unused_days: int | None = None
    gone: bool = False
    damaged: bool = False


@dataclass(frozen=True)
class Cut:
    """What of one shelf is to go: keys, or all of it."""

    row: ShelfRow
    what: str
    keys: tuple[str, ...]
    whole: bool
    bytes: int


def plan(store: FeatureStore, unwanted: Unwanted) -> list[Cut]:
    """Return what `prune` would drop, shelf by shelf.

    Raises:
        UsageError: nothing was said about what is unwanted, or the encoder has no shelf.
    """
    if unwanted == Unwanted():
        raise UsageError("Say what is to go: --encoder NAME, --unused DAYS, --gone or --damaged")
    rows = store.shelves()
    known = sorted({row.key["encoder"] for row in rows})
    if unwanted.encoder is not None and unwanted.encoder not in known:
        raise UsageError(
            f"No features of encoder {unwanted.encoder!r}. There are some of: {', '.join(known) or 'none'}"
        )
    cuts = [_cut(store, row, unwanted) for row in rows if _is_chosen(row, unwanted)]
    return [cut for cut in cuts if cut.keys or cut.whole]


def _is_chosen(row: ShelfRow, unwanted: Unwanted) -> bool:
    if unwanted.encoder is not None and row.key["encoder"] != unwanted.encoder:
        return False
    if unwanted.unused_days is None:
        return True
    last = datetime.now(UTC).date() - timedelta(days=unwanted.unused_days)
    return row.used_at <= last.isoformat()


def _cut(store: FeatureStore, row: ShelfRow, unwanted: Unwanted) -> Cut:
    entries, keys = entries_of(store, row), set[str]()
    if unwanted.damaged:
        keys |= damaged_in(store, row, entries)
    if unwanted.gone:
        gone = {key for key, paths in paths_of(store, row).items() if not any(path.exists() for path in paths)}
        keys |= {key for key in entries if content_in(key) in gone}
    whole = not (unwanted.gone or unwanted.damaged)
    records = sum(entries[key].slot is not None for key in keys)
    size = size_of(store.folder / row.file) if whole else records * row.record_bytes
    return Cut(row, what(row), tuple(sorted(entries if whole else keys)), whole, size)


def prune(store: FeatureStore, cuts: Sequence[Cut]) -> None:
    """Drop what was planned. Its files are written anew beside the old ones, which go once the index has changed."""
    for cut in cuts:
        with store.writing() as connection:
            if cut.whole:
                connection.execute("DELETE FROM shelf WHERE id = ?", (cut.row.id,))
            else:
                _drop(store, connection, cut)
    _sweep(store)


def _drop(store: FeatureStore, connection: sqlite3.Connection, cut: Cut) -> None:
    values = [(cut.row.id, key) for key in cut.keys]
    connection.executemany("DELETE FROM entry WHERE shelf = ? AND key = ?", values)
    contents = {(cut.row.id, content_in(key)) for key in cut.keys}
    connection.executemany("DELETE FROM seen WHERE shelf = ? AND key = ?", contents)
    found = connection.execute("SELECT * FROM shelf WHERE id = ?", (cut.row.id,)).fetchone()
    if found:  # another process may have dropped it
        _write_anew(store.folder, connection, shelf_row(found))


def _write_anew(folder: Path, connection: sqlite3.Connection, row: ShelfRow) -> None:
    """Give a shelf a file that holds only the records still named, in the order that they had."""
    query = "SELECT key, slot FROM entry WHERE shelf = ? AND slot < ? ORDER BY slot"
    records = mapped(folder / row.file, row)
    named = connection.execute(query, (row.id, len(records))).fetchall()
    file = _next_name(row.file)
    (folder / file).unlink(missing_ok=True)  # of a prune that was killed
    for start in range(0, len(named), _RECORDS_AT_ONCE):
        chunk = [records[slot] for _, slot in named[start : start + _RECORDS_AT_ONCE]]
        append(folder / file, chunk, place=start * row.record_bytes)
    places = [(place, row.id, key) for place, (key, _) in enumerate(named)]
    connection.execute("DELETE FROM entry WHERE shelf = ? AND slot >= ?", (row.id, len(records)))  # the file lacks them
    connection.executemany("UPDATE entry SET slot = ? WHERE shelf = ? AND key = ?", places)
    connection.execute("UPDATE shelf SET file = ?, records = ? WHERE id = ?", (file, len(named), row.id))


def _next_name(file: str) -> str:
    """`objects-5f0c91d2.f32`, `objects-5f0c91d2.2.f32`, `objects-5f0c91d2.3.f32` ..."""
    stem = file.removesuffix(SUFFIX)
    base, _, number = stem.rpartition(".")
    return f"{base}.{int(number) + 1}{SUFFIX}" if base and number.isdecimal() else f"{stem}.2{SUFFIX}"


def _sweep(store: FeatureStore) -> None:
    """Delete files that no shelf names any more; one that another process holds open on Windows waits for the next."""
    with store.writing() as connection:
        named = {file for (file,) in connection.execute("SELECT file FROM shelf")}
        for path in store.folder.glob(f"*{SUFFIX}"):
            if path.name not in named:
                with suppress(OSError):
                    path.unlink()
