"""Check output files before the work starts, not after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from db.errors import UsageError

PICTURES = (".png", ".svg", ".pdf")
PAGES = (".html", ".htm")
CSV = (".csv",)


def check_file(path: Path | None, suffixes: Sequence[str]) -> None:
    """Check the name of an output file, if there is one.

    Raises:
        UsageError: its suffix is none of these (in any case), or its folder does not exist.
    """
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path.name} ends in {path.suffix or 'no suffix'}. Known: {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write {path.name} to")
