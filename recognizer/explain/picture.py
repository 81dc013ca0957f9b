"""Explanations as pictures: the frames of a video, and under each class a row for each text."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from recognizer.evaluation.html import signed
from recognizer.explain.explain import ExplainedClass, Explanation, TextEffect
from recognizer.explain.wording import PANELS, colour_limit, heading, kind_of, unsigned
from recognizer.video.thumbnails import ShownFrame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BOLD = 1.16  # width relative to regular text of the same size
_POINTS_PER_INCH = 72


def fitted(text: str, *, inches: float, points: float, lines: int) -> str:
    """Break a text into at most `lines` lines that fit; a text that is cut ends in `…`.

    Args:
        text: any white space in it counts as one space.
        inches: the width.
        points: the font's size.
        lines: at least 1.
    """
    room, rest, rows = inches * _POINTS_PER_INCH, " ".join(text.split()), list[str]()
    while rest and len(rows) < lines:
        row = _prefix(rest, room, points)
        if " " in row and rest[len(row) : len(row) + 1] not in ("", " "):  # break at a space, not within a word
            row = row.rpartition(" ")[0]
        rows.append(row.rstrip())
        rest = rest[len(row) :].lstrip()
    if rest:
        rows[-1] = f"{_prefix(rows[-1], room - _width('…', points), points).rstrip()}…"
    return "\n".join(rows)


def _prefix(text: str, room: float, points: float) -> str:
    """Return the longest beginning of a text that fits, at least one character."""
    fitting = bisect_right(range(1, len(text) + 1), room, key=lambda end: _width(text[:end], points))
    return text[: max(1, fitting)]


def _width(text: str, points: float) -> float:
    """Return the width in points."""
    from matplotlib.font_manager import FontProperties

    width, _, _ = _renderer().get_text_width_height_descent(text, FontProperties(size=points), ismath=False)
    return float(width)


@cache
def _renderer() -> Any:
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, _POINTS_PER_INCH)


INK, FAINT = "0.1", "0.4"
POINTS = 8.0  # font size unless stated otherwise


class Sheet:
    """A figure whose contents are placed in inches from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return axes without any marks."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.set_axis_off()
        return axes

    def write(self, left: float, top: float, text: str, **look: Any) -> None:
        """Write a text; signs such as `$` are not read as mathematics."""
        look = {"fontsize": POINTS, "color": INK, "va": "top", **look}
        self.figure.text(left / self.width, 1 - top / self.height, text, parse_math=False, **look)


_BELOW, _ABOVE, _NEUTRAL = "#0072B2", "#D55E00", "0.55"  # Okabe and Ito: safe for colour blindness
_RULE = "0.85"
# inches
_MARGIN, _KIND, _TEXT, _HEAT, _PANEL, _GAP = 0.25, 0.95, 3.65, 6.4, 1.15, 0.15
_LINE, _PADDING, _HEAD = 0.135, 0.1, 0.42
_STRIP, _TIMES, _BOTTOM = 1.2, 0.3, 0.75
_LINES = 3  # of a text
_DPI, _PIXELS = 100, 60_000  # the largest height in pixels


@dataclass(frozen=True)
class _Row:
    """A text, with its edges in inches below the top of the first row of its class."""

    effect: TextEffect
    words: str  # broken into lines
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


@dataclass(frozen=True)
class _Block:
    """A class with its rows."""

    explained: ExplainedClass
    rows: tuple[_Row, ...]

    @classmethod
    def of(cls, explained: ExplainedClass) -> _Block:
        words = [fitted(text.text, inches=_TEXT - 0.1, points=POINTS, lines=_LINES) for text in explained.texts]
        heights = (_LINE * (text.count("\n") + 1) + _PADDING for text in words)
        edges = pairwise(accumulate(heights, initial=0.0))
        return cls(explained, tuple(map(_Row, explained.texts, words, *zip(*edges, strict=True))))

    @property
    def height(self) -> float:
        """Of the rows, without the heading, in inches."""
        return self.rows[-1].bottom


def draw_explanation(explanation: Explanation, path: Path, *, made_with: Sequence[str]) -> None:
    """Draw the explanation of one video to a file.

    Args:
        explanation: of a video that was read.
        path: its suffix is the format: .png, .svg, .pdf.
        made_with: lines on the settings, above the picture.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # boxes; the page shows every script
        sheet = _sheet(explanation, made_with)
        sheet.figure.savefig(path, dpi=min(_DPI, _PIXELS / sheet.height))


def _sheet(explanation: Explanation, made_with: Sequence[str]) -> Sheet:
    blocks = [_Block.of(explained) for explained in explanation.classes]
    panels = PANELS if len(blocks) > 1 else PANELS[:2]
    width = 2 * _MARGIN + _KIND + _TEXT + _HEAT + len(panels) * (_PANEL + _GAP)
    name = fitted(Path(explanation.video).name, inches=width - 2 * _MARGIN, points=13 * BOLD, lines=1)
    lines = "\n".join(fitted(line, inches=width - 2 * _MARGIN, points=POINTS, lines=3) for line in made_with)
    top = 0.62 + 0.14 * (lines.count("\n") + 1)
    strip = _Strip.of(explanation)
    sheet = Sheet(width, top + strip.height + sum(_HEAD + block.height for block in blocks) + _BOTTOM)
    sheet.write(_MARGIN, 0.2, name, fontsize=13, fontweight="bold")
    sheet.write(_MARGIN, 0.5, lines, color=FAINT, linespacing=1.25)
    strip.draw(sheet, top)
    top += strip.height
    painter = _Painter(sheet, colour_limit([explanation]), [_Panel.of(name, title, blocks) for name, title in panels])
    painter.titles(top)
    for block in blocks:
        painter.block(block, top)
        top += _HEAD + block.height
    painter.legend(top + 0.2, with_path=any(block.explained.path for block in blocks))
    return sheet


@dataclass(frozen=True)
class _Strip:
    """The frames above the classes, as many as fit, each over its column; in one row, or alternating between two."""

    frames: Sequence[ShownFrame]
    every: int  # every n-th frame is drawn
    rows: int
    picture: tuple[float, float]  # width and height

    @classmethod
    def of(cls, explanation: Explanation) -> _Strip:
        frames = explanation.frames
        every = -(-len(frames) // 20)
        rows = 1 if len(frames) <= 6 else 2
        shape = max(frame.picture.shape[0] / frame.picture.shape[1] for frame in frames)
        height = min(_STRIP / rows, (_HEAT / len(frames) * every * rows - 0.04) * shape)
        return cls(frames, every, rows, (height / shape, height))

    @property
    def height(self) -> float:
        return self.rows * (self.picture[1] + 0.04) + _TIMES

    def draw(self, sheet: Sheet, top: float) -> None:
        column, bottom = _HEAT / len(self.frames), top + self.height - _TIMES
        for place, t in enumerate(range(0, len(self.frames), self.every)):
            frame, middle = self.frames[t], _MARGIN + _KIND + _TEXT + (t + 0.5) * column
            above = self.rows == 2 and place % 2 == 0
            upper = bottom - (self.picture[1] + 0.04) * (2 if above else 1)
            axes = sheet.axes(middle - self.picture[0] / 2, upper, *self.picture)
            axes.imshow(frame.picture, aspect="auto", interpolation="lanczos")
            if above:  # a line to its column, behind the pictures
                line = sheet.axes(middle - 0.01, upper, 0.02, bottom + 0.06 - upper)
                line.set_zorder(-1)
                line.axvline(0.5, color="0.6", linewidth=0.8)
            time = f"#{frame.number}" if frame.seconds is None else f"{frame.seconds:.1f} s"
            sheet.write(middle, bottom + 0.09, time, fontsize=6.5, color=FAINT, ha="center")


@dataclass(frozen=True)
class _Panel:
    """A column of bars for one field of each text, on one scale for all classes."""

    name: str  # field of `TextEffect`
    title: str
    low: float
    high: float

    @classmethod
    def of(cls, name: str, title: str, blocks: Sequence[_Block]) -> _Panel:
        values = [getattr(row.effect, name) or 0.0 for block in blocks for row in block.rows]
        low, high = min(0.0, *values), max(0.0, *values)
        return cls(name, title, low, high if high > low else 1.0)

    def look(self, value: float) -> tuple[str, str]:
        """Return the number as text, and the colour of its bar."""
        if self.name == "attribution":
            return unsigned(value), _NEUTRAL
        return signed(value), _ABOVE if value > 0 else _BELOW


@dataclass(frozen=True)
class _Painter:
    """Draws classes on a sheet, on common scales."""

    sheet: Sheet
    limit: float  # value at the ends of the colour scale
    panels: Sequence[_Panel]

    def _left(self, number: int) -> float:
        return _MARGIN + _KIND + _TEXT + _HEAT + _GAP + number * (_PANEL + _GAP)

    def titles(self, bottom: float) -> None:
        for number, panel in enumerate(self.panels):
            right = self._left(number) + _PANEL
            self.sheet.write(right, bottom + 0.02, panel.title, ha="right", va="bottom", fontsize=7.5, color=FAINT)

    def block(self, block: _Block, top: float) -> None:
        self._head(block.explained, top)
        top += _HEAD
        for row in block.rows:
            kind = fitted(kind_of(row.effect), inches=_KIND - 0.05, points=POINTS, lines=1)
            self.sheet.write(_MARGIN, top + row.middle, kind, color=FAINT, va="center")
            colour = INK if row.effect.used else "0.55"
            self.sheet.write(_MARGIN + _KIND, top + row.middle, row.words, va="center", color=colour, linespacing=1.15)
        self._heat(block, top)
        for number, panel in enumerate(self.panels):
            if getattr(block.rows[0].effect, panel.name) is not None:
                self._bars(block, panel, self.sheet.axes(self._left(number), top, _PANEL, block.height))

    def _head(self, explained: ExplainedClass, top: float) -> None:
        name, numbers = heading(explained)
        name = fitted(name, inches=0.58 * self.sheet.width, points=10 * BOLD, lines=1)
        self.sheet.write(_MARGIN, top + 0.19, name, fontsize=10, fontweight="bold")
        self.sheet.write(self.sheet.width - _MARGIN, top + 0.21, numbers, color=FAINT, ha="right")
        rule = self.sheet.axes(_MARGIN, top + 0.12, self.sheet.width - 2 * _MARGIN, 0.02)
        rule.axhline(0.5, color=_RULE, linewidth=0.8)

    def _heat(self, block: _Block, top: float) -> None:
        import numpy as np

        axes = self.sheet.axes(_MARGIN + _KIND + _TEXT, top, _HEAT, block.height)
        values = np.array([row.effect.frames_above for row in block.rows])  # [K, T]
        columns, edges = np.arange(values.shape[1] + 1), [0.0, *(row.bottom for row in block.rows)]
        axes.pcolormesh(columns, edges, values, cmap=_colours(), vmin=-self.limit, vmax=self.limit,
                        edgecolors="white", linewidth=0.5)  # fmt: skip
        axes.set_ylim(block.height, 0)
        if block.explained.path:
            _draw_path(axes, block, block.explained.path)

    def _bars(self, block: _Block, panel: _Panel, axes: Axes) -> None:
        scale = 0.6 * _PANEL / (panel.high - panel.low)  # the rest is for the numbers
        zero = -panel.low * scale
        for row in block.rows:
            value = getattr(row.effect, panel.name)
            number, colour = panel.look(value)
            axes.barh(row.middle, value * scale, left=zero, height=0.13, color=colour)
            axes.text(_PANEL, row.middle, number, ha="right", va="center", fontsize=7.5, color=INK)
        axes.axvline(zero, color="0.6", linewidth=0.8)
        axes.set_xlim(0, _PANEL)
        axes.set_ylim(block.height, 0)

    def legend(self, top: float, *, with_path: bool) -> None:
        import numpy as np

        left, wide = _MARGIN + _KIND + _TEXT, 2.2
        axes = self.sheet.axes(left, top, wide, 0.12)
        axes.imshow(np.linspace(-1, 1, 256)[None], cmap=_colours(), aspect="auto")
        ends = f"{signed(-self.limit)} or less", f"{signed(self.limit)} or more"
        for part, value, align in ((0.0, ends[0], "left"), (0.5, "0", "center"), (1.0, ends[1], "right")):
            self.sheet.write(left + part * wide, top + 0.16, value, fontsize=7, color=FAINT, ha=align)
        scale = "cosine of frame and text, minus the mean cosine of that\nframe with all texts of the same kind"
        self.sheet.write(left + wide + 0.2, top - 0.05, scale, fontsize=7.5, color=FAINT)
        if with_path:
            sample = self.sheet.axes(_MARGIN, top, 0.35, 0.12)
            sample.set_ylim(0, 1)
            sample.plot([0, 1], [0.5, 0.5], **_path_look())
            path = "the step of each frame, in the best assignment\nthat keeps their order (what method align scores)"
            self.sheet.write(_MARGIN + 0.45, top - 0.05, path, fontsize=7.5, color=FAINT)


def _draw_path(axes: Axes, block: _Block, path: Sequence[int]) -> None:
    """Draw a line through the row of each frame's step, or the middle of the rows of its wordings."""
    middles = [[row.middle for row in block.rows if row.effect.step == step] for step in range(max(path) + 1)]
    ys = [mean(middles[step]) for step in path for _ in range(2)]
    xs = [x for t in range(len(path)) for x in (t + 0.12, t + 0.88)]
    axes.plot(xs, ys, **_path_look())


def _path_look() -> dict[str, Any]:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=4.0, foreground="white")]
    return {"color": "black", "linewidth": 1.6, "solid_joinstyle": "round", "path_effects": halo}


def _colours() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("below_above", [_BELOW, "#f4f4f4", _ABOVE])
