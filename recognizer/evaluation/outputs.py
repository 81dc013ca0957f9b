"""Check output files before the work starts, not after it."""

from __future__ import annotations

from pathlib import Path

from db.errors import UsageError

PICTURES = (".png", ".svg", ".pdf")


def check_file(path: Path | None) -> None:
    """Raise UsageError if the folder of an output file does not exist."""
    if path and not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write {path.name} to")


def check_picture(path: Path | None) -> None:
    """Raise UsageError for an unknown picture format or a missing folder."""
    if path and path.suffix.lower() not in PICTURES:
        raise UsageError(f"A picture is one of {', '.join(PICTURES)}, not {path.name}")
    check_file(path)
