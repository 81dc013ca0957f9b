"""Join feature stores, such as those of the machines that embedded the shards of a dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.errors import UsageError, UserError, first_few
from db.progress import Progress
from recognizer.features.maintenance import describe
from recognizer.features.store import (
    INDEX,
    FeatureStore,
    IndexEntry,
    KnownFile,
    NewRecord,
    Shelf,
    ShelfRow,
    damaged_keys,
)

_RECORDS_AT_ONCE = 1024


@dataclass(frozen=True)
class MergedShelf:
    """What one shelf of a source gave.

    Attributes:
        source: the folder that it came from.
        what: see `describe`; the name is that of the `--json` output.
        added: records that were not stored yet.
        already: records of which the store has one; its own is kept.
        unreadable: videos that are stored as unreadable there.
        damaged: records that do not match their checksum; they are left out.
    """

    source: str
    encoder: str
    what: str
    added: int
    already: int
    unreadable: int
    damaged: int


def merge_stores(
    into: Path, sources: Sequence[Path], *, on_progress: Progress = lambda done, total: None
) -> list[MergedShelf]:
    """Copy all records of the stores in other folders into the one in a folder, which need not exist yet.

    The sources are only read. It may be stopped and repeated: what is stored stays.

    Raises:
        UsageError: a source is the store itself.
        UserError: a source is no feature store (nothing is merged then), or an encoder has records of another shape
            there.
    """
    _check(sources, into)
    merged: list[MergedShelf] = []
    with FeatureStore.open(into) as store:
        for number, folder in enumerate(sources):
            on_progress(number, len(sources))
            with FeatureStore.open(folder, create=False) as source:
                merged += [_merge(store, source, row) for row in source.shelves()]
    on_progress(len(sources), len(sources))
    return merged


def _check(sources: Sequence[Path], into: Path) -> None:
    """Refuse sources that cannot be merged, before anything is made."""
    if any(source.resolve() == into.resolve() for source in sources):
        raise UsageError(f"{into} cannot be merged into itself. Name the other folders, or another --features")
    if missing := [str(source) for source in sources if not (source / INDEX).exists()]:
        raise UserError(
            f"{len(missing)} of {len(sources)} folders hold no embeddings: {first_few(missing)}. Nothing was merged. "
            "Name folders that recognize embed filled; see what one holds: recognize features list --features FOLDER"
        )
    for source in sources:
        with FeatureStore.open(source, create=False):
            pass  # it can be read, and is not of a newer version


def _merge(store: FeatureStore, source: FeatureStore, row: ShelfRow) -> MergedShelf:
    with source.reading():
        entries, arrays = source.entries(row), source.arrays(row)
        rows = source.query("SELECT path, stamp, key FROM seen WHERE shelf = ?", row.id)
    damaged = damaged_keys(entries, arrays)
    shelf = Shelf(store, row.key)
    before = shelf.load(entries).entries
    new = {key: entry for key, entry in entries.items() if key not in damaged and key not in before}
    in_order = sorted(new.items(), key=lambda item: -1 if item[1].slot is None else item[1].slot)
    for group in _groups(in_order):
        records = [NewRecord(key, None if e.slot is None else arrays[e.slot], e.note) for key, e in group]
        shelf.add(records, shape=row.shape, facts=row.facts)
    files = [KnownFile(Path(os.fsdecode(path)), stamp, key) for path, stamp, key in rows if key not in damaged]
    if entries:
        shelf.add([], shape=row.shape, files=files, facts=row.facts)
    records_of = {key for key, entry in entries.items() if entry.slot is not None} - damaged
    return MergedShelf(
        source=str(source.folder),
        encoder=row.key["encoder"],
        what=describe(row),
        added=len(records_of & new.keys()),
        already=len(records_of - new.keys()),
        unreadable=sum(entry.slot is None for entry in entries.values()),
        damaged=len(damaged),
    )


def _groups(entries: Sequence[tuple[str, IndexEntry]]) -> Iterator[Sequence[tuple[str, IndexEntry]]]:
    for start in range(0, len(entries), _RECORDS_AT_ONCE):
        yield entries[start : start + _RECORDS_AT_ONCE]
