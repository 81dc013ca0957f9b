"""What a file of descriptors says, before anything is looked up."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.errors import UserError
from db.records import Call, Dataset, Original
from descriptor_gen.exchange import parquet
from descriptor_gen.exchange.documents import ShapeError, read_call, read_export, read_originals

VERSION = 1
SHAPES = (
    "JSON, CSV and Parquet as descgen export writes them; JSON of class -> list of texts (TEAR, CuPL) and of label "
    "index -> list (OST); CSV with the columns action and text"
)


@dataclass(frozen=True)
class Entry:
    """One text as a file has it; `key` is the file's name of the class, and what it does not say is None."""

    key: str
    text: Any
    kind: str | None = None
    position: int | None = None
    source: str | None = None
    status: str | None = None
    origin: str | None = None
    call: Call | None = None
    originals: tuple[Original, ...] = ()


Body = tuple[list[Entry], Dataset | None]


@dataclass(frozen=True)
class Contents:
    """What a file says.

    Attributes:
        name: the file's name.
        digest: the first 12 hex digits of its sha256.
        entries: its texts in order.
        dataset: the classes that it is about, where it brings them along.
    """

    name: str
    digest: str
    entries: tuple[Entry, ...]
    dataset: Dataset | None = None


def read(path: Path) -> Contents:
    """Return what a file says.

    Raises:
        UserError: it cannot be read, or is of no shape that is known.
    """
    file = parquet.file_of(path)
    try:
        data = file.read_bytes()
        entries, dataset = _READERS.get(file.suffix.lower(), _read_json)(data)
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}") from error
    except ShapeError as error:
        raise UserError(f"{path} {error}. Read are: {SHAPES}") from error
    if not entries:
        raise UserError(f"{path} holds no descriptors")
    return Contents(path.name, hashlib.sha256(data).hexdigest()[:12], tuple(entries), dataset)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ShapeError(f"is not text in UTF-8 (byte {error.start})") from error


def _read_json(data: bytes) -> Body:
    try:
        document = json.loads(_text(data), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise ShapeError(f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ShapeError(f"is JSON, but a {type(document).__name__} and not an object")
    return _read_export(document) if "descgen" in document else (_read_lists(document), None)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, in which no name may come twice: of two lists of a class, JSON would drop the first."""
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise ShapeError(f"holds these names twice: {', '.join(twice)}. Keep one of each")
    return dict(pairs)


def _read_export(document: Mapping[str, Any]) -> Body:
    if document["descgen"] != VERSION:
        raise ShapeError(
            f"is an export of version {document['descgen']!r}, and this program reads version {VERSION}: "
            "pip install --upgrade descgen-recognize"
        )
    dataset, calls, descriptors = read_export(document)
    return [_entry(row, calls) for row in descriptors], dataset


def _read_lists(document: Mapping[str, Any]) -> list[Entry]:
    if not any(isinstance(texts, list) for texts in document.values()):
        raise ShapeError("is JSON of an unknown shape: no name in it has a list of texts")
    return [Entry(key, text) for key, texts in document.items() for text in _listed(texts)]


def _listed(texts: Any) -> list[Any]:
    return texts if isinstance(texts, list) and texts else [texts]


def _read_csv(data: bytes) -> Body:
    try:
        rows = list(csv.DictReader(io.StringIO(_text(data), newline=""), strict=True))
    except csv.Error as error:
        raise ShapeError(f"is not CSV: {error}") from error
    return _entries(rows), None


def _read_parquet(data: bytes) -> Body:
    rows, dataset = parquet.read(data)
    return _entries(rows), dataset


def _entries(rows: list[dict[str, Any]]) -> list[Entry]:
    """Return the entries of a table; a call is described in the first row that names it.

    Raises:
        ShapeError: a column is missing, or a cell is damaged.
    """
    missing = {"action", "text"} - rows[0].keys() if rows else ()
    if missing:
        raise ShapeError(f"has no column {' and no column '.join(sorted(missing))}")
    calls = {row["cache_key"]: read_call(_cell(row, "generation")) for row in rows if row.get("generation")}
    return [_entry({**row, "originals": _cell(row, "originals")}, calls) for row in rows]


def _cell(row: Mapping[str, Any], column: str) -> Any:
    try:
        return json.loads(row.get(column) or "null")
    except json.JSONDecodeError as error:
        raise ShapeError(f"is a damaged export: a cell of the column {column} is not JSON: {error}") from error


def _entry(row: Mapping[str, Any], calls: Mapping[str, Call]) -> Entry:
    known = {name: str(row[name]) if row.get(name) else None for name in ("kind", "source", "status", "origin")}
    return Entry(
        key=str(row["action"] or ""),
        text=row["text"],
        position=_number(row.get("position")),
        call=calls.get(row.get("cache_key") or ""),
        originals=read_originals(row.get("originals")),
        **known,
    )


def _number(cell: str | int | None) -> int | None:
    if cell is None or cell == "":
        return None
    try:
        return int(cell)
    except ValueError as error:
        raise ShapeError(f"has the position {cell!r}, which is no number") from error


_READERS: dict[str, Callable[[bytes], Body]] = {".csv": _read_csv, ".parquet": _read_parquet}


def keys_of(entries: Iterable[Entry]) -> list[str]:
    """Return the file's names of classes, each once, in order."""
    return list(dict.fromkeys(entry.key for entry in entries))
