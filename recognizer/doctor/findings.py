"""What a check finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "optional", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        section: what it is a part of, such as `packages`.
        name: what was looked for.
        state: `ok`; `optional`: not there, and only what `detail` says needs it; `missing`: without it, videos cannot
            be recognised.
        detail: its version, place or size; or what is wrong, and what for it is needed.
        command: what to type to get it; "" if there is nothing to do.
    """

    section: str
    name: str
    state: State
    detail: str
    command: str = ""


@dataclass(frozen=True)
class Surroundings:
    """Where to look.

    Attributes:
        database: SQLite file or SQLAlchemy URL.
        features: folder of the feature store.
        environment: variables; of keys, only whether they are set is told.
    """

    database: str
    features: Path
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Examination:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def missing(self) -> tuple[Finding, ...]:
        """What is needed to recognise anything, and is not there."""
        return tuple(finding for finding in self.findings if finding.state == "missing")
