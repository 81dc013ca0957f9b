"""Compare two runs on the same videos: whether one is better, and on which classes and videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from db.errors import UserError
from db.records import Prediction, Run
from recognizer.datasets.official import clip_groups
from recognizer.evaluation.multi_label import refuse_multi_label
from recognizer.scoring.intervals import Design, Flags, mcnemar, sign_flip
from recognizer.scoring.metrics import Rate, difference, rate

# settings that can change accuracies; the others describe the machine, or follow from these
CHOICES = (
    "encoder", "encoder_revision", "precision", "protocol", "method", "frames", "pooling", "unit_frames",
    "templates", "label_templates", "names", "condition", "temperature", "kinds", "llms", "statuses", "layout", "limit",
    "allow_truncated",
)  # fmt: skip


@dataclass(frozen=True)
class PairedRates:
    """Accuracies of two runs on the same videos."""

    first: Rate
    second: Rate
    difference: Rate  # second - first


@dataclass(frozen=True)
class Paired(PairedRates):
    """Rates of two runs over the same videos, and the videos that changed."""

    gained: int  # videos that only the second run got right
    lost: int  # videos that only the first run got right
    p: float  # two-sided probability of a difference this large if neither run is better; exact


@dataclass(frozen=True)
class ClassChange:
    """A class: its videos that are in both runs, and how many of them each run got right."""

    name: str
    videos: int
    first: int
    second: int


@dataclass(frozen=True)
class VideoChange:
    """A video that only one run got right, and the rank of its true class in each."""

    video: str
    name: str
    first: int
    second: int


@dataclass(frozen=True)
class Comparison:
    """How two runs differ on the videos that both evaluated; all numbers are about these videos."""

    dataset: str
    first: int | None  # number of the run, if stored
    second: int | None
    changed: Mapping[str, tuple[Any, Any]]  # setting -> (first, second), if they differ
    both: int  # videos in both runs
    groups: int  # of clips cut from one source, over which the intervals are; as many as videos, if none are known
    only_first: int  # videos left out, because only the first run evaluated them
    only_second: int
    top1: Paired
    top5: Paired
    mean_per_class: PairedRates
    classes: tuple[ClassChange, ...]  # those with videos in both, largest gain in accuracy first
    videos: tuple[VideoChange, ...]  # those whose top-1 changed, by class and id


def compare(first: Run, second: Run | None = None) -> Comparison:
    """Compare two runs video by video; without `second`, compare the labels alone of a run with its descriptors.

    Args:
        first: a run with its predictions.
        second: likewise.

    Raises:
        UserError: their datasets or classes differ, or they have no predictions or no video in common.
    """
    for run in (first, *([second] if second else [])):
        refuse_multi_label(run, "recognize compare")
    if second is None:
        first, second = _by_labels_alone(first), first
    _refuse_different_datasets(first, second)
    before, after = ({p.video: p for p in run.predictions} for run in (first, second))
    videos = sorted(before.keys() & after.keys(), key=lambda video: (before[video].label, video))
    if not videos:
        raise UserError(f"Runs {first.id} and {second.id} have no video in common: nothing to compare")
    pairs = [(before[video], after[video]) for video in videos]
    names = [name for name, _ in first.settings["classes"]]
    labels, groups = [a.label for a, _ in pairs], clip_groups(videos)
    design = Design.of(labels, groups)
    changed = (VideoChange(a.video, names[a.label], a.rank, b.rank) for a, b in pairs if (a.rank <= 1) != (b.rank <= 1))
    return Comparison(
        dataset=first.dataset,
        first=first.id,
        second=second.id,
        changed=_changed(first, second),
        both=len(videos),
        groups=design.group_count,
        only_first=len(before) - len(videos),
        only_second=len(after) - len(videos),
        top1=_paired(pairs, design, within=1),
        top5=_paired(pairs, design, within=5),
        mean_per_class=_paired_rates(*_hits(pairs, within=1), Design.of(labels, groups, by_class=True)),
        classes=_classes(pairs, names),
        videos=tuple(changed),
    )


def _by_labels_alone(run: Run) -> Run:
    """Return a run with the ranks by its labels alone."""
    predictions = tuple(replace(p, rank=p.label_only_rank) for p in run.predictions)
    settings = {**run.settings, "kinds": [], "llms": [], "statuses": {}}
    return replace(run, predictions=predictions, settings=settings, descriptor_ids=(), descriptors_sha256="")


def _refuse_different_datasets(first: Run, second: Run) -> None:
    if first.dataset != second.dataset:
        raise UserError(
            f"Run {first.id} is on {first.dataset}, run {second.id} on {second.dataset}: only runs on the same dataset "
            "can be compared. List them with: recognize runs --dataset NAME"
        )
    if [name for name, _ in first.settings["classes"]] != [name for name, _ in second.settings["classes"]]:
        raise UserError(f"The classes of {first.dataset} changed between run {first.id} and run {second.id}")
    for run in (first, second):
        if not run.predictions:
            raise UserError(f"Run {run.id} has no predictions: nothing to compare")


def _changed(first: Run, second: Run) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ; descriptors as their number and the start of their digest."""
    before, after = (
        {name: {"precision": "float32", "names": "off", **run.settings}.get(name) for name in CHOICES}
        | {"descriptors": f"{len(run.descriptor_ids)} ({run.descriptors_sha256[:8]})" if run.descriptor_ids else "none"}
        for run in (first, second)
    )
    return {name: (value, after[name]) for name, value in before.items() if value != after[name]}


def _hits(pairs: list[tuple[Prediction, Prediction]], *, within: int) -> tuple[Flags, Flags]:
    first, second = (np.array([run.rank <= within for run in runs]) for runs in zip(*pairs, strict=True))
    return first, second


def _paired_rates(first: Flags, second: Flags, design: Design) -> PairedRates:
    return PairedRates(rate(first, design), rate(second, design), difference(first, second, design))


def _paired(pairs: list[tuple[Prediction, Prediction]], design: Design, *, within: int) -> Paired:
    return paired(*_hits(pairs, within=within), design)


def paired(first: Flags, second: Flags, design: Design) -> Paired:
    """Return the rates of hits [V] of two runs; p is McNemar's test, or its form for groups of clips."""
    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    changes = np.bincount(design.groups, second.astype(int) - first).astype(int).tolist()
    return Paired(
        **vars(_paired_rates(first, second, design)),
        gained=gained,
        lost=lost,
        p=mcnemar(gained, lost) if design.group_count == len(first) else sign_flip(changes),
    )


def _classes(pairs: list[tuple[Prediction, Prediction]], names: list[str]) -> tuple[ClassChange, ...]:
    videos = Counter(a.label for a, _ in pairs)
    first = Counter(a.label for a, _ in pairs if a.rank <= 1)
    second = Counter(b.label for _, b in pairs if b.rank <= 1)
    changes = [ClassChange(names[label], count, first[label], second[label]) for label, count in videos.items()]
    return tuple(sorted(changes, key=lambda c: ((c.first - c.second) / c.videos, c.name)))
