"""Find the JSON in an LLM's raw reply: the whole reply, in a code fence, or between other text."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

Location = Literal["json", "fence", "braces", "empty", "none"]
"""Where a reply's JSON is: the whole reply, in a ```json fence, or in the first braces that are JSON. `empty`, `none`:
there is no reply, or no JSON in it."""

UNREADABLE = (json.JSONDecodeError, RecursionError)
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)


def read_json(reply: str) -> tuple[Any, Location]:
    """Return the JSON of a reply, and where it is.

    Raises:
        json.JSONDecodeError, RecursionError: there is no readable JSON (`UNREADABLE` holds both).
    """
    try:
        return json.loads(reply), "json"
    except UNREADABLE:
        text = _THOUGHTS.sub("", reply)
        if (document := _in_fence(text)) is not None:
            return document, "fence"
        if (document := _in_braces(text)) is not None:
            return document, "braces"
        raise


def locate_json(reply: str) -> Location:
    """Return where the reply's JSON is."""
    try:
        return read_json(reply)[1]
    except UNREADABLE:
        return "none" if reply.strip() else "empty"


def _in_fence(text: str) -> dict[str, Any] | None:
    for inside in _FENCE.findall(text):
        try:
            document = json.loads(inside)
        except UNREADABLE:
            continue
        if isinstance(document, dict):
            return document
    return None


def _in_braces(text: str) -> dict[str, Any] | None:
    for brace in re.finditer(r"\{", text):
        try:
            return dict(json.JSONDecoder().raw_decode(text, brace.start())[0])
        except UNREADABLE:
            continue
    return None
