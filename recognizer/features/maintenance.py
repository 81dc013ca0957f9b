"""Maintenance of a feature store: list its shelves, verify their records, prune those that are not needed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from db.errors import UsageError, did_you_mean
from db.progress import Progress
from recognizer.datasets.records import printable
from recognizer.features.decode import content_hash
from recognizer.features.store import (
    SUFFIX,
    FeatureStore,
    ShelfRow,
    damaged_keys,
    drop_entries,
    file_size,
    write_arrays,
)
from recognizer.video.sampling import Sampling

_RECORDS_AT_ONCE = 1024  # copied when a file is rewritten


@dataclass(frozen=True)
class ShelfSummary:
    """One shelf, as `recognize features list` shows it."""

    encoder: str
    revision: str
    what: str  # see `describe`; the name is that of the `--json` output
    records: int  # in use
    unreadable: int  # videos stored without a record
    bytes: int  # of its file, including dropped and unfinished records
    used_at: str
    file: str


def summarize(store: FeatureStore) -> list[ShelfSummary]:
    """Summarize each shelf."""
    summaries = []
    for row in store.shelves():
        slots = [entry.slot for entry in store.entries(row).values()]
        summaries.append(
            ShelfSummary(
                encoder=row.key["encoder"],
                revision=row.key["revision"],
                what=describe(row),
                records=len(slots) - slots.count(None),
                unreadable=slots.count(None),
                bytes=file_size(store.folder / row.file),
                used_at=row.used_at,
                file=row.file,
            )
        )
    return summaries


def describe(row: ShelfRow) -> str:
    """Return what a shelf holds: `texts`, or the sampling and preprocessing of its videos."""
    key = row.key
    precision = f", {key['precision']}" if "precision" in key else ""
    if key["what"] == "texts":
        return f"texts{precision}"
    if key["what"] == "long":
        return f"{key['fps']:g} frames a second, {key['preprocessing']}{precision}"
    whole = ", a vector a clip" if key["what"] == "clips" else ""
    return f"{Sampling(key['frames'], key['clips'], key['crops'])}, {key['preprocessing']}{whole}{precision}"


@dataclass(frozen=True)
class ShelfCheck:
    """The result of verifying one shelf."""

    encoder: str
    what: str  # see `describe`; the name is that of the `--json` output
    file: str
    records: int  # compared with their checksums
    damaged: tuple[str, ...]  # checksum does not match: videos by one of their paths, texts by their sha256
    unfinished: int  # bytes of an interrupted batch at the end of the file; the next batch overwrites them


def verify(store: FeatureStore, *, on_progress: Progress = lambda done, total: None) -> list[ShelfCheck]:
    """Compare every record of every shelf with its checksum.

    Raises:
        UserError: the index itself is damaged.
    """
    with store.reading() as connection:
        [answer] = connection.execute("PRAGMA integrity_check(1)").fetchone()
        if answer != "ok":
            raise sqlite3.DatabaseError(answer)  # the store turns it into a UserError
    rows, checks = store.shelves(), []
    for row in rows:
        checks.append(_check(store, row))
        on_progress(len(checks), len(rows))
    return checks


def _check(store: FeatureStore, row: ShelfRow) -> ShelfCheck:
    entries, paths = store.entries(row), _paths(store, row)
    contents = {content_hash(key) for key in damaged_keys(entries, store.arrays(row))}
    return ShelfCheck(
        encoder=row.key["encoder"],
        what=describe(row),
        file=row.file,
        records=sum(entry.slot is not None for entry in entries.values()),
        damaged=tuple(sorted(printable(str(paths[key][0])) if key in paths else key for key in contents)),
        unfinished=max(0, file_size(store.folder / row.file) - row.records * row.record_bytes),
    )


def _paths(store: FeatureStore, row: ShelfRow) -> dict[str, list[Path]]:
    """Return the known files by content hash."""
    paths: dict[str, list[Path]] = {}
    for key, path in store.query("SELECT key, path FROM seen WHERE shelf = ?", row.id):
        paths.setdefault(key, []).append(Path(os.fsdecode(path)))
    return paths


@dataclass(frozen=True)
class PruneFilter:
    """Which records to drop.

    `encoder` and `unused_days` select shelves. With `gone` or `damaged`, only these records of them are dropped, else
    whole shelves.
    """

    encoder: str | None = None  # the encoder's id
    unused_days: int | None = None  # not used for this many days
    gone: bool = False  # videos without any file left on disk
    damaged: bool = False  # records that do not match their checksums


@dataclass(frozen=True)
class PrunePlan:
    """The records of one shelf to drop."""

    row: ShelfRow
    what: str  # see `describe`; the name is that of the `--json` output
    keys: tuple[str, ...]
    whole: bool  # drop the shelf itself
    bytes: int


def plan_prune(store: FeatureStore, selected: PruneFilter) -> list[PrunePlan]:
    """Return the records to drop, shelf by shelf.

    Raises:
        UsageError: the filter is empty, or the encoder has no shelf.
    """
    if selected == PruneFilter():
        raise UsageError("Choose what to drop: --encoder NAME, --unused DAYS, --gone or --damaged")
    rows = store.shelves()
    encoders = sorted({row.key["encoder"] for row in rows})
    if selected.encoder is not None and selected.encoder not in encoders:
        near, there = did_you_mean(selected.encoder, encoders), ", ".join(encoders) or "none"
        raise UsageError(f"No features of encoder {selected.encoder!r}. {near}Stored are those of: {there}")
    last_day = (datetime.now(UTC).date() - timedelta(days=selected.unused_days or 0)).isoformat()
    plans = [
        _plan(store, row, selected)
        for row in rows
        if selected.encoder in (None, row.key["encoder"]) and (selected.unused_days is None or row.used_at <= last_day)
    ]
    return [plan for plan in plans if plan.keys or plan.whole]


def _plan(store: FeatureStore, row: ShelfRow, selected: PruneFilter) -> PrunePlan:
    entries, keys = store.entries(row), set[str]()
    if selected.damaged:
        keys |= damaged_keys(entries, store.arrays(row))
    if selected.gone:
        gone = {key for key, paths in _paths(store, row).items() if not any(path.exists() for path in paths)}
        keys |= {key for key in entries if content_hash(key) in gone}
    whole = not (selected.gone or selected.damaged)
    records = sum(entries[key].slot is not None for key in keys)
    size = file_size(store.folder / row.file) if whole else records * row.record_bytes
    return PrunePlan(row, describe(row), tuple(sorted(entries if whole else keys)), whole, size)


def prune(store: FeatureStore, plans: Sequence[PrunePlan]) -> None:
    """Drop planned records. Files are rewritten under new names; the old ones are deleted once the index changed."""
    for plan in plans:
        with store.writing() as connection:
            if plan.whole:
                connection.execute("DELETE FROM shelf WHERE id = ?", (plan.row.id,))
            else:
                _drop(store, connection, plan)
    with store.writing() as connection:
        used = {file for (file,) in connection.execute("SELECT file FROM shelf")}
        for path in store.folder.glob(f"*{SUFFIX}"):
            if path.name not in used:
                with suppress(OSError):  # open in another process on Windows: the next prune deletes it
                    path.unlink()


def _drop(store: FeatureStore, connection: sqlite3.Connection, plan: PrunePlan) -> None:
    drop_entries(connection, plan.row.id, plan.keys)
    contents = {(plan.row.id, content_hash(key)) for key in plan.keys}
    connection.executemany("DELETE FROM seen WHERE shelf = ? AND key = ?", contents)
    columns = connection.execute("SELECT * FROM shelf WHERE id = ?", (plan.row.id,)).fetchone()
    if columns:  # else another process dropped the shelf
        _rewrite(store, connection, ShelfRow.parse(*columns))


def _rewrite(store: FeatureStore, connection: sqlite3.Connection, row: ShelfRow) -> None:
    """Write the records that are still in the index to a new file, in the same order."""
    arrays = store.arrays(row)
    query = "SELECT key, slot FROM entry WHERE shelf = ? AND slot < ? ORDER BY slot"
    kept = connection.execute(query, (row.id, len(arrays))).fetchall()
    file = _next_name(row.file)
    (store.folder / file).unlink(missing_ok=True)  # of a prune that was killed
    for start in range(0, len(kept), _RECORDS_AT_ONCE):
        chunk = [arrays[slot] for _, slot in kept[start : start + _RECORDS_AT_ONCE]]
        write_arrays(store.folder / file, chunk, offset=start * row.record_bytes)
    slots = [(slot, row.id, key) for slot, (key, _) in enumerate(kept)]
    connection.execute("DELETE FROM entry WHERE shelf = ? AND slot >= ?", (row.id, len(arrays)))  # the file lacks them
    connection.executemany("UPDATE entry SET slot = ? WHERE shelf = ? AND key = ?", slots)
    connection.execute("UPDATE shelf SET file = ?, records = ? WHERE id = ?", (file, len(kept), row.id))


def _next_name(file: str) -> str:
    """`objects-5f0c91d2.f32`, `objects-5f0c91d2.2.f32`, `objects-5f0c91d2.3.f32` ..."""
    stem = file.removesuffix(SUFFIX)
    base, _, number = stem.rpartition(".")
    return f"{base}.{int(number) + 1}{SUFFIX}" if base and number.isdecimal() else f"{stem}.2{SUFFIX}"
