"""Numbers before or behind the lines of a file: `1 ApplyEyeMakeup`, `0: wave`, `c000 holding clothes`, `wave 0`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")
# A point or colon with a digit behind it is part of the text: `1.5 turns`, `10:30 news`.
_BEFORE = re.compile(
    r"[(\[]?(?P<letter>[A-Za-z]?)(?P<number>\d{1,6})(?:[)\].:,;]+(?!\d)\s*|\s+(?:[-:]\s+)?)(?P<text>\S.*)"
)
# White space is counted, since any number of it in two places takes forever on a line of spaces.
_BEHIND = re.compile(r"(?P<text>.+?)\s{0,9}[\s:=,;]\s{0,9}(?P<letter>)(?P<number>\d{1,6})")
_PLACES = {"begin": _BEFORE, "end": _BEHIND}


class NumberingError(ValueError):
    """Numbers that may count the lines or belong to them; the message continues a sentence after the file's name."""


@dataclass(frozen=True)
class _Numbered:
    letter: str
    number: int
    text: str


def counted_from(numbers: Sequence[int]) -> int | None:
    """Return 0 or 1 if the numbers count from it without a gap, each once, in any order; else None."""
    return next((first for first in (0, 1) if sorted(numbers) == list(range(first, first + len(numbers)))), None)


def in_order(numbers: Sequence[int], items: Sequence[T]) -> list[T]:
    """Return the items in the order of their numbers.

    Raises:
        NumberingError: the numbers do not count from 0 or 1 without a gap.
    """
    if counted_from(numbers) is None:
        shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
        raise NumberingError(f"has the numbers {shown}, which do not count from 0 or 1 without a gap")
    return [item for _, item in sorted(zip(numbers, items, strict=True), key=lambda pair: pair[0])]


def without_numbers(lines: Sequence[str]) -> list[str] | None:
    """Return the texts of numbered lines in the order of their numbers; None if the lines have no numbers.

    Raises:
        NumberingError: numbers stand on all lines and do not count them, or count some of the lines only.
    """
    by_place = {place: [_numbered(pattern, line) for line in lines] for place, pattern in _PLACES.items()}
    whole = [place for place, items in by_place.items() if all(items) and (place == "begin" or len(lines) > 1)]
    if len(whole) == 2:
        raise NumberingError("has lines that begin and end with a number")
    for place, items in by_place.items():
        if place not in whole and _counts_a_part([item for item in items if item], len(lines)):
            raise NumberingError(f"has some lines that {place} with a number, and others that do not")
    if not whole:
        return None
    numbered = [item for item in by_place[whole[0]] if item]
    texts = in_order([item.number for item in numbered], [item.text for item in numbered])
    if len({item.letter for item in numbered}) > 1 or len(set(texts)) < len(texts):
        raise NumberingError(f"has lines that {whole[0]} with a number, but are not different without it")
    return texts


def _numbered(pattern: re.Pattern[str], line: str) -> _Numbered | None:
    match = pattern.fullmatch(line)
    return _Numbered(match["letter"], int(match["number"]), match["text"].strip()) if match else None


def _counts_a_part(numbered: Sequence[_Numbered], lines: int) -> bool:
    """Whether the numbers of some lines increase by 1, and these lines are half of all or more."""
    numbers = [item.number for item in numbered]
    steps = {after - before for before, after in pairwise(numbers)}
    return steps == {1} and lines // 2 <= len(numbers) < lines
