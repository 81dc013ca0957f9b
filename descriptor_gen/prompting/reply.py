"""Parse an LLM's raw reply into descriptors. The raw text is stored too, so a better parser needs no new calls."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from descriptor_gen.llms.reply_json import Location, UnreadableReplyError, read_json

_NO_TEXT = ("Cc", "Cs")  # Unicode categories of control characters and lone surrogates
_SHOWN = 300  # characters of a fault in a message
_REPLACEMENT = "\ufffd"  # stands for what was no text


class InvalidReplyError(ValueError):
    """The reply does not fit the prompt's schema; the message says why."""


@dataclass(frozen=True)
class ParsedReply:
    """The descriptors of a reply, cleaned, in the order of the schema's fields; and where its JSON was."""

    texts: tuple[str, ...]
    read_as: Location


def parse_reply(reply: str, output_schema: Mapping[str, Any]) -> ParsedReply:
    """Return the descriptors of a reply: those of its final answer, which `read_json` finds.

    Raises:
        InvalidReplyError: the reply holds no answer, or one that does not fit the schema.
    """
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(output_schema)

    def problem(value: Any) -> str | None:
        try:
            error = next(iter(validator.iter_errors(cleaned(value))), None)
        except RecursionError:
            return "not of the schema: nested too deeply"
        return f"not of the schema, at {error.json_path}: {error.message[:_SHOWN]}" if error else None

    try:
        document, location = read_json(reply, problem)
    except UnreadableReplyError as error:
        raise InvalidReplyError(str(error)) from error
    parsed = ParsedReply(tuple(texts(cleaned(document), output_schema)), location)
    for text in parsed.texts:
        _refuse_damaged(text)
    return parsed


def _refuse_damaged(text: str) -> None:
    """Refuse a text with characters that are none: it is not what the model wanted to say."""
    for character in text:
        if character == _REPLACEMENT or unicodedata.category(character) in _NO_TEXT:
            raise InvalidReplyError(f"a text holds the damaged character U+{ord(character):04X}: {text!a}")


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
