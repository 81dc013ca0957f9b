"""docs/licences.md says what the installed packages say."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tools.licences import HASHES, NOT_SAID, licence_of, licences

PAGE = Path(__file__).parents[2] / "docs" / "licences.md"


def test_the_table_has_every_package_with_its_licence() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## Packages")[2]
    rows = dict(line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| "))
    del rows["package"]
    assert list(rows) == [line.partition("==")[0] for line in HASHES.read_text().splitlines() if line[0] != "#"]
    installed = licences()  # fewer on another platform
    assert installed.items() <= rows.items(), "run: make supply"
    assert installed["numpy"]


def test_where_a_licence_is_looked_for() -> None:
    package: Any = EmailMessage()
    assert licence_of(package) == NOT_SAID
    package["License"] = "BSD"
    assert licence_of(package) == "BSD"
    package["Classifier"] = "License :: OSI Approved :: MIT License"
    assert licence_of(package) == "MIT License"
    package["License-Expression"] = "MIT AND BSD-3-Clause"
    assert licence_of(package) == "MIT AND BSD-3-Clause"
