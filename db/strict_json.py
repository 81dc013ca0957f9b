"""JSON from elsewhere: every name of an object stands once, numbers are finite and of a size that has a meaning.

`json` alone would silently keep the last one of two names, read NaN and Infinity, and fill the memory.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection
from typing import Any, NoReturn

from db.errors import first_few

_DEEPEST = 100
_TOO_DEEP = f"too many brackets inside each other; {_DEEPEST} at most"
_LONGEST_NUMBER = 30  # digits
_MOST_VALUES = 8_000_000  # a file of 128 MiB could hold ten times as many, in 6 GB of memory


class RepeatedNameError(ValueError):
    """An object holds a name twice; the message continues a sentence that begins with the file's name."""


def loads(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        RepeatedNameError: an object holds a name twice.
        ValueError: it is not JSON, nests its values too deep, holds too many, or has a number that is not finite or
            of more than 30 digits.
    """
    if sum(map(text.count, "[{,")) > _MOST_VALUES:
        raise ValueError(f"it holds more than {_MOST_VALUES} values. Split it into smaller files")
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_refuse
        )
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    _check_depth(document)
    return document


def _check_depth(document: Any) -> None:
    level, depth = [document], 0
    while level := [item for value in level for item in _inside(value)]:
        depth += 1
        if depth > _DEEPEST:
            raise ValueError(_TOO_DEEP)


def _inside(value: Any) -> Collection[Any]:
    return value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if repeated:
        raise RepeatedNameError(f"holds these names twice: {first_few(repeated)}. Keep one of each")
    return dict(pairs)


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"it has a number of {len(digits)} digits; {_LONGEST_NUMBER} at most")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"its number {digits[:_LONGEST_NUMBER]} is too large")
    return number


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
