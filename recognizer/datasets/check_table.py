"""The report of `recognize check` for the terminal."""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.datasets.check import CheckReport

_SHOWN = 20  # faults of a kind that are listed without --all


def check_table(report: CheckReport, *, everything: bool = False) -> RenderableType:
    """Return the counts of a check, and the first faults of each kind, or all of them."""
    lines = [
        report.layout,
        f"videos: {report.listed} listed, {report.present} present, {report.readable} readable ({report.frames} "
        f"frames), {report.remembered} unchanged since the last check",
    ]
    if report.ignored:
        skipped = Counter(report.ignored).most_common()
        lines.append(f"skipped: {', '.join(f'{count} {reason}' for reason, count in skipped)}")
    parts: list[RenderableType] = [Text("\n".join(lines))]
    for kind, harms in dict.fromkeys((fault.kind, fault.harms) for fault in report.faults):
        faults = [fault for fault in report.faults if (fault.kind, fault.harms) == (kind, harms)]
        shown = faults if everything else faults[:_SHOWN]
        effect = "affects an evaluation" if harms else "does not affect an evaluation"
        parts += [Text(), Text(f"{kind}: {len(faults)} ({effect})", style="bold")]
        parts.append(table("file", "reason", rows=[(fault.video, fault.reason) for fault in shown]))
        if len(shown) < len(faults):
            parts.append(Text(f"and {len(faults) - len(shown)} more (--all names them)"))
    return Group(*parts) if report.faults else Group(*parts, Text("no problems"))
