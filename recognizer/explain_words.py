"""How an explanation is put into words: the same in the terminal, in pictures and in pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recognizer.explain import LABEL, ExplainedClass, TextEffect

PANELS = (
    ("share", "share of\nthe score"),
    ("above_mean", "above the\nmean class"),
    ("above_winner", "above the\nclass on rank 1"),
)  # numbers of a text: field, title
MINUS = "\N{MINUS SIGN}"


def plain(value: float) -> str:
    """Return a number with three digits after the point."""
    return f"{round(value, 3) + 0.0:.3f}".replace("-", MINUS)


def signed(value: float) -> str:
    """Return a number with its sign, three digits after the point."""
    return f"{number:+.3f}".replace("-", MINUS) if (number := round(value, 3)) else "0.000"


def kind_of(effect: TextEffect) -> str:
    """Return what a text is: the label, a step by its number, or its kind."""
    return effect.kind if effect.kind == LABEL or effect.step is None else f"step {effect.step + 1}"


def head_of(explained: ExplainedClass) -> tuple[str, str]:
    """Return the heading of a class, and what is said beside it."""
    name = f"{explained.rank}  {explained.phrase}" + (" (asked for)" if explained.asked else "")
    said = [
        f"score {plain(explained.score)}",
        f"{signed(explained.above_mean)} to the mean class",
        *([] if explained.above_winner is None else [f"{signed(explained.above_winner)} to rank 1"]),
        f"rank by label only {explained.label_only_rank}",
    ]
    return name, " · ".join(said)


def view_said(settings: Mapping[str, Any]) -> list[str]:
    """Return what is shown of a video that was looked at in several views."""
    clips, crops = settings["clips"], settings["crops"]
    if clips * crops == 1:
        return []
    views = [f"the first of {clips} clips"] * (clips > 1) + [f"the middle one of {crops} crops"] * (crops > 1)
    return [f"Frames, their colours and their steps are of {', '.join(views)}; scores and shares are means over all"]
