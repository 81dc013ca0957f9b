"""The job of an export: which descriptors, in which layout. All of them but TEAR's can be imported unchanged."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from db.errors import UserError
from db.records import Action, Dataset, Portable
from db.store import Store
from db.vocabulary import tear_name
from descriptor_gen.exchange import parquet
from descriptor_gen.exchange.documents import call_document, export_document
from descriptor_gen.exchange.readers import VERSION

_TEAR_KINDS = ("decomposition", "description", "context")  # the order in its *_all.json
Layout = Callable[[Dataset, Sequence[Portable]], str]


@dataclass(frozen=True)
class Choice:
    """Which descriptors are exported; `llm` is part of a model's name, and None is any of each."""

    kinds: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ("pending", "accepted", "rejected")
    llm: str | None = None

    def fits(self, item: Portable) -> bool:
        """Return whether a descriptor is one of them."""
        fits_kind = not self.kinds or item.kind in self.kinds
        return fits_kind and item.status in self.statuses and item.written_by(self.llm)


def choose(store: Store, dataset: Dataset, choice: Choice) -> list[Portable]:
    """Return the descriptors of a choice, by label, kind and model.

    Raises:
        UserError: there are none.
    """
    there = store.portable(dataset)
    if not there:
        raise UserError(
            f"No descriptors of {dataset.name} to export. Write them with: descgen build --dataset {dataset.name}"
        )
    if found := [item for item in there if choice.fits(item)]:
        return found
    counts = Counter((item.kind, item.status, item.call.llm.model if item.call else item.source) for item in there)
    others = ", ".join(f"{count} {' '.join(what)}" for what, count in sorted(counts.items()))
    kinds = "".join(f" --kind {kind}" for kind in choice.kinds)
    raise UserError(
        f"No such descriptors of {dataset.name} to export. There are: {others}. "
        f"Write others with: descgen build --dataset {dataset.name}{kinds}"
    )


def as_json(dataset: Dataset, items: Sequence[Portable]) -> str:
    """Return everything: classes, texts, and the calls that they are from, with templates and raw replies."""
    return json.dumps(export_document(dataset, items, version=VERSION), ensure_ascii=False, indent=1) + "\n"


def as_rows(dataset: Dataset, items: Sequence[Portable]) -> list[dict[str, Any]]:
    """Return a row for each text; the first of a call's texts holds the call, as JSON."""
    actions = {action.name: action for action in dataset.actions}
    told: set[str] = set()
    return [_row(dataset, actions[item.action], item, told) for item in items]


def _row(dataset: Dataset, action: Action, item: Portable, told: set[str]) -> dict[str, Any]:
    key = item.call.generation.cache_key if item.call else None
    first = item.call is not None and key not in told
    told.update([key] if key else [])
    return {
        "dataset": dataset.name,
        "label": action.label,
        "action": action.name,
        "phrase": action.phrase,
        "kind": item.kind,
        "position": item.position,
        "text": item.text,
        "source": item.source,
        "status": item.status,
        "origin": item.origin,
        "originals": _json([asdict(original) for original in item.originals]) if item.originals else None,
        "llm": item.call.llm.model if item.call else None,
        "cache_key": key,
        "generation": _json(call_document(item.call)) if first and item.call else None,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_csv(dataset: Dataset, items: Sequence[Portable]) -> str:
    """Return the rows under a header."""
    rows = as_rows(dataset, items)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def as_tear(dataset: Dataset, items: Sequence[Portable]) -> str:
    """Return what TEAR's code reads: class string -> texts, several kinds one after the other as in its files."""
    texts: dict[str, list[str]] = {}
    actions = {action.name: action for action in dataset.actions}
    order = {action.name: action.label for action in dataset.actions}
    for item in sorted(items, key=lambda item: (order[item.action], _tear_place(item.kind))):
        texts.setdefault(tear_name(dataset, actions[item.action]), []).append(item.text)
    return json.dumps(texts, ensure_ascii=False, indent=1) + "\n"


def _tear_place(kind: str) -> tuple[int, str]:
    return (_TEAR_KINDS.index(kind) if kind in _TEAR_KINDS else len(_TEAR_KINDS), kind)


TEXTS: dict[str, Layout] = {"json": as_json, "csv": as_csv, "tear": as_tear}


def write(dataset: Dataset, items: Sequence[Portable], *, layout: str, output: Path) -> None:
    """Write a file, or for Parquet a folder.

    Raises:
        UserError: it cannot be written.
    """
    try:
        if layout == "parquet":
            parquet.write(output, as_rows(dataset, items), dataset=dataset, card=card(dataset, items))
        else:
            output.write_text(TEXTS[layout](dataset, items), encoding="utf-8", newline="")
    except OSError as error:
        raise UserError(f"Cannot write {output}: {error.strerror}") from error


def card(dataset: Dataset, items: Sequence[Portable]) -> str:
    """Return the card of a Hugging Face dataset: what its viewer needs to find the data, and what is in it."""
    front = {
        "pretty_name": f"Action descriptors of {dataset.name}",
        "tags": ["action-recognition", "zero-shot"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
    }
    counts = Counter((item.kind, item.call.llm.model if item.call else item.source) for item in items)
    rows = [f"| {kind} | {writer} | {count} |" for (kind, writer), count in sorted(counts.items())]
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
            f"# Action descriptors of {dataset.name}\n",
            f"{len(items)} texts about {len({item.action for item in items})} of {len(dataset.actions)} classes. "
            "The column `generation` holds, once for each LLM call, all that is known of it, as JSON.\n",
            "| kind | written by | texts |\n|---|---|---|",
            *rows,
            f"\nRead it back with `descgen import <this folder> --dataset {dataset.name}`.\n",
        ]
    )
