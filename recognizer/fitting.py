"""Text that fits a width, for pictures: measured in the font that it is drawn in."""

from __future__ import annotations

from functools import cache
from typing import Any

BOLD = 1.16  # times as wide as regular text of the same size
_POINTS_PER_INCH = 72


def fitted(text: str, *, inches: float, points: float, lines: int) -> str:
    """Return a text broken into at most `lines` lines that fit; what does not fit is cut, and ends in `…`.

    Args:
        text: any white space in it counts as one space.
        inches: the width.
        points: the font's size.
        lines: at least 1.
    """
    room = inches * _POINTS_PER_INCH
    words, found = text.split(), [""]
    while words:
        word = words.pop(0)
        longer = f"{found[-1]} {word}".strip()
        if _width(longer, points) <= room:
            found[-1] = longer
        elif found[-1]:
            words.insert(0, word)
            found.append("")
        else:  # one word that is too long, or a script without spaces
            part = _prefix(word, room, points)
            found[-1] = part
            words.insert(0, word[len(part) :])
            found.append("")
    found = [line for line in found if line]
    if len(found) > lines:
        last = _prefix(found[lines - 1], room - _width("…", points), points).rstrip()
        found = [*found[: lines - 1], f"{last}…"]
    return "\n".join(found)


def _prefix(text: str, room: float, points: float) -> str:
    """Return as much of a text as fits, and at least one character."""
    for end in range(len(text), 1, -1):
        if _width(text[:end], points) <= room:
            return text[:end]
    return text[:1]


def _width(text: str, points: float) -> float:
    """Return the width in points."""
    from matplotlib.font_manager import FontProperties

    width, _, _ = _renderer().get_text_width_height_descent(text, FontProperties(size=points), ismath=False)
    return float(width)


@cache
def _renderer() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, _POINTS_PER_INCH)
