"""What a run took for what: the confusion matrix, and the pairs that were confused most."""

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
