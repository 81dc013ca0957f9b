"""Write an export in each file format. All formats but TEAR's can be imported again without loss."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from db import spreadsheets
from db.errors import UserError
from db.records import Dataset, PortableDescriptor
from db.texts import clean, escaped
from db.vocabulary import tear_name
from descriptor_gen.exchange import parquet
from descriptor_gen.exchange.documents import call_document, descriptor_document, export_document

_TEAR_KINDS = ("decomposition", "description", "context")  # in the order of TEAR's *_all.json
Layout = Callable[[Dataset, Sequence[PortableDescriptor]], str]


def as_json(dataset: Dataset, items: Sequence[PortableDescriptor]) -> str:
    """Return everything: classes, texts, and the calls that wrote them, with templates and raw replies."""
    return escaped(json.dumps(export_document(dataset, items), ensure_ascii=False, indent=1)) + "\n"


def as_rows(dataset: Dataset, items: Sequence[PortableDescriptor]) -> list[dict[str, Any]]:
    """Return a row for each text; the first text of a call holds the call, as JSON."""
    actions = {action.name: action for action in dataset.actions}
    rows: list[dict[str, Any]] = []
    in_rows = {None}  # cache keys of the calls that an earlier row holds
    for item in items:
        action, document = actions[item.action], descriptor_document(item)
        call = item.call if document["cache_key"] not in in_rows else None
        in_rows.add(document["cache_key"])
        rows.append(
            {
                "dataset": dataset.name,
                "label": action.label,
                "action": action.name,
                "phrase": action.phrase,
                **document,
                "originals": _json(document["originals"]) if item.originals else None,
                "llm": item.call.llm.model if item.call else None,
                "generation": _json(call_document(call)) if call else None,
            }
        )
    return rows


def _json(value: Any) -> str:
    return escaped(json.dumps(value, ensure_ascii=False))


def as_csv(dataset: Dataset, items: Sequence[PortableDescriptor], *, spreadsheet_safe: bool = False) -> str:
    """Return the rows under a header; `spreadsheet_safe`: as `db.spreadsheets` says, with a column that tells so."""
    rows = [_without_controls(row) for row in as_rows(dataset, items)]
    if spreadsheet_safe:
        rows = [
            {**{name: spreadsheets.safe(cell) for name, cell in row.items()}, spreadsheets.MARK: "yes"} for row in rows
        ]
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _without_controls(row: dict[str, Any]) -> dict[str, Any]:
    return {name: clean(cell) if isinstance(cell, str) else cell for name, cell in row.items()}


def as_tear(dataset: Dataset, items: Sequence[PortableDescriptor]) -> str:
    """Return the JSON that TEAR's code reads: class string -> texts, grouped by kind as in its files."""
    actions = {action.name: action for action in dataset.actions}
    kinds = [*_TEAR_KINDS, *sorted({item.kind for item in items}.difference(_TEAR_KINDS))]
    texts: dict[str, list[str]] = {}
    for item in sorted(items, key=lambda item: (actions[item.action].label, kinds.index(item.kind))):
        texts.setdefault(tear_name(dataset, actions[item.action]), []).append(item.text)
    return escaped(json.dumps(texts, ensure_ascii=False, indent=1)) + "\n"


TEXTS: dict[str, Layout] = {"json": as_json, "csv": as_csv, "tear": as_tear}


def text_of(
    dataset: Dataset, items: Sequence[PortableDescriptor], *, layout: str, spreadsheet_safe: bool = False
) -> str:
    """Return a file of text: `json`, `csv` or `tear`."""
    return as_csv(dataset, items, spreadsheet_safe=True) if spreadsheet_safe else TEXTS[layout](dataset, items)


def write(
    dataset: Dataset,
    items: Sequence[PortableDescriptor],
    *,
    layout: str,
    output: Path,
    spreadsheet_safe: bool = False,
) -> None:
    """Write a file; for Parquet, a folder.

    Raises:
        UserError: it cannot be written.
    """
    try:
        if layout == "parquet":
            parquet.write(output, as_rows(dataset, items), dataset=dataset, card=_card(dataset, items))
        else:
            text = text_of(dataset, items, layout=layout, spreadsheet_safe=spreadsheet_safe)
            output.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise UserError(f"Cannot write {output}: {error.strerror}") from error


def _card(dataset: Dataset, items: Sequence[PortableDescriptor]) -> str:
    """Return the card of a Hugging Face dataset: what its viewer needs to find the data, and a summary."""
    front = {
        "pretty_name": f"Action descriptors of {dataset.name}",
        "tags": ["action-recognition", "zero-shot"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
    }
    counts = Counter((item.kind, item.writer) for item in items)
    rows = "\n".join(f"| {kind} | {writer} | {count} |" for (kind, writer), count in sorted(counts.items()))
    return f"""---
{yaml.safe_dump(front, sort_keys=False)}---
# Action descriptors of {dataset.name}

{len(items)} texts about {len({item.action for item in items})} of {len(dataset.actions)} classes. \
The column `generation` holds, once for each LLM call, everything recorded about it, as JSON.

| kind | written by | texts |
|---|---|---|
{rows}

Read it back with `descgen import <this folder> --dataset {shlex.quote(dataset.name)}`.
"""
