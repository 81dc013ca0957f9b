"""What the `output` of a template must be, so that every LLM can be held to it and every reply gives texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_KEYWORDS = {
    "object": ("additionalProperties", "properties", "required"),
    "array": ("items", "maxItems", "minItems"),
    "string": ("enum", "pattern"),
}
_ANYWHERE = ("description", "title", "type")


def invalid(schema: Any) -> list[str]:
    """Return where a value is no JSON schema (draft 2020-12), a line for each place."""
    from jsonschema import Draft202012Validator

    meta = Draft202012Validator(
        Draft202012Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER
    )  # with the formats, because `pattern` is one
    return [f"output, at {error.json_path}: {error.message}" for error in meta.iter_errors(schema)]


def reply_faults(schema: Mapping[str, Any], reply: Any) -> list[str]:
    """Return where a reply is not of a valid schema, a line for each place."""
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = Draft202012Validator(schema, registry=Registry())  # empty: a $ref never fetches anything
    try:
        errors = sorted(validator.iter_errors(reply), key=lambda error: error.json_path)
    except (Unresolvable, RecursionError):  # a $ref, which `unfit` names
        return []
    return [f"at {error.json_path}: {error.message}" for error in errors]


def unfit(schema: Any) -> Iterator[str]:
    """Yield where a schema is not of the form that OpenAI's strict mode, xgrammar and descriptors ask for."""
    if isinstance(schema, dict) and schema.get("type") != "object":
        yield f"output: its type is {schema.get('type')!r}, not 'object'"
    else:
        yield from _unfit(schema, "$")


def _unfit(schema: Any, place: str) -> Iterator[str]:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if not isinstance(kind, str) or kind not in _KEYWORDS:
        yield f"output, at {place}: its type is {kind!r}; texts are 'string', in 'array' or 'object'"
        return
    others = sorted(str(keyword) for keyword in schema if keyword not in (*_KEYWORDS[kind], *_ANYWHERE))
    if others:
        hint = "; give the length in the pattern" if {"minLength", "maxLength"} & set(others) else ""
        yield (
            f"output, at {place}: not every LLM takes {', '.join(others)} (OpenAI's strict mode){hint}. "
            f"Known for {kind}: {', '.join(_KEYWORDS[kind])}"
        )
    if kind in _INSIDE:
        yield from _INSIDE[kind](schema, place)


def _unfit_object(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    properties, required = schema.get("properties"), schema.get("required")
    properties = properties if isinstance(properties, dict) else {}
    required = required if isinstance(required, list) else []
    if not properties:
        yield f"output, at {place}: no properties"
    optional = [str(name) for name in properties if name not in required]
    if optional:
        yield f"output, at {place}: every property must be required; add {', '.join(optional)}"
    strange = [str(name) for name in required if name not in properties]
    if strange:
        yield f"output, at {place}: required, but no property: {', '.join(strange)}"
    if schema.get("additionalProperties") is not False:
        yield f"output, at {place}: additionalProperties must be false"
    for name, inner in properties.items():
        if not isinstance(name, str):  # YAML reads yes, on and 1 as no text
            yield f"output, at {place}: property {name!r} is no text; put it in quotes"
        yield from _unfit(inner, f"{place}.properties.{name}")


def _unfit_array(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    yield from _unfit(schema.get("items"), f"{place}.items")


_INSIDE: dict[str, Callable[[Mapping[str, Any], str], Iterator[str]]] = {
    "object": _unfit_object,
    "array": _unfit_array,
}
