"""Two runs on the same videos: is one better, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from db.errors import UserError
from db.records import Prediction, Run
from recognizer.scoring.metrics import Rate, wilson

RESAMPLES = 10_000
# what may make two runs differ; the rest of their settings is about the machine, or follows from these
CHOICES = (
    "encoder", "encoder_revision", "protocol", "method", "frames", "pooling", "templates", "condition", "temperature",
    "kinds", "llms", "statuses", "layout", "limit",
)  # fmt: skip


@dataclass(frozen=True)
class Paired:
    """Shares of the same videos that two runs got right.

    Attributes:
        first: of the one run.
        second: of the other.
        difference: second - first, with its 95% bootstrap interval.
        gained: videos that only the second got right.
        lost: videos that only the first did.
        p: of McNemar's exact test, two-sided: how likely so uneven a split of those is where neither is better.
    """

    first: Rate
    second: Rate
    difference: Rate
    gained: int
    lost: int
    p: float


@dataclass(frozen=True)
class ClassChange:
    """One class: its videos in both runs, and how many each of them got right."""

    name: str
    videos: int
    first: int
    second: int


@dataclass(frozen=True)
class VideoChange:
    """A video that one run got right and the other did not: the rank of its class in each."""

    video: str
    name: str
    first: int
    second: int


@dataclass(frozen=True)
class Comparison:
    """What became of the videos that both runs evaluated.

    Attributes:
        dataset: of both.
        first: the run's number, or None.
        second: likewise.
        changed: by name, the choices in which they differ: (first's, second's).
        both: videos in both runs; all else here is about them.
        only_first: videos that only the first run evaluated, and that are left out.
        only_second: likewise.
        top1: whether the true class was ranked first.
        top5: whether it was among the first five.
        classes: those with videos in both, by what share of their videos was won, the largest first.
        videos: those whose top-1 changed, by class and id.
    """

    dataset: str
    first: int | None
    second: int | None
    changed: Mapping[str, tuple[Any, Any]]
    both: int
    only_first: int
    only_second: int
    top1: Paired
    top5: Paired
    classes: tuple[ClassChange, ...]
    videos: tuple[VideoChange, ...]


def compare(first: Run, second: Run, *, seed: int = 0) -> Comparison:
    """Compare two runs with their predictions, video by video; the bootstrap is drawn from `seed`.

    Raises:
        UserError: they are of different datasets or classes, have no predictions, or no video in common.
    """
    _refuse_others(first, second)
    of_first, of_second = ({p.video: p for p in run.predictions} for run in (first, second))
    videos = sorted(of_first.keys() & of_second.keys(), key=lambda video: (of_first[video].label, video))
    if not videos:
        raise UserError(f"Runs {first.id} and {second.id} have no video in common: nothing to compare")
    pairs = [(of_first[video], of_second[video]) for video in videos]
    names = [name for name, _ in first.settings["classes"]]
    return Comparison(
        dataset=first.dataset,
        first=first.id,
        second=second.id,
        changed=_changed(first, second),
        both=len(videos),
        only_first=len(of_first) - len(videos),
        only_second=len(of_second) - len(videos),
        top1=_paired(pairs, within=1, seed=seed),
        top5=_paired(pairs, within=5, seed=seed),
        classes=_classes(pairs, names),
        videos=_videos(pairs, names),
    )


def by_labels_alone(run: Run) -> Run:
    """Return a run as its labels alone ranked the videos."""
    predictions = tuple(replace(p, rank=p.label_only_rank) for p in run.predictions)
    settings = {**run.settings, "kinds": [], "llms": [], "statuses": {}}
    return replace(run, predictions=predictions, settings=settings, descriptor_ids=(), descriptors_sha256="")


def mcnemar(gained: int, lost: int) -> float:
    """Return the two-sided p of McNemar's exact test: a fair coin for each of the pairs that differ (1947).

    In whole numbers: no rounding, whatever their size.
    """
    pairs, fewer = gained + lost, min(gained, lost)
    ways = tail = 1
    for k in range(fewer):
        ways = ways * (pairs - k) // (k + 1)  # pairs over k + 1
        tail += ways
    return min(1.0, 2 * tail / (1 << pairs))


def bootstrap(gained: int, lost: int, videos: int, *, seed: int) -> tuple[float, float]:
    """Return the 95% percentile interval (Efron, 1979) of (gained - lost) / videos, over resamples of the videos.

    A resample is known by how many of its videos were gained, lost, or neither: three counts, multinomial.
    """
    import numpy as np

    shares = [gained / videos, lost / videos, (videos - gained - lost) / videos]
    counts = np.random.default_rng(seed).multinomial(videos, shares, size=RESAMPLES)  # [R, 3]
    low, high = np.percentile((counts[:, 0] - counts[:, 1]) / videos, [2.5, 97.5])
    return float(low), float(high)


def _refuse_others(first: Run, second: Run) -> None:
    if first.dataset != second.dataset:
        raise UserError(
            f"Run {first.id} is on {first.dataset}, run {second.id} on {second.dataset}: only runs on the same dataset "
            "can be compared. They are listed by: recognize runs --dataset NAME"
        )
    if [name for name, _ in first.settings["classes"]] != [name for name, _ in second.settings["classes"]]:
        raise UserError(f"The classes of {first.dataset} changed between run {first.id} and run {second.id}")
    for run in (first, second):
        if not run.predictions:
            raise UserError(f"Run {run.id} has no predictions: nothing to compare")


def _changed(first: Run, second: Run) -> dict[str, tuple[Any, Any]]:
    pairs = {name: (first.settings.get(name), second.settings.get(name)) for name in CHOICES}
    pairs["descriptors"] = (_texts(first), _texts(second))
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _texts(run: Run) -> str:
    """Return how many descriptors a run used, and the beginning of their digest: the same only for the same texts."""
    return f"{len(run.descriptor_ids)} ({run.descriptors_sha256[:8]})" if run.descriptor_ids else "none"


def _paired(pairs: list[tuple[Prediction, Prediction]], *, within: int, seed: int) -> Paired:
    right = Counter((a.rank <= within, b.rank <= within) for a, b in pairs)
    gained, lost, videos = right[False, True], right[True, False], len(pairs)
    low, high = bootstrap(gained, lost, videos, seed=seed)
    return Paired(
        first=wilson(right[True, True] + lost, videos),
        second=wilson(right[True, True] + gained, videos),
        difference=Rate((gained - lost) / videos, low, high),
        gained=gained,
        lost=lost,
        p=mcnemar(gained, lost),
    )


def _classes(pairs: list[tuple[Prediction, Prediction]], names: list[str]) -> tuple[ClassChange, ...]:
    videos = Counter(a.label for a, _ in pairs)
    first = Counter(a.label for a, _ in pairs if a.rank <= 1)
    second = Counter(b.label for _, b in pairs if b.rank <= 1)
    found = [ClassChange(names[label], count, first[label], second[label]) for label, count in videos.items()]
    return tuple(sorted(found, key=lambda c: ((c.first - c.second) / c.videos, c.name)))


def _videos(pairs: list[tuple[Prediction, Prediction]], names: list[str]) -> tuple[VideoChange, ...]:
    return tuple(
        VideoChange(a.video, names[a.label], a.rank, b.rank) for a, b in pairs if (a.rank <= 1) != (b.rank <= 1)
    )
