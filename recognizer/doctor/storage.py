"""The database and the stored embeddings: where, how much, and whether they can be used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from db.errors import UserError
from db.inspection import inspect_database
from recognizer.doctor.findings import Finding, Surroundings


def check_database(surroundings: Surroundings) -> Iterator[Finding]:
    """Find the database, its revision and how much is in it."""
    try:
        facts = inspect_database(surroundings.database)
    except UserError as error:
        yield Finding("database", "place", "missing", str(error))
        return
    if facts is None:
        detail = f"none at {surroundings.database}; videos are recognised by the labels alone"
        yield Finding("database", "place", "optional", detail, "descgen build --dataset hmdb51 --llm smollm2")
        return
    yield Finding("database", "place", "ok", facts.place)
    newest = "the newest" if facts.is_newest else "older; the next command that uses it updates it, and keeps a copy"
    yield Finding("database", "revision", "ok", f"{facts.revision or 'none: it is empty'}, {newest}")
    if facts.counts:
        yield Finding("database", "holds", "ok", ", ".join(f"{n} {title}" for title, n in facts.counts.items()))


def check_features(surroundings: Surroundings) -> Iterator[Finding]:
    """Find the feature store: its size, whether it can be written, and the room that is left."""
    folder = surroundings.features
    yield from _stored(folder)
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        command = "export RECOGNIZE_FEATURES=FOLDER"
        yield Finding(
            "stored embeddings", "room", "missing", f"{place} is not a folder that can be written to", command
        )
    else:
        yield Finding(
            "stored embeddings", "room", "ok", f"{shutil.disk_usage(place).free / 1e9:.1f} GB free in {place}"
        )


def _stored(folder: Path) -> Iterator[Finding]:
    section = "stored embeddings"
    if not (folder / "index.db").is_file():
        yield Finding(section, "folder", "ok", f"{folder}: nothing is stored yet")
        return
    size = f"{sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) / 1e6:.1f} MB"
    try:
        from recognizer.features.maintenance import summarize
        from recognizer.features.store import FeatureStore

        with FeatureStore.open(folder, create=False) as store:
            shelves = summarize(store)
    except ImportError as error:
        yield Finding(section, "folder", "optional", f"{folder}, {size}; its index cannot be read: {error}")
    except UserError as error:
        yield Finding(section, "folder", "missing", str(error), "export RECOGNIZE_FEATURES=FOLDER")
    else:
        records = f"{sum(shelf.records for shelf in shelves)} records of {len({s.encoder for s in shelves})} encoders"
        yield Finding(section, "folder", "ok", f"{folder}: {records}, {size}")
