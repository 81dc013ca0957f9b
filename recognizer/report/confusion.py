"""The confusion matrix of a run: its cells, an order that puts confused classes side by side, and its drawing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from db.records import Run
from recognizer.evaluation.html import shortened
from recognizer.evaluation.ranking import predicted


@dataclass(frozen=True)
class Cell:
    """The number of videos of one class that were predicted as one class, the same or another; both are labels."""

    true: int
    predicted: int
    videos: int


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix without its zeros.

    Attributes:
        rows: labels of the classes with videos; classes that are confused with each other are neighbours.
        columns: the same, then the other predicted classes.
        videos: label of a row -> number of its videos.
        cells: those above zero, sorted by true and predicted label.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    videos: Mapping[int, int]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Confused:
    """Videos of one class that were predicted as another class.

    Attributes:
        true: label of the class of the videos.
        predicted: label of the predicted class.
        videos: number of these videos.
        of: number of videos of the true class.
        label_only_right: number of these videos that the labels alone got right.
    """

    true: int
    predicted: int
    videos: int
    of: int
    label_only_right: int


def confusion(run: Run) -> Confusion:
    """Return the confusion matrix of a run with its predictions."""
    counts = Counter((p.label, predicted(p)) for p in run.predictions)
    videos = Counter(p.label for p in run.predictions)
    cells = tuple(Cell(*pair, count) for pair, count in sorted(counts.items()))
    rows = by_likeness(sorted(videos), _likeness(cells, videos))
    others = sorted({cell.predicted for cell in cells} - set(rows))
    return Confusion(tuple(rows), (*rows, *others), dict(videos), cells)


def confused_pairs(run: Run) -> tuple[Confused, ...]:
    """Return all confused pairs, by number of videos, then by their share of the class, largest first."""
    videos = Counter(p.label for p in run.predictions)
    wrong = defaultdict(list)
    for p in run.predictions:
        if p.rank > 1:
            wrong[p.label, predicted(p)].append(p.label_only_rank <= 1)
    pairs = [Confused(*pair, len(right), videos[pair[0]], sum(right)) for pair, right in wrong.items()]
    return tuple(sorted(pairs, key=lambda c: (-c.videos, -c.videos / c.of, c.true, c.predicted)))


def by_likeness(labels: Sequence[int], likeness: Mapping[tuple[int, int], float]) -> list[int]:
    """Order labels so that similar ones are neighbours.

    The most similar pair is joined first, as in single-linkage clustering; two chains are joined at the ends that
    are nearer to the two labels. Chains that are not joined are in the order of their smallest label.
    """
    chains = {label: [label] for label in labels}
    for a, b in sorted(likeness, key=lambda pair: (-likeness[pair], pair)):
        one, other = chains[a], chains[b]
        if one is other:
            continue
        if 2 * one.index(a) < len(one) - 1:
            one.reverse()
        if 2 * other.index(b) > len(other) - 1:
            other.reverse()
        one += other
        chains.update((label, one) for label in other)
    distinct = {id(chain): chain for chain in chains.values()}
    return [label for chain in sorted(distinct.values(), key=min) for label in chain]


def _likeness(cells: Iterable[Cell], videos: Mapping[int, int]) -> dict[tuple[int, int], float]:
    """Return, for pairs (a < b) of classes with videos, the sum of the shares of a predicted as b and of b as a."""
    alike: dict[tuple[int, int], float] = defaultdict(float)
    for cell in cells:
        if cell.true != cell.predicted and cell.predicted in videos:
            alike[min(cell.true, cell.predicted), max(cell.true, cell.predicted)] += cell.videos / videos[cell.true]
    return alike


LEVELS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)  # upper bounds of the shares of a row, one for each colour
_NUMBERED = 16  # with more columns, cells have no numbers
_LABELLED = 130  # with more rows or columns, they have no names
_SIDES = ((12, 40), (30, 24), (60, 15), (_LABELLED, 10))  # (rows or columns up to, side of a cell in pixels)
_WHOLE = 1200  # pixels, side of a matrix without names
_LONGEST = 24  # characters of a name


@dataclass(frozen=True)
class MatrixDrawing:
    """The drawing of a confusion matrix.

    Attributes:
        side: of a cell, in pixels.
        left, top: room for the names, in pixels.
        font: of the names, in pixels.
        paths: for each of `LEVELS` in use, (its number from 1, an SVG path of its cells), in units of cells.
        row_names, column_names: empty if there are too many.
        numbers: (column, row, videos, level) of each cell; empty if there are too many.
    """

    side: float
    left: float
    top: float
    font: float
    paths: tuple[tuple[int, str], ...]
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    numbers: tuple[tuple[int, int, int, int], ...]


def draw_matrix(matrix: Confusion, names: Sequence[str]) -> MatrixDrawing:
    """Return the drawing of a confusion matrix; `names` are those of all classes, by label."""
    most = max(len(matrix.rows), len(matrix.columns))
    side = next((side for limit, side in _SIDES if most <= limit), _WHOLE / most)
    font = min(13.0, side * 0.95)
    row_names, column_names = (
        tuple(shortened(names[label], _LONGEST) for label in labels) if most <= _LABELLED else ()
        for labels in (matrix.rows, matrix.columns)
    )
    numbers, squares = [], defaultdict(list)
    columns, rows = ({label: place for place, label in enumerate(labels)} for labels in (matrix.columns, matrix.rows))
    for cell in matrix.cells:
        x, y = columns[cell.predicted], rows[cell.true]
        shade = level(cell.videos / matrix.videos[cell.true])
        numbers.append((x, y, cell.videos, shade))
        squares[shade].append(f"M{x} {y}h1v1h-1z")
    return MatrixDrawing(
        side=side,
        left=_room(row_names, font),
        top=_room(column_names, font),
        font=font,
        paths=tuple((shade, "".join(paths)) for shade, paths in sorted(squares.items())),
        row_names=row_names,
        column_names=column_names,
        numbers=tuple(numbers) if len(matrix.columns) <= _NUMBERED else (),
    )


def level(share: float) -> int:
    """Return the level of a share above 0: its place in `LEVELS`, from 1."""
    return next(number for number, bound in enumerate(LEVELS, start=1) if share <= bound + 1e-9)


def _room(names: Sequence[str], font: float) -> float:
    """Return pixels that hold the longest name: about 0.6 of the font's size for a character."""
    return max(map(len, names), default=0) * font * 0.6 + 8
