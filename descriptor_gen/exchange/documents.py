"""The JSON of an export: `db.records` as plain values and back, checked against the types of the records.

Imports pydantic, which takes 0.2 seconds: import this module only where a file is read or written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from db.errors import shortened
from db.records import Call, Dataset, PortableDescriptor
from db.storable import LARGEST_INTEGER, NOT_STORABLE, is_storable
from db.texts import clean

_LONGEST_NAME = 200  # characters that the database stores
_LONGEST_PHRASE = 1000
VERSION = 1  # of the JSON of an export
T = TypeVar("T")


class ShapeError(ValueError):
    """A file has invalid content; the message continues a sentence that begins with the file's name."""


@dataclass(frozen=True)
class _Export:
    dataset: dict[str, Any]
    templates: tuple[dict[str, Any], ...]
    calls: tuple[dict[str, Any], ...]
    descriptors: tuple[dict[str, Any], ...]


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def checked(kind: type[T], document: Any, problem: str, *, strict: bool = True) -> T:
    """Return a document of JSON values as a dataclass; unknown keys are ignored.

    `strict=False` also reads numbers from text, such as the cells of a CSV file.

    Raises:
        ShapeError: a field is missing or of another type; the message gives `problem`, the JSON path and the fault.
    """
    try:
        adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]  # mypy thinks that a type is not hashable
        return adapter.validate_json(json.dumps(document), strict=True) if strict else adapter.validate_python(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part:.50}" for part in first["loc"])
        value = "" if isinstance(first["input"], dict | list) else f" (it is {first['input']!r:.100})"
        raise ShapeError(f"{problem}, at ${path}: {first['msg']}{value}") from error


def call_document(call: Call) -> dict[str, Any]:
    """Return everything that is stored about a call, except its row id."""
    generation = asdict(call.generation)
    for name in ("id", "status", "error"):  # only descriptors of valid replies are exported
        del generation[name]
    return {**generation, "llm": asdict(call.llm), "template": asdict(call.template)}


def read_call(document: Any) -> Call:
    """Return the call of a document.

    Raises:
        ShapeError: a field is missing or of another type, or the sha256 of the template is wrong.
    """
    fields = document if isinstance(document, dict) else {}
    parts = {
        "generation": {**fields, "id": None, "status": "ok", "error": None},
        "llm": fields.get("llm"),
        "template": fields.get("template"),
    }
    call = checked(Call, parts, "is damaged: a call")
    generation, template = call.generation, call.template
    if hashlib.sha256(template.source.encode()).hexdigest() != template.sha256:
        raise ShapeError(f"is damaged: the sha256 of the template {template.kind} is wrong")
    if not re.fullmatch("[0-9a-f]{64}", generation.cache_key):
        raise ShapeError(f"is damaged: the cache key of a call is {generation.cache_key!r:.100}, not a sha256")
    numbers = (template.version, generation.sample, generation.tokens_in or 0, generation.tokens_out or 0)
    if not 0 <= min(numbers) <= max(numbers) <= LARGEST_INTEGER:
        raise ShapeError(f"is damaged: a call has a version, sample or number of tokens beyond 0 to {LARGEST_INTEGER}")
    if not 0 <= generation.seconds < LARGEST_INTEGER:
        raise ShapeError(f"is damaged: a call took {generation.seconds} seconds")
    _refuse_long(call)
    return call


def _refuse_long(call: Call) -> None:
    """Refuse a call with a text that is longer than its column, or that a database cannot store."""
    llm, template, generation = call.llm, call.template, call.generation
    texts = ((llm.provider, 300), (llm.model, 300), (llm.revision, 100), (generation.finish_reason, 50))
    for text, longest in (*texts, (template.kind, 100)):
        if len(text) > longest:
            raise ShapeError(f"is damaged: a call has {shortened(text)!r}, which is longer than {longest} characters")
    if not is_storable(call_document(call)):
        raise ShapeError("is damaged: a call holds NUL or half of a surrogate pair, which no database stores")


def export_document(dataset: Dataset, items: Sequence[PortableDescriptor]) -> dict[str, Any]:
    """Return a whole export: each template and each call once, then the texts, which refer to their calls."""
    calls = {item.call.generation.cache_key: item.call for item in items if item.call}
    templates = {call.template.sha256: asdict(call.template) for call in calls.values()}
    return {
        "descgen": VERSION,
        "dataset": dataset_document(dataset),
        "templates": list(templates.values()),
        "calls": [{**call_document(call), "template": call.template.sha256} for call in calls.values()],
        "descriptors": [descriptor_document(item) for item in items],
    }


def read_export(document: Mapping[str, Any]) -> tuple[Dataset, dict[str, Call], tuple[dict[str, Any], ...]]:
    """Return the dataset, the calls by cache key, and the descriptors of an export.

    Raises:
        ShapeError: it is damaged, or of another version.
    """
    if document["descgen"] != VERSION:
        raise ShapeError(
            f"is an export of version {document['descgen']!r:.50}, and this program reads version {VERSION}: "
            "pip install --upgrade descgen-recognize"
        )
    export = checked(_Export, document, "is damaged: the file", strict=False)
    templates = {str(template.get("sha256")): template for template in export.templates}
    calls = [read_call({**call, "template": templates.get(str(call.get("template")))}) for call in export.calls]
    return read_dataset(export.dataset), {call.generation.cache_key: call for call in calls}, export.descriptors


def descriptor_document(item: PortableDescriptor) -> dict[str, Any]:
    """Return a descriptor; it refers to its call by cache key."""
    names = ("action", "kind", "position", "text", "source", "status", "origin")
    return {
        **{name: getattr(item, name) for name in names},
        "originals": [asdict(original) for original in item.originals],
        "cache_key": item.call.generation.cache_key if item.call else None,
    }


def dataset_document(dataset: Dataset) -> dict[str, Any]:
    """Return a dataset's name and its actions."""
    return {"name": dataset.name, "actions": [asdict(action) for action in dataset.actions]}


def _cleaned(dataset: Dataset) -> Dataset:
    actions = tuple(replace(a, name=clean(a.name), phrase=clean(a.phrase)) for a in dataset.actions)
    return replace(dataset, name=clean(dataset.name), stored_as=clean(dataset.stored_as), actions=actions)


def read_dataset(document: Any) -> Dataset:
    """Return the dataset of a document.

    Raises:
        ShapeError: it is damaged, holds a class twice, or lacks a label.
    """
    fields = document if isinstance(document, Mapping) else {}
    dataset = checked(Dataset, {**fields, "stored_as": fields.get("name")}, "is damaged: its dataset")
    for name in (dataset.name, *(action.name for action in dataset.actions)):
        if not name or len(name) > _LONGEST_NAME or NOT_STORABLE.search(name):
            raise ShapeError(f"is damaged: {shortened(name)!r} cannot be the name of a dataset or class")
    for action in dataset.actions:
        if len(action.phrase) > _LONGEST_PHRASE or NOT_STORABLE.search(action.phrase):
            raise ShapeError(f"is damaged: {shortened(action.phrase)!r} cannot be the phrase of a class")
    dataset = _cleaned(dataset)
    if [action.label for action in dataset.actions] != list(range(len({action.name for action in dataset.actions}))):
        raise ShapeError("is damaged: its classes are not labelled 0, 1, 2 ...")
    return dataset
