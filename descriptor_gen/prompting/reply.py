"""Parse an LLM's raw reply into descriptors. The raw text is stored too, so a better parser needs no new calls."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from db.texts import BIDI_MARKS
from descriptor_gen.llms.reply_json import read_json
from descriptor_gen.llms.thoughts import holds_thoughts

_LONGEST_REASON = 300  # characters; a reason is shown, and sent to the model


@dataclass(frozen=True)
class ParsedReply:
    """What a reply says.

    Attributes:
        texts: the descriptors, cleaned, in the order of the schema's fields.
        read_as: where the answer was in the reply, and what was done to it: `descriptor_gen.llms.reply_json.Reading`.
    """

    texts: tuple[str, ...]
    read_as: str


def parse_reply(reply: str, output_schema: Mapping[str, Any]) -> ParsedReply:
    """Return what a reply says, by the rules of `descriptor_gen.llms.reply_json` and the schema.

    Raises:
        InvalidReplyError: the reply is empty, not JSON, or does not fit the schema.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    validator = Draft202012Validator(output_schema)

    def misfit(document: Any) -> str | None:
        try:
            document = cleaned(document)
            error = best_match(validator.iter_errors(document))
        except RecursionError:
            return "too many brackets inside each other"
        reason = f"not of the schema, at {error.json_path}: {error.message}" if error else _damage(document)
        return _shortened(reason) if reason else None

    reading = read_json(reply, misfit)
    return ParsedReply(tuple(texts(cleaned(reading.document), output_schema)), reading.read_as)


def _shortened(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:_LONGEST_REASON]} ... (shortened)"


def _damage(document: Any) -> str | None:
    """Return what a text has that no descriptor has, whatever the schema allows; None if nothing."""
    for text in texts(document, {}):
        if holds_thoughts(text):
            return "a text has a tag of thoughts or of a turn in it"
        for character in text:
            if character == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(character) in ("Cc", "Cs"):
                return f"a text has the damaged character U+{ord(character):04X}"
    return None


def cleaned(value: Any) -> Any:
    """Return a JSON value with its texts cleaned: one space between words, lower case, no final full stop.

    Marks that reorder a line go too; other control characters stay, since they show that a reply is damaged.
    """
    if isinstance(value, dict):
        return {name: cleaned(item) for name, item in value.items()}
    if isinstance(value, list):
        return [cleaned(item) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"\s+", " ", BIDI_MARKS.sub("", value)).strip().rstrip(".").lower()


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
