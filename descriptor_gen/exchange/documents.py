"""Our own records as documents of plain values, and back: the part of an export that makes it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

from db.records import (
    Action,
    Call,
    Dataset,
    DescriptorSource,
    DescriptorStatus,
    Generation,
    LLMIdentity,
    Original,
    Portable,
    Template,
)


class ShapeError(ValueError):
    """A file is not what it should be; the message goes after its name."""


_TEXT = {"type": "string"}
_TEXT_OR_NONE = {"type": ["string", "null"]}
_COUNT = {"type": ["integer", "null"], "minimum": 0}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_TEMPLATE = _object(kind=_TEXT, version={"type": "integer"}, sha256=_SHA256, source=_TEXT)
_CALL = _object(
    cache_key=_SHA256,
    llm=_object(provider=_TEXT, model=_TEXT, revision=_TEXT),
    template=_TEMPLATE,
    sample={"type": "integer", "minimum": 0},
    parameters={"type": "object"},
    environment={"type": "object"},
    messages={"type": "array", "items": {"type": "object", "additionalProperties": _TEXT}},
    output_schema={"type": "object"},
    reply=_TEXT,
    finish_reason=_TEXT,
    tokens_in=_COUNT,
    tokens_out=_COUNT,
    seconds={"type": "number"},
)
_ACTION = _object(label={"type": "integer"}, name={"type": "string", "minLength": 1}, phrase=_TEXT)
_DATASET = _object(name={"type": "string", "minLength": 1}, actions={"type": "array", "items": _ACTION})
_ORIGINALS = {
    "type": "array",
    "items": _object(
        text={"type": "string", "pattern": "^[^\\u0000\\ud800-\\udfff]+$"},
        source={"enum": list(get_args(DescriptorSource))},
        status={"enum": list(get_args(DescriptorStatus))},
    ),
}
_DESCRIPTOR = _object(action=_TEXT, kind=_TEXT, position=_COUNT, source=_TEXT, status=_TEXT, origin=_TEXT_OR_NONE)
_DESCRIPTOR["required"] = ["action", "text"]
_EXPORT = _object(
    dataset=_DATASET,
    templates={"type": "array", "items": _TEMPLATE},
    calls={"type": "array", "items": {"type": "object"}},
    descriptors={"type": "array", "items": _DESCRIPTOR},
)


def _check(document: Any, schema: Mapping[str, Any], what: str) -> None:
    from jsonschema import Draft202012Validator, ValidationError

    try:
        Draft202012Validator(schema).validate(document)
    except ValidationError as error:
        raise ShapeError(f"is a damaged export: {what}, at {error.json_path}: {error.message[:200]}") from error


def call_document(call: Call) -> dict[str, Any]:
    """Return everything that is known of a call, without the row it has here."""
    generation = asdict(call.generation)
    for name in ("id", "status", "error"):  # descriptors come from good calls alone
        del generation[name]
    return {**generation, "llm": asdict(call.llm), "template": asdict(call.template)}


def read_call(document: Any) -> Call:
    """Return the call of a document.

    Raises:
        ShapeError: something is missing or of another type, or the template is not that of its sha256.
    """
    _check(document, _CALL, "a call")
    template = Template(**{name: document["template"][name] for name in _TEMPLATE["properties"]})
    if hashlib.sha256(template.source.encode()).hexdigest() != template.sha256:
        raise ShapeError(f"is a damaged export: the template {template.kind} is not that of its sha256")
    fields = {name: document[name] for name in _CALL["properties"] if name not in ("llm", "template", "messages")}
    return Call(
        Generation(**fields, messages=tuple(document["messages"]), status="ok", error=None),
        LLMIdentity(**{name: document["llm"][name] for name in ("provider", "model", "revision")}),
        template,
    )


def export_document(dataset: Dataset, items: Sequence[Portable], *, version: int) -> dict[str, Any]:
    """Return the whole of an export: each template and each call once, then the texts that name their call."""
    calls = calls_of(items)
    templates = {call.template.sha256: asdict(call.template) for call in calls.values()}
    return {
        "descgen": version,
        "dataset": dataset_document(dataset),
        "templates": list(templates.values()),
        "calls": [{**call_document(call), "template": call.template.sha256} for call in calls.values()],
        "descriptors": [descriptor_document(item) for item in items],
    }


def read_export(document: Any) -> tuple[Dataset, dict[str, Call], list[dict[str, Any]]]:
    """Return the dataset, the calls by cache key, and the descriptors of an export.

    Raises:
        ShapeError: it is damaged.
    """
    _check(document, _EXPORT, "the file")
    templates = {template["sha256"]: template for template in document["templates"]}
    calls = [read_call({**call, "template": templates.get(call.get("template"))}) for call in document["calls"]]
    by_key = {call.generation.cache_key: call for call in calls}
    return read_dataset(document["dataset"]), by_key, document["descriptors"]


def calls_of(items: Iterable[Portable]) -> dict[str, Call]:
    """Return the calls behind descriptors, by cache key, in order."""
    return {item.call.generation.cache_key: item.call for item in items if item.call}


def read_originals(document: Any) -> tuple[Original, ...]:
    """Return what a text was edited from, of a document that may be empty.

    Raises:
        ShapeError: it is damaged.
    """
    if not document:
        return ()
    _check(document, _ORIGINALS, "what a text was edited from")
    return tuple(Original(item["text"], item["source"], item["status"]) for item in document)


def descriptor_document(item: Portable) -> dict[str, Any]:
    """Return a descriptor; its call is named by its cache key."""
    document = {name: getattr(item, name) for name in ("action", *_DESCRIPTOR["properties"])}
    return {
        **document,
        "text": item.text,
        "originals": [asdict(original) for original in item.originals],
        "cache_key": item.call.generation.cache_key if item.call else None,
    }


def dataset_document(dataset: Dataset) -> dict[str, Any]:
    """Return a dataset's name and its actions."""
    return {"name": dataset.name, "actions": [asdict(action) for action in dataset.actions]}


def read_dataset(document: Any) -> Dataset:
    """Return the dataset of a document.

    Raises:
        ShapeError: it is damaged, a class is there twice, or a label is missing.
    """
    _check(document, _DATASET, "its dataset")
    actions = tuple(Action(item["label"], item["name"], item["phrase"]) for item in document["actions"])
    if [action.label for action in actions] != list(range(len({action.name for action in actions}))):
        raise ShapeError("is a damaged export: its classes are not labelled 0, 1, 2 ...")
    return Dataset(document["name"], actions, stored_as=document["name"])
