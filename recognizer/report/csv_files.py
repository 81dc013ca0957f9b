"""A run as three CSV files for other programs: its predictions, its classes, its confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from db.errors import UserError
from db.local_paths import public_run
from db.records import Run
from recognizer.datasets.records import NONE_OF_THESE
from recognizer.evaluation.csv_files import write_rows
from recognizer.evaluation.multi_label import refuse_multi_label
from recognizer.evaluation.ranking import predicted
from recognizer.report.confusion import confusion
from recognizer.report.findings import class_accuracies
from recognizer.scoring.metrics import Rate

Rows = list[dict[str, Any]]
_REJECTION = "none_of_these"  # among the results of a run that rejects videos


def write_run(run: Run, folder: Path) -> list[Path]:
    """Write `predictions.csv`, `classes.csv` and `confusion.csv`, and return their paths.

    Every row has the number of the run, its dataset, the name of its root, encoder, protocol and method.

    Args:
        run: with its predictions.
        folder: created if it is missing; files of these names in it are replaced.

    Raises:
        UserError: the folder cannot be created.
    """
    refuse_multi_label(run, "--csv")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot create the folder {folder}: {error.strerror}") from error
    run = public_run(run)
    files = [folder / f"{name}.csv" for name in _TABLES]
    for file, (columns, rows_of) in zip(files, _TABLES.values(), strict=True):
        write_rows(file, (*_ABOUT, *columns), [{**_about(run), **row} for row in rows_of(run)])
    return files


_ABOUT = ("run", "dataset", "root", "encoder", "protocol", "method")


def _about(run: Run) -> dict[str, Any]:
    settings = {name: run.settings.get(name) for name in ("root", "encoder", "protocol", "method")}
    return {"run": run.id, "dataset": run.dataset, **settings}


def _predictions(run: Run) -> Rows:
    """Return a row for each listed video; one that was left out has the reason alone."""
    names = [name for name, _ in run.settings["classes"]]
    evaluated = [
        {
            "video": p.video,
            "true": names[p.label],
            "predicted": names[predicted(p)],
            "score": dict(p.ranking)[predicted(p)],
            "rank": p.rank,
            "label_only_rank": p.label_only_rank,
        }
        for p in run.predictions
    ]
    left_out = [{"video": video, "left_out": reason} for video, reason in run.left_out]
    return [*(_with_verdicts(run, evaluated) if _REJECTION in run.results else evaluated), *left_out]


def _with_verdicts(run: Run, rows: Rows) -> Rows:
    """Return the rows with whether each video was rejected, and rows of the videos of no class."""
    result = run.results[_REJECTION]
    rejected = {*result["rejected"], *result["outside_rejected"]}
    outside = [{"video": video, "true": NONE_OF_THESE} for video in result["outside_videos"]]
    return [{**row, "rejected": "yes" if row["video"] in rejected else "no"} for row in (*rows, *outside)]


def _classes(run: Run) -> Rows:
    """Return a row for each class, in label order; rates are 0 to 1, and empty for a class without videos."""
    by_label = {accuracy.label: accuracy for accuracy in class_accuracies(run)}
    rows = []
    for label, (name, phrase) in enumerate(run.settings["classes"]):
        row: dict[str, Any] = {"label": label, "class": name, "phrase": phrase, "videos": 0}
        if own := by_label.get(label):
            row |= {"videos": own.videos, "right": own.right, "label_only_right": own.label_only_right}
            row |= {**_flat("top1", own.with_descriptors), **_flat("label_only_top1", own.label_only)}
        rows.append(row)
    return rows


def _flat(name: str, rate: Rate) -> dict[str, float]:
    return {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}


def _confusion(run: Run) -> Rows:
    """Return the cells above zero."""
    matrix, names = confusion(run), [name for name, _ in run.settings["classes"]]
    return [
        {
            "true": names[cell.true],
            "predicted": names[cell.predicted],
            "videos": cell.videos,
            "of": matrix.videos[cell.true],
        }
        for cell in matrix.cells
    ]


_RATES = tuple(f"{row}top1{end}" for row in ("", "label_only_") for end in ("", "_low", "_high"))
_TABLES: Mapping[str, tuple[tuple[str, ...], Callable[[Run], Rows]]] = {
    "predictions": (
        ("video", "true", "predicted", "score", "rank", "label_only_rank", "rejected", "left_out"),
        _predictions,
    ),
    "classes": (("label", "class", "phrase", "videos", "right", "label_only_right", *_RATES), _classes),
    "confusion": (("true", "predicted", "videos", "of"), _confusion),
}
