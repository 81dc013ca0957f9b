"""How findings are shown: a line for each rule, or each finding below its class and kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import shorten

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from db.records import Dataset
from descriptor_gen.lint.rules import Finding

_EXAMPLE = 76  # characters; with the other columns the table is as wide as a pipe's 120


@dataclass(frozen=True)
class LintReport:
    """What was looked at, and what was found."""

    dataset: str
    texts: int
    errors: int
    warnings: int
    findings: tuple[Finding, ...]


def report_of(dataset: Dataset, texts: int, findings: Sequence[Finding]) -> LintReport:
    """Return findings with their numbers."""
    errors = sum(finding.severity == "error" for finding in findings)
    return LintReport(dataset.name, texts, errors, len(findings) - errors, tuple(findings))


def summary(report: LintReport) -> RenderableType:
    """Return the number of texts and classes of each rule with an example, and one line on all."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.rule, finding.severity), []).append(finding)
    rows = [
        (rule, severity, len(found), len({finding.action for finding in found}), _example(found[0]))
        for (rule, severity), found in groups.items()
    ]
    columns = ("rule", "severity", ">found", ">classes", "example")
    return Group(table(*columns, rows=rows), Text(), _total(report)) if rows else _total(report)


def _example(finding: Finding) -> str:
    said = f"{finding.detail}; {finding.text}" if finding.text else finding.detail
    return shorten(f"{finding.action}, {finding.kind}: {said}", _EXAMPLE, placeholder=" ...")


def listing(dataset: Dataset, report: LintReport) -> RenderableType:
    """Return each finding below its class and kind, classes in label order, and one line on all."""
    labels = {action.name: action.label for action in dataset.actions}
    ordered = sorted(report.findings, key=lambda finding: (labels[finding.action], finding.kind))
    lines = []
    for (action, kind), findings in groupby(ordered, key=lambda finding: (finding.action, finding.kind)):
        lines.append(Text(f"{action}, {kind}", style="bold"))
        lines += [Text(_line(finding)) for finding in findings]
    return Group(*lines, _total(report))


def _line(finding: Finding) -> str:
    ids = " ".join(f"#{number}" for number in finding.ids)
    said = ": ".join(part for part in (ids, finding.text) if part)
    return f"  {finding.severity} {finding.rule}" + (f" {said}" if said else "") + f" ({finding.detail})"


def _total(report: LintReport) -> Text:
    return Text(f"{report.dataset}: {report.texts} texts, {report.errors} errors, {report.warnings} warnings")
