"""What databases refuse: PostgreSQL has no NUL, and UTF-8 no half of a surrogate pair. JSON can hold both."""

from __future__ import annotations

import re
from typing import Any

LARGEST_INTEGER = 2**31 - 1  # of a column of whole numbers in PostgreSQL
NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(value: Any) -> bool:
    """Return whether a text, or each text of a JSON value, can be stored as it is."""
    if isinstance(value, str):
        return not NOT_STORABLE.search(value)
    if isinstance(value, dict):
        return all(map(is_storable, [*value, *value.values()]))
    return all(map(is_storable, value)) if isinstance(value, list | tuple) else True


def storable(value: Any) -> Any:
    """Return a text, or a JSON value with texts in it, with U+FFFD in place of each character that is refused."""
    if isinstance(value, str):
        return NOT_STORABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {storable(name): storable(item) for name, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value
