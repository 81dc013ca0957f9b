"""Measure methods on worlds: accuracy, and gain over labels alone, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from db.errors import UsageError, unknown
from recognizer.scoring.methods import BASELINE, METHODS, method_of, scores
from recognizer.scoring.methods.means import class_weights
from recognizer.scoring.metrics import Rate, ranks
from recognizer.scoring.transductive import TRANSDUCTIVE, Unlabelled
from recognizer.worlds.named import NamedWorld
from recognizer.worlds.sample import Sample, sample

if TYPE_CHECKING:
    from torch import Tensor

COLUMNS = (*METHODS, *(f"mean+{name}" for name in TRANSDUCTIVE))  # of the map
# Two-sided 95% quantiles of Student's t for 1, 2, ... degrees of freedom.
_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_Z95 = 1.960


@dataclass(frozen=True)
class Cell:
    """One method in one world.

    Attributes:
        top1: mean over seeds of the share of videos whose class is ranked first, with its 95% interval.
        gain: mean over seeds of top1 minus that of labels alone on the same videos, with its 95% interval.
        by_seed: the gain of each seed, -1 to 1.
    """

    top1: Rate
    gain: Rate
    by_seed: tuple[float, ...]

    @property
    def verdict(self) -> str:
        """What the method does in this world.

        `helps` or `hurts` if the interval of the gain excludes zero, else `unclear`; `collapses` if it hurts and less
        than half of the labels' top1 is left.
        """
        if self.gain.low > 0:
            return "helps"
        if self.gain.high >= 0:
            return "unclear"
        return "collapses" if self.top1.value < (self.top1.value - self.gain.value) / 2 else "hurts"


@dataclass(frozen=True)
class WorldMap:
    """Every method in every world.

    Attributes:
        worlds: the rows.
        methods: the columns, some of `COLUMNS`: a method, or one with `+` and a way to score videos together, which is
            measured even where `eval` would refuse it.
        seeds: drawings of each world.
        label_only: top1 of labels alone by world.
        cells: by (world, method).
    """

    worlds: tuple[NamedWorld, ...]
    methods: tuple[str, ...]
    seeds: int
    label_only: Mapping[str, Rate]
    cells: Mapping[tuple[str, str], Cell]

    def for_programs(self) -> list[dict[str, object]]:
        """Return a row for each world and method, as JSON shows it; rates are 0 to 1."""
        return [
            {"world": world.name, "about": world.about, "parameters": world.world, "method": method,
             "seeds": self.seeds, "label_only": self.label_only[world.name], "top1": cell.top1, "gain": cell.gain,
             "verdict": cell.verdict, "gain_by_seed": cell.by_seed}
            for world in self.worlds
            for method in self.methods
            for cell in [self.cells[world.name, method]]
        ]  # fmt: skip


def measure(
    worlds: Sequence[NamedWorld],
    methods: Sequence[str],
    *,
    seeds: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> WorldMap:
    """Return the map of methods and worlds, from the seeds 0, 1, ... of each world.

    Raises:
        UsageError: a method is unknown, or there are fewer than two seeds, which have no interval.
    """
    if seeds < 2:
        raise UsageError(f"An interval over seeds needs at least 2, not {seeds}")
    for method in methods:
        _check(method)
    label_only, cells = {}, {}
    for done, world in enumerate(worlds):
        on_progress(done, len(worlds))
        baseline, by_method = _by_seed(world, methods, seeds)
        label_only[world.name] = over_seeds(baseline)
        for method, top1 in by_method.items():
            gains = [with_texts - alone for with_texts, alone in zip(top1, baseline, strict=True)]
            cells[world.name, method] = Cell(over_seeds(top1), over_seeds(gains), tuple(gains))
    on_progress(len(worlds), len(worlds))
    return WorldMap(tuple(worlds), tuple(methods), seeds, label_only, cells)


def _check(column: str) -> None:
    """Refuse a name that is neither a method nor a method, `+` and a way to score videos together."""
    name, plus, together = column.partition("+")
    method_of(name)
    if plus and together not in TRANSDUCTIVE:
        raise UsageError(unknown("transductive", together, TRANSDUCTIVE))


def _by_seed(world: NamedWorld, methods: Sequence[str], seeds: int) -> tuple[list[float], dict[str, list[float]]]:
    """Return the top1 of each seed, by labels alone and by each method."""
    drawn = [sample(world.world, seed=seed) for seed in range(seeds)]
    by_method = {method: [top1(one, method) for one in drawn] for method in methods}
    return [top1(one, BASELINE) for one in drawn], by_method


def top1(drawn: Sample, method: str) -> float:
    """Return the share of a drawing's videos that a method of `COLUMNS` ranks first; ties count against it."""
    name, _, together = method.partition("+")
    scored = scores(drawn.videos, drawn.ensemble, method=name)
    scored = TRANSDUCTIVE[together].log_predictions(unlabelled(drawn, scored)) if together else scored
    return float((ranks(scored, drawn.labels) == 1).double().mean())


def unlabelled(drawn: Sample, scored: Tensor) -> Unlabelled:
    """Return a drawing with scores [V, C] as transductive methods get it, with a uniform prior."""
    return Unlabelled(
        scores=scored,
        videos=drawn.videos.pooled,
        texts=class_weights(drawn.ensemble),
        prior=None,
        scale=drawn.ensemble.logit_scale,
    )


def over_seeds(values: Sequence[float]) -> Rate:
    """Return the mean of two or more independent values with Student's 95% interval."""
    middle, freedom = fmean(values), len(values) - 1
    # Beyond the table: the first term of the expansion in 1 / freedom (Abramowitz and Stegun, 26.7.5).
    t = _T95[freedom - 1] if freedom <= len(_T95) else _Z95 + (_Z95**3 + _Z95) / (4 * freedom)
    half = t * stdev(values) / len(values) ** 0.5
    return Rate(middle, middle - half, middle + half)
