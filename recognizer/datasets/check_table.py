"""A check for people: the counts, and every fault with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.datasets.check import Check, Fault

_SHOWN = 20  # faults of a kind that are named unless all are asked for


def check_report(found: Check, *, everything: bool = False) -> RenderableType:
    """Return what a check found; the first faults of each kind by name, or all of them."""
    lines = [
        found.layout,
        f"videos: {found.listed} listed, {found.present} present, {found.readable} readable ({found.frames} frames), "
        f"{found.remembered} unchanged since the last check",
        *([f"not looked at: {_counts(found)}"] if found.ignored else []),
    ]
    kinds = list(dict.fromkeys((fault.kind, fault.harms) for fault in found.faults))
    parts: list[RenderableType] = [Text("\n".join(lines))]
    for kind in kinds:
        parts += [Text(), *_of_kind([fault for fault in found.faults if (fault.kind, fault.harms) == kind], everything)]
    return Group(*parts, *([] if kinds else [Text("nothing is wrong")]))


def _counts(found: Check) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in Counter(found.ignored).most_common())


def _of_kind(faults: list[Fault], everything: bool) -> Iterator[RenderableType]:
    harm = "an evaluation suffers" if faults[0].harms else "an evaluation does not suffer"
    yield Text(f"{faults[0].kind}: {len(faults)} ({harm})", style="bold")
    shown = faults if everything else faults[:_SHOWN]
    yield table("file", "reason", rows=[(fault.video, fault.reason) for fault in shown])
    if len(shown) < len(faults):
        yield Text(f"and {len(faults) - len(shown)} more (--all names them)")
