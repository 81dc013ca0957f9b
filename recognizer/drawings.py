"""The geometry of the drawings in a report: pure numbers and paths; the page gives them their colours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from recognizer.confusion import Cell, Confusion

LEVELS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # upper bounds of the shares of a row that are drawn alike
_NUMBERED = 16  # columns up to which each cell says its number
_LABELLED = 130  # rows or columns up to which each has its name
_SIDES = ((12, 40), (30, 24), (60, 15), (_LABELLED, 10))  # rows or columns, and the side of a cell in pixels
_WHOLE = 1200  # pixels, of a matrix without names
_LONGEST = 24  # characters of a name


@dataclass(frozen=True)
class Tick:
    """A name beside a row or above a column: the middle of that row or column, in pixels."""

    at: float
    name: str


@dataclass(frozen=True)
class Number:
    """The number of videos in a cell, and its middle, in pixels."""

    x: float
    y: float
    videos: int
    level: int


@dataclass(frozen=True)
class MatrixDrawing:
    """A confusion matrix to be drawn.

    Attributes:
        side: of a cell, in pixels.
        left, top: room for the names, in pixels.
        rows, columns: how many.
        font: of the names, in pixels.
        paths: for each of `LEVELS` that has any, (its number from 1, an SVG path of its cells), in units of cells.
        row_names, column_names: empty where there are too many.
        numbers: empty where there are too many.
    """

    side: float
    left: float
    top: float
    rows: int
    columns: int
    font: float
    paths: tuple[tuple[int, str], ...]
    row_names: tuple[Tick, ...]
    column_names: tuple[Tick, ...]
    numbers: tuple[Number, ...]

    @property
    def width(self) -> float:
        """In pixels."""
        return self.left + self.columns * self.side + 1

    @property
    def height(self) -> float:
        """In pixels."""
        return self.top + self.rows * self.side + 1


def draw_matrix(found: Confusion, names: Sequence[str]) -> MatrixDrawing:
    """Return the drawing of a confusion matrix; `names` are those of all classes, by label."""
    most = max(len(found.rows), len(found.columns))
    side = next((side for limit, side in _SIDES if most <= limit), _WHOLE / most)
    labelled = most <= _LABELLED
    font = min(13.0, side * 0.95)
    columns = _ticks(found.columns, names, side) if labelled else ()
    rows = _ticks(found.rows, names, side) if labelled else ()
    return MatrixDrawing(
        side=side,
        left=_room(rows, font),
        top=_room(columns, font),
        rows=len(found.rows),
        columns=len(found.columns),
        font=font,
        paths=_paths(found),
        row_names=rows,
        column_names=columns,
        numbers=_numbers(found, side) if len(found.columns) <= _NUMBERED else (),
    )


def level(share: float) -> int:
    """Return which of `LEVELS`, from 1, a share above 0 belongs to."""
    return next(number for number, bound in enumerate(LEVELS, start=1) if share <= bound + 1e-9)


def _places(found: Confusion) -> dict[Cell, tuple[int, int]]:
    """Return the column and row of each cell."""
    row = {label: place for place, label in enumerate(found.rows)}
    column = {label: place for place, label in enumerate(found.columns)}
    return {cell: (column[cell.predicted], row[cell.true]) for cell in found.cells}


def _paths(found: Confusion) -> tuple[tuple[int, str], ...]:
    squares = defaultdict(list)
    for cell, (x, y) in _places(found).items():
        squares[level(cell.videos / found.videos[cell.true])].append(f"M{x} {y}h1v1h-1z")
    return tuple((number, "".join(paths)) for number, paths in sorted(squares.items()))


def _numbers(found: Confusion, side: float) -> tuple[Number, ...]:
    return tuple(
        Number((x + 0.5) * side, (y + 0.5) * side, cell.videos, level(cell.videos / found.videos[cell.true]))
        for cell, (x, y) in _places(found).items()
    )


def _ticks(labels: Sequence[int], names: Sequence[str], side: float) -> tuple[Tick, ...]:
    return tuple(Tick((place + 0.5) * side, _short(names[label])) for place, label in enumerate(labels))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _room(ticks: Sequence[Tick], font: float) -> float:
    """Return pixels that hold the longest name: about 0.6 of the font's size for a character."""
    return max((len(tick.name) for tick in ticks), default=0) * font * 0.6 + 8
