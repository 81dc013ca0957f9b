"""Long lists, a page at a time: a page of 2,000 elements is quick in any browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

ROWS = 100  # of a table
_DIGITS = 8
T = TypeVar("T")


@dataclass(frozen=True)
class Paged(Generic[T]):
    """One page of a list.

    Attributes:
        shown: what is on the page.
        number: of the page, from 1.
        pages: how many there are, at least 1.
        query: the page's address without its number.
    """

    shown: Sequence[T]
    number: int
    pages: int
    query: str

    def address(self, number: int) -> str:
        """Return the query of another page."""
        return f"{self.query}&page={number}" if self.query else f"page={number}"


def paged(items: Sequence[T], asked: str, query: str = "", *, rows: int = ROWS) -> Paged[T]:
    """Return the page that is asked for; the nearest one if it does not exist."""
    return of_parts([items[start : start + rows] for start in range(0, len(items), rows)], asked, query)


def of_parts(parts: Sequence[Sequence[T]], asked: str, query: str = "") -> Paged[T]:
    """Return the page that is asked for, as `paged` does, of a list that is divided into pages already."""
    pages = max(1, len(parts))
    number = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) <= _DIGITS else 1
    number = min(max(1, number), pages)
    return Paged(parts[number - 1] if parts else (), number, pages, query)


def query_of(values: dict[str, str]) -> str:
    """Return the values that are not empty as the query of an address."""
    return urlencode({name: value for name, value in values.items() if value})
