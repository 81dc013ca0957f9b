"""Tables of labels: rows of a CSV or TSV file or of a JSON list, with a column of class names.

A header says what the columns are. Without one, a column of whole numbers counts the classes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from db.numbering import in_order

Role = Literal["number", "name", "phrase"]

HEADERS: Mapping[str, Role] = {
    **dict.fromkeys(("id", "index", "idx", "number", "labelid", "labelindex", "classid", "classindex"), "number"),
    **dict.fromkeys(("name", "label", "class", "action", "category", "classname", "labelname", "actionname"), "name"),
    **dict.fromkeys(("names", "labels", "classes", "actions", "categories", "classnames", "labelnames"), "name"),
    **dict.fromkeys(("phrase", "text", "description", "caption"), "phrase"),
}
COLUMNS = "id (or index, number), name (or label, class, action), phrase (or text, description)"


class LabelsError(ValueError):
    """A file of labels cannot be read; the message continues a sentence that begins with the file's name."""


@dataclass(frozen=True)
class Label:
    """A class as a file gives it; without a phrase, it is made of the name."""

    name: str
    phrase: str | None = None


def role(header: str) -> Role | None:
    """Return what a column of this header holds; None if the header is unknown."""
    return HEADERS.get(re.sub(r"[\W_]+", "", header).casefold())


def labels_of_table(rows: Sequence[Sequence[str]]) -> list[Label]:
    """Return the labels of a table; its first row may be a header.

    Raises:
        LabelsError: the rows are of different lengths, or what their columns mean is not plain.
        NumberingError: the numbers of the classes do not count them.
    """
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        row = next(number for number, row in enumerate(rows, start=1) if len(row) != len(rows[0]))
        raise LabelsError(
            f"has rows of different lengths: the first has {len(rows[0])} cells, row {row} has {len(rows[row - 1])}. A "
            "class without a phrase has an empty cell"
        )
    if headers := [row for row in rows[1:] if all(map(role, row))]:
        raise LabelsError(f"has the row {_listed(headers[0])}, which looks like a header, below other rows")
    if any(map(role, rows[0])):
        return with_header(rows[0], rows[1:])
    return _without_header(rows)


def with_header(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Label]:
    """Return the labels of rows below a header.

    Raises:
        LabelsError: a column is unknown, or not exactly one of them holds the names.
        NumberingError: the numbers of the classes do not count them.
    """
    unknown = [name for name in header if not role(name)]
    if unknown:
        raise LabelsError(f"has the columns {_listed(unknown)}. Columns that are read: {COLUMNS}")
    roles = [role(name) for name in header]
    columns = [[row[index] for row in rows] for index in range(len(header))]
    if roles.count("name") > 1 and "number" not in roles:  # `label` may be the number of the class: label, name, phrase
        roles = [
            "number" if kind == "name" and _whole(cells) else kind for kind, cells in zip(roles, columns, strict=True)
        ]
    if roles.count("name") != 1 or len(set(roles)) < len(roles):
        raise LabelsError(
            f"has the columns {_listed(header)}. One holds the names, one more may hold numbers, and one phrases: "
            f"{COLUMNS}"
        )
    return _labels({kind: cells for kind, cells in zip(roles, columns, strict=True) if kind})


def _without_header(rows: Sequence[Sequence[str]]) -> list[Label]:
    """Return the labels of rows of a name and its number (in either order), or of a name and its phrase."""
    columns = list(zip(*rows, strict=True))
    numbers = [index for index, cells in enumerate(columns) if _whole(cells)]
    if len(columns) == 2 and len(numbers) == 1:
        return _labels({"number": columns[numbers[0]], "name": columns[1 - numbers[0]]})
    if len(columns) == 2 and not any(_whole(cells[1:]) for cells in columns if len(cells) > 1):
        return _labels({"name": columns[0], "phrase": columns[1]})
    raise LabelsError(
        f"has {len(columns)} columns without a header that is known. Write one; columns that are read: {COLUMNS}"
    )


def _labels(columns: Mapping[Role, Sequence[str]]) -> list[Label]:
    names = columns["name"]
    phrases = columns.get("phrase", [""] * len(names))
    labels = [Label(name, phrase or None) for name, phrase in zip(names, phrases, strict=True)]
    numbers = columns.get("number")
    if numbers is None:
        return labels
    if wrong := [cell for cell in numbers if not is_number(cell)]:
        raise LabelsError(f"has the cell {wrong[0]!r} in its column of numbers")
    return in_order(list(map(int, numbers)), labels)


def is_number(cell: str) -> bool:
    """Return whether a cell is a whole number that may count classes."""
    return cell.isascii() and cell.isdecimal() and len(cell) < 7


def _whole(cells: Sequence[str]) -> bool:
    return bool(cells) and all(map(is_number, cells))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
