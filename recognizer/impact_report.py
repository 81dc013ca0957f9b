"""What each descriptor gains or costs, for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.impact import RunImpact, TextImpact
from recognizer.report import percent


def impact_report(found: RunImpact, *, show: int) -> RenderableType:
    """Return the texts that are best left out and those that are best kept, at most `show` of each."""
    better = [text for text in found.texts if _order(text) > (0, 0)]
    worse = [text for text in reversed(found.texts) if _order(text) < (0, 0)]
    lines = [
        f"{found.videos} videos, top-1 % {percent(asdict(found.top1))}, by labels alone "
        f"{percent(asdict(found.label_only))}",
        f"{len(found.texts)} descriptors, each left out by itself: {_count(found, 1)} gain videos, {_count(found, -1)} "
        f"lose videos, {_count(found, 0)} change no number of right ones",
        *_cautions(found),
    ]
    return Group(
        Text(f"run {found.run} · {found.dataset}", style="bold"),
        Text("\n".join(lines)),
        *_table("better without", better[:show]),
        *_table("worse without", worse[:show]),
        Text(f"\nRead and decide, sorted by this: descgen review --dataset {found.dataset}"),
    )


def _order(text: TextImpact) -> tuple[int, float]:
    return (text.gained - text.lost, text.margin_change)


def _count(found: RunImpact, sign: int) -> int:
    return sum((text.gained > text.lost) - (text.gained < text.lost) == sign for text in found.texts)


def _cautions(found: RunImpact) -> list[str]:
    said = []
    if found.ranked_otherwise:
        said.append(f"{found.ranked_otherwise} videos rank otherwise than when the run was stored: texts changed place")
    if found.is_benchmark:
        said.append(
            f"WARNING: these are videos that {found.dataset} is tested on. Texts that are chosen by this have seen the "
            "test; accuracy on it says no more what they are worth. Choose by videos of your own, or by another dataset"
        )
    else:
        said.append("Measure texts that are chosen by this on other videos: on these they look better than they are")
    return said


def _table(title: str, texts: Sequence[TextImpact]) -> list[RenderableType]:
    if not texts:
        return []
    body = [
        (
            text.descriptor.id,
            text.descriptor.action,
            text.descriptor.kind,
            text.descriptor.text,
            f"{100 * text.top1_change:+.2f}",
            text.gained,
            text.lost,
            f"{text.margin_change:+.4f}",
        )
        for text in texts
    ]
    columns = (">id", "class", "kind", "text", ">top-1, points", ">gained", ">lost", ">margin")
    return [Text(), table(*columns, title=title, rows=body)]
