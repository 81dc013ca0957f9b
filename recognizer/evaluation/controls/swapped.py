"""Permutation test of texts: the descriptors of each class are given to another class, as whole lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from math import factorial
from typing import TYPE_CHECKING, Any

from db.progress import Progress
from recognizer.scoring.ensemble import Ensemble, kind_order

if TYPE_CHECKING:
    from torch import Tensor

    Score = Callable[[Ensemble], Tensor]  # to scores [v, C]
    ScoreVideos = Callable[[slice, Ensemble], Tensor]  # (videos, ensemble) -> scores [v, C] of those videos

_ROUNDING = 1e-6  # of a mean margin, in the units of cosines
_MAX_FLOATS = 2**27  # of the scores of each class with each list, 512 MB; more videos are scored in several parts


@dataclass(frozen=True)
class Permuted:
    """V videos scored with N assignments of lists to C classes; a row for each assignment.

    The margin of a video is the score of its true class minus the best other score; a video is right if it is above 0.

    Attributes:
        hits: bool [N, V], whether a video is right.
        margin: float64 [N], mean over the videos.
        exact: whether these are all C! assignments, the true one among them; else they are drawn at random.
    """

    hits: Tensor
    margin: Tensor
    exact: bool

    def p(self, hits: Tensor, margin: float) -> float:
        """Return how likely an assignment drawn at random is at least as good as one with these hits [V] and margin.

        Assignments with equal numbers of right videos are compared by their margins; those that differ by rounding are
        equal, so that the true one is as good as itself. With N random ones, the true one counts as one more: p is at
        least 1 / (N + 1), and exact for any N (Phipson and Smyth, 2010).
        """
        right, own = self.hits.sum(dim=1), hits.sum()
        as_good = int(((right > own) | ((right == own) & (self.margin >= margin - _ROUNDING))).sum())
        return as_good / len(right) if self.exact else (as_good + 1) / (len(right) + 1)


def swap(ensemble: Ensemble, lists: Tensor, moved: Tensor) -> Ensemble:
    """Return the ensemble in which class c has the moved texts of class `lists[c]` in place of its own.

    Args:
        ensemble: texts of C classes.
        lists: int64 [C].
        moved: bool [C, K], the texts that change places; the others stay with their class.
    """
    import torch

    stay = replace(ensemble, present=ensemble.present & ~moved)
    come = replace(ensemble, present=ensemble.present & moved).select(lists)
    both = {name: torch.cat([getattr(stay, name), getattr(come, name)], dim=1) for name in _EMPTY}
    present = both["present"]  # [C, 2 K]
    kinds = sorted(ensemble.kinds, key=kind_order)
    rank = torch.tensor([*(kinds.index(kind) for kind in ensemble.kinds), -1])[both["kind"]]  # of the label: -1
    slots = rank * moved.shape[1] + torch.arange(moved.shape[1]).repeat(2)  # a kind's texts are all of one class
    order = slots.masked_fill(~present, torch.iinfo(torch.int64).max).argsort(dim=1, stable=True)
    cells = torch.arange(len(lists))[:, None], order[:, : int(present.sum(dim=1).max())]
    gone = ~present[cells]
    tensors: dict[str, Any] = {name: both[name][cells] for name in _EMPTY}
    for name, empty in _EMPTY.items():
        tensors[name][gone] = empty
    return replace(ensemble, **tensors)


_EMPTY = {"texts": 0, "present": False, "kind": -1, "position": -1, "ids": -1}  # of a cell without a text


def assignments(classes: int, count: int, seed: int) -> tuple[Tensor, bool]:
    """Return assignments of lists to classes, int64 [N, C], and whether they are all C! there are.

    All of them if they are at most `count`, else `count` drawn at random, each with the same chance.
    """
    import torch

    if classes <= 12 and factorial(classes) <= count:  # 13! is beyond any count
        return torch.tensor(list(permutations(range(classes)))), True
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(classes, generator=generator) for _ in range(count)]), False


def permute(
    score: ScoreVideos,
    ensemble: Ensemble,
    moved: Tensor,
    labels: Tensor,
    *,
    count: int,
    seed: int,
    apart: bool = True,
    max_floats: int = _MAX_FLOATS,
    on_progress: Progress = lambda done, total: None,
) -> Permuted:
    """Score videos with the lists of classes in other orders.

    Args:
        score: of some of the videos.
        ensemble: texts of C classes, 2 or more.
        moved: as in `swap`.
        labels: int64 [V].
        count: of assignments; see `assignments`.
        seed: of the random ones.
        apart: whether the scores of a class depend only on its own texts (`Method.classes_apart`).
        max_floats: size of the largest intermediate tensor; more videos are scored in several parts.
        on_progress: called with (scorings done, in all).
    """
    import torch

    videos = len(labels)
    orders, exact = assignments(len(ensemble.present), count, seed)
    step = max(1, max_floats // len(ensemble.present) ** 2)
    parts = [slice(start, min(start + step, videos)) for start in range(0, videos, step)]
    hits, margin = torch.zeros(len(orders), videos, dtype=torch.bool), torch.zeros(len(orders), dtype=torch.float64)
    for number, part in enumerate(parts):

        def advance(done: int, total: int, number: int = number) -> None:
            on_progress(number * total + done, len(parts) * total)

        scored = (_apart if apart else _together)(partial(score, part), ensemble, moved, orders, advance)
        for row, columns in enumerate(scored):
            margins = margins_of(columns, labels[part])
            hits[row, part] = margins > 0
            margin[row] += margins.double().sum() / videos
    return Permuted(hits, margin, exact)


def _apart(score: Score, ensemble: Ensemble, moved: Tensor, orders: Tensor, on_progress: Progress) -> Iterator[Tensor]:
    """Yield the scores [C, v] of each order, where the score of a class depends on its own texts alone.

    Each class is scored once with each list: C scorings, in which class c has list c + shift. An order picks C of these
    C * C columns, which takes the same time for every method.
    """
    import torch

    every, pairs = torch.arange(len(ensemble.present)), None
    for shift in every.tolist():
        lists = every.roll(-shift)
        scored = score(swap(ensemble, lists, moved)).T  # [C, v]
        pairs = scored.new_empty(len(every), *scored.shape) if pairs is None else pairs  # [class, list, v]
        pairs[every, lists] = scored
        on_progress(shift + 1, len(every))
    for order in orders:
        yield pairs[every, order]  # type: ignore[index]


def _together(
    score: Score, ensemble: Ensemble, moved: Tensor, orders: Tensor, on_progress: Progress
) -> Iterator[Tensor]:
    """Yield the scores [C, v] of each order, a scoring each."""
    for number, order in enumerate(orders, start=1):
        yield score(swap(ensemble, order, moved)).T.clone()
        on_progress(number, len(orders))


def margins_of(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the score of the true class minus the best other one, [V], of scores [C, V], which are overwritten."""
    import torch

    true = scores.gather(0, labels[None]).squeeze(0)
    return true - scores.scatter_(0, labels[None], -torch.inf).amax(dim=0)
