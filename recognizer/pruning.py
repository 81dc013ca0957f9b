"""What of the feature store may go, and letting it go."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.errors import UsageError
from recognizer.feature_store import SUFFIX, FeatureStore, ShelfRow, shelf_row
from recognizer.shelf import append, mapped
from recognizer.sources import content_in
from recognizer.upkeep import damaged_in, entries_of, paths_of, size_of, what

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
