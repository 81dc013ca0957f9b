"""Which classes are taken for which, as a matrix and drawn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from db.records import Prediction, Run


@dataclass(frozen=True)
class Cell:
    """Videos of one class that were taken for one class (which may be the same); labels."""

    true: int
    predicted: int
    videos: int


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix without its zeros.

    Attributes:
        rows: labels of the classes that have videos; those that are taken for each other stand side by side.
        columns: the same, then the labels of other classes that videos were taken for.
        videos: of each row's class, by label.
        cells: those that are not zero, by true and predicted label.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    videos: Mapping[int, int]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Confused:
    """Two classes of which the one was taken for the other.

    Attributes:
        true: label of the class of the videos.
        predicted: label of the class that they were taken for.
        videos: how many.
        of: videos of the true class.
        label_only_right: how many of these `videos` the labels alone ranked right.
    """

    true: int
    predicted: int
    videos: int
    of: int
    label_only_right: int


def predicted(prediction: Prediction) -> int:
    """Return the label that a video was taken for: the true one only where it had rank 1.

    Ties count against the true class, as in every accuracy, so that the diagonal of a matrix is the top-1.
    """
    if prediction.rank <= 1:
        return prediction.label
    return rival(prediction) if len(prediction.ranking) > 1 else prediction.ranking[0][0]


def rival(prediction: Prediction) -> int:
    """Return the label of the best class that is not the true one, of a ranking of two or more."""
    return next(label for label, _ in prediction.ranking if label != prediction.label)


def confusion(run: Run) -> Confusion:
    """Return the confusion matrix of a run with its predictions."""
    counts = Counter((p.label, predicted(p)) for p in run.predictions)
    videos = Counter(p.label for p in run.predictions)
    cells = tuple(Cell(true, taken, count) for (true, taken), count in sorted(counts.items()))
    rows = by_likeness(sorted(videos), _likeness(cells, videos))
    others = sorted({cell.predicted for cell in cells} - set(rows))
    return Confusion(tuple(rows), (*rows, *others), dict(videos), cells)


def confused_pairs(run: Run) -> tuple[Confused, ...]:
    """Return all pairs that were confused: the most videos first, then the largest share of their class."""
    of = Counter(p.label for p in run.predictions)
    wrong = defaultdict(list)
    for prediction in run.predictions:
        if prediction.rank > 1:
            wrong[prediction.label, predicted(prediction)].append(prediction.label_only_rank <= 1)
    found = [Confused(*pair, len(right), of[pair[0]], sum(right)) for pair, right in wrong.items()]
    return tuple(sorted(found, key=lambda c: (-c.videos, -c.videos / c.of, c.true, c.predicted)))


def by_likeness(labels: Sequence[int], likeness: Mapping[tuple[int, int], float]) -> list[int]:
    """Return labels in an order in which those alike stand side by side.

    The most alike are joined first, as in single-linkage clustering; two chains are joined at those ends to which the
    two labels are nearer. Chains that nothing joins stay in the order of their first label.
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
    """Return for pairs (a < b) of classes with videos which share of the one was taken for the other, both ways."""
    alike: dict[tuple[int, int], float] = defaultdict(float)
    for cell in cells:
        if cell.true != cell.predicted and cell.predicted in videos:
            alike[min(cell.true, cell.predicted), max(cell.true, cell.predicted)] += cell.videos / videos[cell.true]
    return alike


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
