"""The texts of a filter as a file that `descgen import` reads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from db.errors import UsageError, UserError, unknown
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.session import ReviewSession

FORMATS = {"csv": "text/csv", "json": "application/json"}
_FIRST_LINT_SECONDS = 60.0  # to wait for flags: before they are known, the filter would miss texts
_BLIND = "A blind reviewer downloads nothing: the file would hold what others decided"


@dataclass(frozen=True)
class File:
    """A file to download."""

    name: str
    media_type: str
    text: str


def download(session: ReviewSession, filter_: Filter, layout: str) -> File:
    """Return the texts that a filter matches with everything that is stored about them.

    CSV is safe for spreadsheets, see `db.spreadsheets`.

    Raises:
        UsageError: the format is unknown.
        UserError: no text matches, the flags are not known yet, or the reviewer is blind.
    """
    from descriptor_gen.exchange.exporting import text_of

    if layout not in FORMATS:
        raise UsageError(unknown("format", layout[:50], FORMATS))
    if session.blind:
        raise UserError(_BLIND)
    session.snapshot()  # has the current texts linted
    if filter_.flag and session.flags(wait=_FIRST_LINT_SECONDS)[1]:
        raise UserError("Lint is still running, so it is not known which texts it flags. Try again")
    items = session.portable(filter_)
    if not items:
        raise UserError("No text matches the filter, so there is nothing to download")
    text = text_of(session.dataset, items, layout=layout, spreadsheet_safe=layout == "csv")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", session.dataset.name).strip("-.") or "descriptors"
    return File(f"{name}.{layout}", FORMATS[layout], text)
