"""The feature store for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.features.embed import EmbedReport
from recognizer.features.maintenance import Check, Cut, Stock

_SHOWN = 10  # damaged records of a shelf


def embed_report(name: str, report: EmbedReport, folder: Path) -> RenderableType:
    """Return what `recognize embed` did."""
    lines = [
        f"{report.sampling}, {report.sampling.preprocessing} preprocessing · {report.layout}",
        "videos: " + counted(report.counts),
        *(f"unreadable: {video}: {reason}" for video, reason in report.unreadable),
        f"kept in {folder}",
    ]
    title = f"{name} · encoder {report.encoder} · {report.seconds:.1f} seconds"
    return Group(Text(title, style="bold"), Text("\n".join(lines)))


def counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "embedded")


def stock_table(stocks: Sequence[Stock], folder: Path) -> RenderableType:
    """Return one row for each shelf."""
    rows = [(s.encoder, s.revision[:12], s.what, s.records, s.unreadable, size(s.bytes), s.used_at) for s in stocks]
    columns = ("encoder", "revision", "what", ">records", ">unreadable", ">size", "last used")
    total = size(sum(stock.bytes for stock in stocks))
    return Group(table(*columns, rows=rows), Text(f"\n{total} in {folder}"))


def check_report(checks: Sequence[Check], folder: Path) -> RenderableType:
    """Return what `recognize features verify` found."""
    rows = [(c.encoder, c.what, c.records, len(c.damaged), size(c.unfinished), c.file) for c in checks]
    columns = ("encoder", "what", ">records", ">damaged", ">unfinished", f"file in {folder}")
    lines = [f"damaged: {check.file}: {name}" for check in checks for name in check.damaged[:_SHOWN]]
    more = (f"damaged: {c.file}: and {len(c.damaged) - _SHOWN} more" for c in checks if len(c.damaged) > _SHOWN)
    return Group(table(*columns, rows=rows), Text("\n".join(["", *lines, *more]).rstrip()))


def cut_table(cuts: Sequence[Cut]) -> RenderableType:
    """Return what is to go, a row for each shelf."""
    rows = [
        (c.row.key["encoder"], c.what, f"all {len(c.keys)}" if c.whole else len(c.keys), size(c.bytes)) for c in cuts
    ]
    return table("encoder", "what", ">records", ">size", rows=rows)


def size(count: int) -> str:
    """Return bytes for people, such as `123.9 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"
