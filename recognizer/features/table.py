"""Tables of `recognize embed` and `recognize features`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.features.embed import EmbedReport
from recognizer.features.export import ExportReport
from recognizer.features.import_arrays import ImportReport
from recognizer.features.maintenance import PrunePlan, ShelfCheck, ShelfSummary
from recognizer.features.merge import MergedShelf
from recognizer.features.precision import PrecisionGap

_SHOWN = 10  # damaged records of a shelf


def embed_report(name: str, report: EmbedReport, folder: Path) -> RenderableType:
    """Show the outcome of `recognize embed`."""
    lines = [
        f"{report.sampling}, {report.sampling.preprocessing} preprocessing · {report.layout}",
        "videos: " + _counts(report.counts),
        *([f"skipped: {_counts(report.ignored)}"] if report.ignored else []),
        *(f"truncated, what is there is used: {video}: {extent}" for video, extent in report.truncated),
        *(f"unreadable: {video}: {reason}" for video, reason in report.unreadable),
        f"stored in {folder}",
    ]
    title = f"{name} · encoder {report.encoder} · {report.seconds:.1f} seconds"
    return Group(Text(title, style="bold"), Text("\n".join(lines)))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "embedded")


def summary_table(shelves: Sequence[ShelfSummary], folder: Path) -> RenderableType:
    """Show one row for each shelf."""
    rows = [(s.encoder, s.revision[:12], s.what, s.records, s.unreadable, size(s.bytes), s.used_at) for s in shelves]
    columns = ("encoder", "revision", "what", ">records", ">unreadable", ">size", "last used")
    total = size(sum(shelf.bytes for shelf in shelves))
    return Group(table(*columns, rows=rows), Text(f"\n{total} in {folder}"))


def verify_report(checks: Sequence[ShelfCheck], folder: Path) -> RenderableType:
    """Show the outcome of `recognize features verify`."""
    rows = [(c.encoder, c.what, c.records, len(c.damaged), size(c.unfinished), c.file) for c in checks]
    columns = ("encoder", "what", ">records", ">damaged", ">unfinished", f"file in {folder}")
    lines = [f"damaged: {check.file}: {name}" for check in checks for name in check.damaged[:_SHOWN]]
    more = (f"damaged: {c.file}: and {len(c.damaged) - _SHOWN} more" for c in checks if len(c.damaged) > _SHOWN)
    return Group(table(*columns, rows=rows), Text("\n".join(["", *lines, *more]).rstrip()))


def precision_table(gaps: Sequence[PrecisionGap]) -> RenderableType:
    """Show the cosines between embeddings in float32 and in other precisions, and how to get the accuracies."""
    rows = [(g.encoder, g.what, g.records, f"{g.lowest:.6f}", f"{g.mean:.6f}") for g in gaps]
    return Group(
        table("encoder", "what", ">records in both", ">lowest cosine", ">mean cosine", rows=rows),
        Text(
            "\nWhat it does to accuracy, with its interval: recognize eval with --precision float32 and with the other "
            "(what is stored is not encoded again), then recognize compare RUN RUN"
        ),
    )


def merge_report(merged: Sequence[MergedShelf], folder: Path) -> RenderableType:
    """Show the outcome of `recognize features merge`."""
    rows = [(m.source, m.encoder, m.what, m.added, m.already, m.unreadable, m.damaged) for m in merged]
    columns = ("from", "encoder", "what", ">added", ">already stored", ">unreadable", ">damaged")
    return Group(table(*columns, rows=rows), Text(f"\n{sum(m.added for m in merged)} records added to {folder}"))


def export_report(report: ExportReport) -> RenderableType:
    """Show the outcome of `recognize features export`."""
    videos, views, frames, width = report.shape
    left_out = {
        "unreadable": len(report.unreadable), "missing": report.missing, "beyond the limit": report.beyond_the_limit,
    }  # fmt: skip
    not_in_it = ", ".join(f"{count} {name}" for name, count in left_out.items() if count)
    opened = f"fiftyone.Dataset.from_json({report.file!r}, rel_dir={report.rel_dir!r})"
    lines = [
        f"{videos} videos (V) x {views} views (W) x {frames} frames (T) x {width} numbers (D)",
        f"{report.embedded} of them were not stored before",
        *([f"not in the file: {not_in_it}"] if not_in_it else []),
        *(f"unreadable: {video}: {reason}" for video, reason in report.unreadable),
        *([f"open it with: {opened}"] if report.rel_dir else []),
    ]
    return Group(Text(f"Written: {report.file}", style="bold"), Text("\n".join(lines)))


def import_report(report: ImportReport, folder: Path) -> RenderableType:
    """Show the outcome of `recognize features import`."""
    each = "a vector a clip" if report.of_clips else f"{report.frames} frames"
    views = f" x {report.views} views" if report.views > 1 else ""
    options = f"--frames {report.frames}" + (f" --clips {report.views}" if report.views > 1 else "")
    lines = [
        f"{report.videos} videos ({report.new_videos} new): {each}{views}, width {report.width}",
        f"{report.texts} texts ({report.new_texts} new)",
        f"stored in {folder}",
        f"use them with: recognize eval --encoder {report.encoder} {options}",
    ]
    return Group(Text(report.encoder, style="bold"), Text("\n".join(lines)))


def prune_table(plans: Sequence[PrunePlan]) -> RenderableType:
    """Show the records to drop, a row for each shelf."""
    rows = [
        (p.row.key["encoder"], p.what, f"all {len(p.keys)}" if p.whole else len(p.keys), size(p.bytes)) for p in plans
    ]
    return table("encoder", "what", ">records", ">size", rows=rows)


def size(count: int) -> str:
    """Return a number of bytes as text, such as `123.9 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"
