"""Read a file of descriptors. Class names and kinds are not looked up yet."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from db import spreadsheets, strict_json
from db.errors import UserError, shortened
from db.given_files import MOST_BYTES, read_bytes
from db.numbering import NumberingError, without_numbers
from db.records import Call, Dataset, Original
from db.storable import LARGEST_INTEGER, NOT_STORABLE
from db.vocabulary import spelling
from descriptor_gen.exchange import parquet
from descriptor_gen.exchange.documents import ShapeError, checked, read_call, read_export

SHAPES = (
    "JSON, CSV and Parquet as descgen export writes them; JSON of class -> texts (TEAR, CuPL, MPVR, "
    "classify_by_description), of class -> question -> texts (MPVR's scripts), and of label index -> texts (OST) or "
    "one text (FROSTER, TC-CLIP); numbered lines, a text each; CSV with the columns action and text"
)

_NO_TEXTS = "is JSON of an unknown shape: no name in it has a text or a list of texts"


def _storable(original: Original) -> Original:
    if not original.text or NOT_STORABLE.search(original.text):
        raise ValueError("a text is empty, or holds a character that cannot be stored")
    return original


@dataclass(frozen=True)
class Entry:
    """One text of a file. None: the file does not say. `action` is the class name as written in the file."""

    action: Annotated[str, Field(coerce_numbers_to_str=True)]  # in Parquet, labels may be numbers
    text: Any
    kind: str | None = None
    position: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)] | None = None
    source: str | None = None
    status: str | None = None
    origin: Annotated[str, Field(max_length=300, pattern="^[^\0]*$")] | None = None
    call: Call | None = None
    originals: tuple[Annotated[Original, AfterValidator(_storable)], ...] = ()


@dataclass(frozen=True)
class Contents:
    """The contents of a file.

    Attributes:
        name: the file's name.
        digest: the first 12 hex digits of its sha256.
        entries: the texts in order.
        dataset: the classes, if the file lists them.
    """

    name: str
    digest: str
    entries: tuple[Entry, ...]
    dataset: Dataset | None = None


def read(path: Path) -> Contents:
    """Return the contents of a file.

    Raises:
        UserError: it cannot be read, or has an unknown shape.
    """
    file = parquet.data_file(path)
    suffix = file.suffix.lower()
    dataset: Dataset | None = None
    try:
        data = read_bytes(file)
        if suffix == ".parquet":
            rows, dataset = parquet.read(data)
            entries = _entries(rows)
        elif suffix == ".csv":
            entries = _entries(_csv_rows(data))
        elif suffix == ".txt":
            entries = _numbered_lines(data)
        else:
            entries, dataset = _read_json(data)
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}") from error
    except ShapeError as error:
        raise UserError(f"{path} {error}. Known shapes: {SHAPES}") from error
    if not entries:
        raise UserError(f"{path} holds no descriptors")
    return Contents(path.name, hashlib.sha256(data).hexdigest()[:12], tuple(entries), dataset)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ShapeError(f"is not text in UTF-8 (byte {error.start})") from error


def _read_json(data: bytes) -> tuple[list[Entry], Dataset | None]:
    text = _text(data)
    try:
        document = strict_json.loads(text)
    except strict_json.RepeatedNameError as error:
        raise ShapeError(str(error)) from error
    except ValueError as error:
        raise ShapeError(f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ShapeError(f"is JSON, but a {type(document).__name__} and not an object")
    if "descgen" in document:
        dataset, calls, descriptors = read_export(document)
        return [_entry(row, calls) for row in descriptors], dataset
    return [Entry(key, text) for key, texts in _texts_by_name(document).items() for text in texts], None


def _texts_by_name(document: dict[str, Any]) -> dict[str, list[Any]]:
    """Return name -> texts, of JSON of name -> texts, name -> text, or class -> question -> texts.

    An empty list stays as the one item of its name, to be refused and counted.

    Raises:
        ShapeError: it is none of them.
    """
    values = list(document.values())
    if values and all(isinstance(value, dict) for value in values):
        document = {name: _answers(name, by_question) for name, by_question in document.items()}
    elif not any(isinstance(texts, list) for texts in values) and not all(isinstance(text, str) for text in values):
        raise ShapeError(_NO_TEXTS)
    lists = {name: texts if isinstance(texts, list) and texts else [texts] for name, texts in document.items()}
    if not any(isinstance(text, str) for texts in lists.values() for text in texts):
        raise ShapeError(_NO_TEXTS)
    return lists


def _answers(name: str, by_question: Mapping[str, Any]) -> list[Any]:
    """Return the answers to the questions about a class; what else might lie one level deeper is not guessed at."""
    for question, texts in by_question.items():
        if spelling(name) not in spelling(question) or not isinstance(texts, list):
            raise ShapeError(
                f"is JSON of an unknown shape: below {shortened(name)!r} it has {shortened(question)!r}, which is no "
                "question that names this class, with a list of texts"
            )
    return [text for texts in by_question.values() for text in texts]


def _numbered_lines(data: bytes) -> list[Entry]:
    """Return the text of each line, in the order of the numbers before them."""
    lines = [line.strip() for line in _text(data).splitlines() if line.strip()]
    try:
        texts = without_numbers(lines)
    except NumberingError as error:
        raise ShapeError(str(error)) from error
    if texts is None:
        raise ShapeError("is text whose lines have no numbers")
    return [Entry(str(index), text) for index, text in enumerate(texts)]


def _csv_rows(data: bytes) -> list[dict[str, Any]]:
    try:
        csv.field_size_limit(MOST_BYTES)  # a cell holds a whole call, with its prompt and its reply
        rows = list(csv.DictReader(io.StringIO(_text(data), newline=""), restkey="", strict=True))
    except csv.Error as error:
        raise ShapeError(f"is not CSV: {error}") from error
    return [
        {name: spreadsheets.unsafe(cell) for name, cell in row.items()} if row.get(spreadsheets.MARK) else row
        for row in rows
    ]


def _entries(rows: list[dict[str, Any]]) -> list[Entry]:
    """Return the entries of a table; the first row of a call describes it.

    Raises:
        ShapeError: a column is missing, or a cell is damaged.
    """
    needed = {"action", "text", *(["cache_key"] if any(row.get("generation") for row in rows) else [])}
    missing = needed - rows[0].keys() if rows else ()
    if missing:
        raise ShapeError(f"has no column {' and no column '.join(sorted(missing))}")
    calls = {str(row.get("cache_key")): read_call(_cell(row, "generation")) for row in rows if row.get("generation")}
    return [_entry({**row, "originals": _cell(row, "originals")}, calls) for row in rows]


def _cell(row: Mapping[str, Any], column: str) -> Any:
    try:
        return strict_json.loads(str(row.get(column) or "null"))
    except ValueError as error:
        raise ShapeError(f"is damaged: a cell of the column {column} is not JSON: {error}") from error


def _entry(row: Mapping[str, Any], calls: Mapping[str, Call]) -> Entry:
    """Return the entry of a row; empty cells are absent, except in the columns action and text."""
    cells = {name: cell for name, cell in row.items() if name in ("action", "text") or cell not in (None, "")}
    entry = checked(Entry, {**cells, "call": None}, "is damaged: a descriptor", strict=False)
    return replace(entry, call=calls.get(str(row.get("cache_key"))))
