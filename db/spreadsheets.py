"""Cells that no spreadsheet takes for a formula, after OWASP's advice on CSV injection.

A cell that begins with one of `= + - @`, tab, carriage return, line feed, or the full-width forms of the first four
gets an apostrophe in front. So does one that begins with apostrophes and then such a character, so that taking one
apostrophe off gives back every cell.
"""

from __future__ import annotations

import re
from typing import Any

MARK = "spreadsheet_safe"
"""The column that tells a reader to take the apostrophes off."""

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_WRITTEN = re.compile("'+[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


def safe(cell: Any) -> Any:
    """Return a cell as it is written; numbers stay."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def unsafe(cell: Any) -> Any:
    """Return the cell that `safe` has written."""
    return cell[1:] if isinstance(cell, str) and _WRITTEN.match(cell) else cell
