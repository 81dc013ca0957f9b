"""The classes of a run one by one: how often each was recognised, by its label alone and with its descriptors."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from db.records import Run
from recognizer.scoring.metrics import Rate, wilson


@dataclass(frozen=True)
class ClassAccuracy:
    """One class that has videos in a run.

    Attributes:
        label: its index.
        name: the dataset's.
        phrase: its label as a text, as the run worded it.
        videos: evaluated.
        label_only_right: how many of them the label alone ranked first.
        right: how many its label and descriptors did.
        label_only: that share, with its 95% interval (Wilson).
        with_descriptors: likewise.
        difference: with descriptors less by label alone, a share.
    """

    label: int
    name: str
    phrase: str
    videos: int
    label_only_right: int
    right: int
    label_only: Rate
    with_descriptors: Rate
    difference: float


def class_accuracies(run: Run) -> tuple[ClassAccuracy, ...]:
    """Return the classes that have videos, those first to which descriptors gave most; then by name."""
    videos = Counter(p.label for p in run.predictions)
    label_only = Counter(p.label for p in run.predictions if p.label_only_rank <= 1)
    right = Counter(p.label for p in run.predictions if p.rank <= 1)
    found = [_class(run, label, count, label_only[label], right[label]) for label, count in videos.items()]
    return tuple(sorted(found, key=lambda c: (-c.difference, c.name)))


def classes_without_videos(run: Run) -> tuple[str, ...]:
    """Return the names of the classes of which no video was evaluated, in label order."""
    there = {prediction.label for prediction in run.predictions}
    return tuple(name for label, (name, _) in enumerate(run.settings["classes"]) if label not in there)


def _class(run: Run, label: int, videos: int, label_only: int, right: int) -> ClassAccuracy:
    name, phrase = run.settings["classes"][label]
    rates = wilson(label_only, videos), wilson(right, videos)
    return ClassAccuracy(label, name, phrase, videos, label_only, right, *rates, (right - label_only) / videos)
