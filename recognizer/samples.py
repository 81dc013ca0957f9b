"""Which videos of a run are worth a look: chosen by a rule, the same each time.

The videos fall into four sorts, by whether the labels alone were right and whether the descriptors were. Of each sort
those come first in which the first class leads the second by most; of every class one video before any has two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from db.records import Prediction, Run

Sort = Literal["won", "lost", "right", "wrong"]
SORTS: dict[Sort, Callable[[Prediction], bool]] = {
    "won": lambda p: p.rank <= 1 < p.label_only_rank,
    "lost": lambda p: p.label_only_rank <= 1 < p.rank,
    "right": lambda p: p.rank <= 1 and p.label_only_rank <= 1,
    "wrong": lambda p: p.rank > 1 and p.label_only_rank > 1,
}


@dataclass(frozen=True)
class Chosen:
    """A video that was chosen: its sort, and how far the first class leads the second, in units of the score."""

    sort: Sort
    lead: float
    prediction: Prediction


def choose_samples(run: Run, *, count: int) -> tuple[Chosen, ...]:
    """Return up to `count` videos of each sort, in the order of `SORTS`."""
    return tuple(
        chosen
        for sort, belongs in SORTS.items()
        for chosen in _spread(Chosen(sort, _lead(p), p) for p in run.predictions if belongs(p))[:count]
    )


def sizes(run: Run) -> dict[Sort, int]:
    """Return how many videos there are of each sort."""
    return {sort: sum(map(belongs, run.predictions)) for sort, belongs in SORTS.items()}


def _spread(found: Iterable[Chosen]) -> list[Chosen]:
    """Return the largest lead first, but each class's first before any class's second."""
    seen = Counter[int]()
    turns = []
    for chosen in sorted(found, key=lambda c: (-c.lead, c.prediction.video)):
        turns.append((seen[chosen.prediction.label], chosen))
        seen[chosen.prediction.label] += 1
    return [chosen for _, chosen in sorted(turns, key=lambda turn: turn[0])]


def _lead(prediction: Prediction) -> float:
    scores = [score for _, score in prediction.ranking[:2]]
    return scores[0] - scores[1] if len(scores) > 1 else 0.0
