"""Repair the punctuation of JSON, by the package json-repair: quotes, commas. Letters and digits are never changed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from descriptor_gen.llms.json_source import SourceError

_LONGEST = 3_000  # characters; the package takes long for longer ones
_ABBREVIATED = re.compile(r"\.\.\.|\u2026")
_SWALLOWED = re.compile(r'["{}\[\]]|^\s*[,:]|[,:]\s*$')  # JSON's own punctuation in a text: it was read wrongly
_FAULTS = (ValueError, LookupError, TypeError, AttributeError, RecursionError)  # of the package, at odd input


def repaired(source: str) -> Any:
    """Return the value of JSON whose brackets match, after a repair.

    The package also closes what was cut off, drops what it cannot read and takes `...` out. Then its result has other
    letters than the source, and is refused.

    Raises:
        SourceError: it cannot be repaired.
    """
    import json_repair

    unreadable = SourceError("not JSON: its punctuation cannot be repaired")
    if len(source) > _LONGEST or _ABBREVIATED.search(source):
        raise unreadable
    try:
        document = json_repair.loads(source, skip_json_loads=True)
    except _FAULTS as error:
        raise unreadable from error
    texts = list(_texts(document))
    if _letters("".join(texts)) != _letters(_unescaped(source)) or any(map(_SWALLOWED.search, texts)):
        raise unreadable
    return document


def _texts(document: Any) -> Iterator[str]:
    """Yield names and values in order, as texts."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield str(name)
            yield from _texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from _texts(value)
    else:
        yield str(document)


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _unescaped(source: str) -> str:
    """Return JSON's source with its escapes replaced by the characters that they mean."""
    characters = re.sub(r"\\u([0-9a-fA-F]{4})", lambda escape: chr(int(escape.group(1), 16)), source)
    return re.sub(r"\\[nrtbf]", " ", characters)
