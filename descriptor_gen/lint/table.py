"""Findings as text: a row for each rule, or every finding grouped by class and kind."""

from __future__ import annotations

from itertools import groupby
from textwrap import shorten

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from db.records import Dataset
from descriptor_gen.lint.rules import Finding, LintReport

_EXAMPLE_WIDTH = 76  # characters; with the other columns the table is 120 wide


def summary(report: LintReport) -> RenderableType:
    """Return a row for each rule: how many texts and classes, and an example; then a line with the totals."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.rule, finding.severity), []).append(finding)
    rows = [
        (rule, severity, len(findings), len({finding.action for finding in findings}), _example(findings[0]))
        for (rule, severity), findings in groups.items()
    ]
    columns = ("rule", "severity", ">found", ">classes", "example")
    return Group(table(*columns, rows=rows), Text(), _totals(report)) if rows else _totals(report)


def _example(finding: Finding) -> str:
    detail = f"{finding.detail}; {finding.text}" if finding.text else finding.detail
    return shorten(f"{finding.action}, {finding.kind}: {detail}", _EXAMPLE_WIDTH, placeholder=" ...")


def listing(dataset: Dataset, report: LintReport) -> RenderableType:
    """Return all findings grouped by class (in label order) and kind; then a line with the totals."""
    labels = {action.name: action.label for action in dataset.actions}
    ordered = sorted(report.findings, key=lambda finding: (labels[finding.action], finding.kind))
    lines = []
    for (action, kind), findings in groupby(ordered, key=lambda finding: (finding.action, finding.kind)):
        lines.append(Text(f"{action}, {kind}", style="bold"))
        lines += [Text(_line(finding)) for finding in findings]
    return Group(*lines, _totals(report))


def _line(finding: Finding) -> str:
    ids = " ".join(f"#{number}" for number in finding.ids)
    subject = ": ".join(part for part in (ids, finding.text) if part)
    return f"  {finding.severity} {finding.rule}" + (f" {subject}" if subject else "") + f" ({finding.detail})"


def _totals(report: LintReport) -> Text:
    counts = ((report.texts, "text"), (report.errors, "error"), (report.warnings, "warning"))
    return Text(f"{report.dataset}: {', '.join(f'{n} {noun}' if n == 1 else f'{n} {noun}s' for n, noun in counts)}")
