"""JSON in which every name of an object stands once; `json` alone would silently keep the last one only."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


class RepeatedNameError(ValueError):
    """An object holds a name twice; the message continues a sentence that begins with the file's name."""


def loads(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        RepeatedNameError: an object holds a name twice.
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("too many brackets inside each other") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise RepeatedNameError(f"holds these names twice: {', '.join(repeated[:5])}. Keep one of each")
    return dict(pairs)
