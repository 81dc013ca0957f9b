"""The page that `recognize doctor` prints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.doctor.findings import Examination, Finding

_MARKS = {"ok": "ok", "optional": "-", "missing": "MISSING"}


def examination_report(examination: Examination) -> RenderableType:
    """Show the findings by section."""
    parts: list[RenderableType] = []
    for section, findings in groupby(examination.findings, key=lambda finding: finding.section):
        parts += [_section(section, list(findings)), Text()]
    return Group(*parts)


def _section(name: str, findings: Sequence[Finding]) -> RenderableType:
    section = table("", "", "", title=name, rows=[(_MARKS[f.state], f.name, f.detail) for f in findings])
    section.show_header = False
    return section


def commands(examination: Examination) -> str:
    """Return the commands for what is not there, what is essential first; one that helps twice is shown once."""
    others = [finding for finding in examination.findings if finding.state == "optional"]
    wanted: dict[str, list[str]] = {}
    for finding in (*examination.missing, *others):
        if finding.command:
            wanted.setdefault(finding.command, []).append(finding.name)
    lines = [f"{', '.join(names)}:\n  {command}" for command, names in wanted.items()]
    return "\n".join(["For what is not there, if you need it", *lines] if lines else ["Nothing is missing"])
