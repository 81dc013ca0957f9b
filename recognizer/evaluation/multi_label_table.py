"""The numbers of a run whose videos have several labels, as lines and a table."""

from __future__ import annotations

from collections.abc import Sequence

from db.records import Run
from recognizer.evaluation.html import interval, signed_interval
from recognizer.evaluation.multi_label import is_multi_label
from recognizer.evaluation.ranking import LABEL_ONLY

Numbers = tuple[tuple[str, ...], list[tuple[object, ...]]]
"""A table: its heads, `>` before those of numbers, and its rows."""


def multi_label_lines(run: Run) -> list[str]:
    """Return a line on the classes and videos of a run whose videos have several labels."""
    if not is_multi_label(run):
        return []
    counted = run.results["rows"][LABEL_ONLY]
    none, every = counted["of_no_class"], len(run.settings["classes"])
    return [
        f"several labels a video: mAP is the mean over the {counted['classes']} of {every} classes that have videos"
        + (f"; {none} of the videos are of no class: wrong for each in mAP, not in the other number" if none else "")
    ]


def precisions(run: Run, names: Sequence[str]) -> Numbers:
    """Return the numbers of a run whose videos have several labels, for the rows `names`."""
    rows, gain, keys = run.results["rows"], run.results["gain"], ("map", "top1_in_set")
    body: list[tuple[object, ...]] = [
        (name, rows[name]["videos"], *(interval(rows[name][key]) for key in keys)) for name in names
    ]
    if len(body) > 1:
        body.append(("difference, points", rows[LABEL_ONLY]["videos"], *(signed_interval(gain[key]) for key in keys)))
    return ("texts", ">videos", ">mAP %", ">first class is one of its labels %"), body
