"""Manifests: CSV files that name the videos of a dataset and their classes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

from db.errors import UserError, first_few
from db.given_files import read_text
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.datasets.records import TRAINING, Video, VideoList, printable
from recognizer.datasets.scan import SkipReason

_PARTS = {  # --split -> what the column split may say for it, in either case
    "all": frozenset(("1", "2", "3")),
    "val": frozenset(("val", "valid", "validation", "dev")),
    "test": frozenset(("test", "testing")),
}


def read_manifest(dataset: Dataset, path: Path, *, split: str | None = None) -> VideoList:
    """Read a CSV file with the columns path (relative to the file's folder) and label; if it likes dataset and split.

    Args:
        dataset: gives the labels; rows of another one are skipped.
        path: of the CSV file.
        split: `1`, `2` or `3`: the rows of that split; `all`: those of all three; `val` or `test`: those of that part;
            None: every row, but those of the training part if there are others.

    Raises:
        UserError: a column is missing, there are no rows or none of the dataset, a label is not a class of it, a video
            has two labels, or no row is of the split.
    """
    rows = read_table(path)
    if not rows or not {"path", "label"} <= rows[0].keys():
        columns = ", ".join(rows[0]) if rows else "no rows"
        raise UserError(f"{path} needs the columns path and label and at least one row; it has: {columns}.")
    names = {dataset.name, dataset.stored_as, ""}
    own = [row for row in rows if row.get("dataset", "") in names]
    if not own:
        raise UserError(_of_others(dataset, path, rows))
    find_class = class_finder(dataset)
    unknown = sorted({row["label"] for row in own if not find_class(row["label"])})
    if unknown and dataset.stored_as == dataset.name:
        shown = first_few(list(map(repr, unknown)))
        raise UserError(f"{path}: {len(unknown)} labels are not classes of {dataset.name}: {shown}. Correct them.")
    chosen = _of_split(own, path, split) if split else _without_training(own)
    reason = SkipReason.NOT_IN_SPLIT if split else SkipReason.IN_TRAINING
    skipped = Counter({SkipReason.OTHER_DATASET: len(rows) - len(own), reason: len(own) - len(chosen)})
    videos = dict[str, Video]()
    for row in chosen:
        if action := find_class(row["label"]):
            video = _video(row, path, action.label)
            before = videos.get(row["path"], video)
            if before.label != video.label:
                two = " and ".join(dataset.actions[label].name for label in (before.label, video.label))
                raise UserError(f"{path}: {row['path']} has two labels, {two}. Keep one of them.")
            if row.get("split", "") in _PARTS["all"] and split:
                video = replace(video, splits=tuple(sorted({*before.splits, int(row["split"])})))
            videos[row["path"]] = video
        else:
            skipped[SkipReason.NOT_IN_DATASET] += 1
    layout = f"manifest {path.name}" + (f", split {split}" if split else "")
    return VideoList.build(layout, videos.values(), (), skipped_rows=+skipped, labels_by="manifest")


def _of_split(rows: list[dict[str, str]], path: Path, split: str) -> list[dict[str, str]]:
    """Return the rows of a split.

    Raises:
        UserError: there are none; the message gives the values of the column.
    """
    part = _PARTS.get(split, {split})
    if chosen := [row for row in rows if row.get("split", "").lower() in part]:
        return chosen
    values = sorted({row["split"] for row in rows if row.get("split")})
    found = f"it holds {first_few(values)}" if values else "there is no such column, or it is empty"
    names = " or ".join(sorted(part))
    raise UserError(f"{path} has no row with {names} in the column split: {found}. Choose another, or no --split.")


def _of_others(dataset: Dataset, path: Path, rows: list[dict[str, str]]) -> str:
    others = sorted({row["dataset"] for row in rows})
    return (
        f"{path} has no row of {dataset.name}: its column dataset holds {first_few(others)}. If {dataset.name} was "
        "renamed, write the new name there, or leave the column out."
    )


def _without_training(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row.get("split", "").lower() not in TRAINING] or rows


def _video(row: dict[str, str], path: Path, label: int) -> Video:
    file = path.parent / row["path"]
    return Video(printable(row["path"]), label, file if file.exists() else None, splits=())


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header, with or without a byte order mark; missing cells are empty."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), restval="", skipinitialspace=True)
        return [{key: str(cell).strip() for key, cell in row.items() if key} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}") from error
