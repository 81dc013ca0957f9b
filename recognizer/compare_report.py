"""A comparison of two runs for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.compare import ClassChange, Comparison, Paired
from recognizer.report import percent


def compare_report(found: Comparison, *, names: tuple[str, str], show: int) -> RenderableType:
    """Return the comparison, with at most `show` classes and videos of each sort; `names` are those of the runs."""
    won = [c for c in found.classes if c.second > c.first]
    lost = [c for c in reversed(found.classes) if c.second < c.first]
    lines = [
        *(f"{name}: {_said(one)} → {_said(other)}" for name, (one, other) in found.changed.items()),
        f"videos: {found.both} in both, {found.only_first} only in {names[0]}, {found.only_second} only in {names[1]}",
    ]
    as_before = len(found.classes) - len(won) - len(lost)
    return Group(
        Text(f"{found.dataset} · {names[0]} → {names[1]}", style="bold"),
        Text("\n".join(lines)),
        Text(),
        _shares(found, names),
        Text(f"\nclasses: {len(won)} won, {len(lost)} lost, {as_before} as before"),
        *_class_table(won[:show], names),
        *_class_table(lost[:show], names),
        *_video_table(found, names, show),
    )


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return ("+".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


def _shares(found: Comparison, names: tuple[str, str]) -> RenderableType:
    body = [(name, *_share_row(paired)) for name, paired in (("top-1", found.top1), ("top-5", found.top5))]
    columns = ("%", *(f">{name}" for name in names), ">difference", ">gained", ">lost", ">p")
    return table(*columns, rows=body)


def _share_row(paired: Paired) -> tuple[object, ...]:
    gap = paired.difference
    difference = f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    rates = [percent({"value": r.value, "low": r.low, "high": r.high}) for r in (paired.first, paired.second)]
    return (*rates, difference, paired.gained, paired.lost, f"{paired.p:.3f}" if paired.p >= 0.001 else "< 0.001")


def _class_table(classes: Sequence[ClassChange], names: tuple[str, str]) -> list[RenderableType]:
    if not classes:
        return []
    body = [(c.name, c.videos, c.first, c.second, f"{c.second - c.first:+d}") for c in classes]
    return [Text(), table("class", ">videos", *(f">right in {name}" for name in names), ">difference", rows=body)]


def _video_table(found: Comparison, names: tuple[str, str], show: int) -> list[RenderableType]:
    gained = [video for video in found.videos if video.second == 1]
    lost = [video for video in found.videos if video.first == 1]
    shown = (*gained[:show], *lost[:show])
    if not shown:
        return []
    more = len(found.videos) - len(shown)
    rest = [Text(f"and {more} more videos that changed (all of them: --json, or --show {len(found.videos)})")]
    body = [(video.video, video.name, video.first, video.second) for video in shown]
    rows = table("video that changed", "class", *(f">rank in {name}" for name in names), rows=body)
    return [Text(), rows, *(rest if more else [])]
