"""Parse an LLM's raw reply into descriptors. The raw text is stored too, so a better parser needs no new calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from descriptor_gen.llms.reply_json import UNREADABLE, read_json


class InvalidReplyError(ValueError):
    """The reply does not fit the prompt's schema; the message says why."""


def parse_reply(reply: str, output_schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the descriptors of a reply, cleaned, in the order of the schema's fields.

    JSON in a code fence or between other text is accepted too: not every server can be limited to JSON.

    Raises:
        InvalidReplyError: the reply is empty, not JSON, or does not fit the schema.
    """
    from jsonschema import Draft202012Validator, ValidationError

    try:
        document = cleaned(read_json(reply)[0])
        Draft202012Validator(output_schema).validate(document)
    except UNREADABLE as error:
        raise InvalidReplyError(f"not JSON: {error}" if reply.strip() else "empty") from error
    except ValidationError as error:
        raise InvalidReplyError(f"not of the schema, at {error.json_path}: {error.message}") from error
    return tuple(texts(document, output_schema))


def cleaned(value: Any) -> Any:
    """Return a JSON value with its texts cleaned: one space between words, lower case, no final full stop."""
    if isinstance(value, dict):
        return {name: cleaned(item) for name, item in value.items()}
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    return re.sub(r"\s+", " ", value).strip().rstrip(".").lower() if isinstance(value, str) else value


def texts(value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the strings of a JSON value in the order of the schema's fields, which servers need not keep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item, schema.get("items", {}))
    elif isinstance(value, dict):
        fields = schema.get("properties", {})
        for name in sorted(value, key=lambda name: list(fields).index(name) if name in fields else len(fields)):
            yield from texts(value[name], fields.get(name, {}))
