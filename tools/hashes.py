"""The file of versions with hashes that `make setup` installs from, for the platform and Python on which it is made.

It uses the standard library alone, since `make setup` asks it for the platform before anything is installed.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PROJECT = "descgen-recognize"
REQUIREMENTS = (
    ("-c", "constraints.txt", ".[dev]"),
    ("--no-deps", "-r", "offline.txt", "-r", "tests/axe.txt"),
)


def made_for() -> str:
    """Return the first line of the file: a wheel is chosen by system, machine, C library and Python version."""
    system = " ".join(filter(None, (platform.system(), platform.machine(), platform.libc_ver()[0])))
    return f"# For {system}, {platform.python_implementation()} {platform.python_version().rpartition('.')[0]}"


def hash_line(package: dict[str, Any]) -> str:
    """Return `name==version --hash=sha256:...` for one package of pip's installation report, without its address.

    Raises:
        SystemExit: pip knows no sha256, as of a folder or a repository.
    """
    name, version = package["metadata"]["name"], package["metadata"]["version"]
    sha256 = package["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
    if not sha256:
        raise SystemExit(f"No sha256 of {name} {version}: it comes from a folder, not from a wheel or an sdist")
    return f"{name}=={version} --hash=sha256:{sha256}"


def hash_lines(packages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the file: for what it holds, how it is made, and a line for each package but the project itself."""
    yield made_for()
    yield "# Made by `make supply` from pyproject.toml, constraints.txt, offline.txt and tests/axe.txt"
    yield from sorted((hash_line(each) for each in packages if each["metadata"]["name"] != PROJECT), key=str.casefold)


def _resolved(requirements: Sequence[str]) -> list[dict[str, Any]]:
    """Return what pip would install into an empty environment; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run((*pip, "--dry-run", "--ignore-installed", "--report", str(report), *requirements), check=True)
        packages: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
        return packages


if __name__ == "__main__":
    if sys.argv[1:] == ["made-for"]:
        print(made_for())
    else:
        print("\n".join(hash_lines([package for each in REQUIREMENTS for package in _resolved(each)])))
