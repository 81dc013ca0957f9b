"""The mean and deviation over several runs: splits or parts of one dataset, or other texts on the same videos."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from db import vocabulary
from db.errors import UserError
from db.records import Run
from recognizer.evaluation.multi_label import refuse_multi_label
from recognizer.scoring.metrics import over_splits

_ABOUT_VIDEOS = frozenset(  # settings that differ between runs on different videos, or change no number
    (
        "root",
        "split",
        "layout",
        "ignored",
        "truncated",
        "classes",
        "statuses",
        "texts_cut",
        "readers",
        "device",
        "versions",
        "none_of_these",  # these three change no accuracy
        "background",
        "threshold",
    )
)
_SPLIT = re.compile(r" test split (\d)")  # in a layout that has the videos of one official split


def means_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Return two or more runs, the mean and deviation of each measure over them, and the settings that differ.

    As in the 3 x 160 protocol of Kinetics-600, whose three parts have different classes.

    Raises:
        UserError: two of them are on different datasets, classes or videos, and not on two parts or splits of one.
    """
    for run in runs:
        refuse_multi_label(run, "a mean over runs")
    for first, second in combinations(runs, 2):
        if difference := _differ(first, second):
            raise UserError(
                f"Run {first.id} and run {second.id} cannot be averaged: {difference}. A mean is over splits or parts "
                "of one dataset, or over runs on the same videos. What they are on: recognize runs"
            )
    names = sorted({name for run in runs for name in run.settings} - _ABOUT_VIDEOS)
    return {
        "runs": [replace(run, predictions=()) for run in runs],
        "over_runs": over_splits([run.results["rows"] for run in runs]),
        "differ": [name for name in names if any(run.settings.get(name) != runs[0].settings.get(name) for run in runs)],
    }


def _differ(first: Run, second: Run) -> str:
    """Return the difference between two runs that makes their mean meaningless; empty if there is none."""
    classes = [{name for name, _ in run.settings["classes"]} for run in (first, second)]
    if first.dataset != second.dataset:
        parts = _whole(first.dataset) == _whole(second.dataset) and classes[0].isdisjoint(classes[1])
        return "" if parts else f"{first.dataset} and {second.dataset} are different datasets"
    if first.settings["classes"] != second.settings["classes"]:
        return f"they have different classes or label texts ({len(classes[0])} and {len(classes[1])} classes)"
    splits = {_SPLIT.search(run.settings["layout"]) for run in (first, second)}
    if None not in splits and len({split[1] for split in splits if split}) > 1:
        return ""
    videos = [{prediction.video for prediction in run.predictions} for run in (first, second)]
    only = [len(videos[0] - videos[1]), len(videos[1] - videos[0])]
    return f"they have {only[0]} and {only[1]} videos that the other has not" if any(only) else ""


def _whole(dataset: str) -> str:
    """Return the dataset that a built-in part belongs to."""
    return vocabulary.load(dataset).stored_as if dataset in vocabulary.BUILT_IN else dataset
