"""Manifests: CSV files that name the videos of a dataset and their classes."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from db.errors import UserError, first_few
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.datasets.records import Video, VideoList, printable
from recognizer.datasets.scan import SkipReason


def read_manifest(dataset: Dataset, path: Path) -> VideoList:
    """Read a CSV file with the columns path (relative to the file's folder) and label, and optionally dataset.

    Raises:
        UserError: a column is missing, there are no rows, or a label is not a class of the dataset.
    """
    rows = read_table(path)
    if not rows or not {"path", "label"} <= rows[0].keys():
        columns = ", ".join(rows[0]) if rows else "no rows"
        raise UserError(f"{path} needs the columns path and label and at least one row; it has: {columns}.")
    names = {dataset.name, dataset.stored_as, ""}
    own = [row for row in rows if row.get("dataset", "") in names]
    find_class = class_finder(dataset)
    unknown = sorted({row["label"] for row in own if not find_class(row["label"])})
    if unknown and dataset.stored_as == dataset.name:
        shown = first_few(list(map(repr, unknown)))
        raise UserError(f"{path}: {len(unknown)} labels are not classes of {dataset.name}: {shown}. Correct them.")
    skipped, videos = Counter({SkipReason.OTHER_DATASET: len(rows) - len(own)}), dict[str, Video]()
    for row in own:
        if action := find_class(row["label"]):
            file = path.parent / row["path"]
            videos[row["path"]] = Video(printable(row["path"]), action.label, file if file.exists() else None, ())
        else:
            skipped[SkipReason.NOT_IN_DATASET] += 1
    return VideoList.build(f"manifest {path.name}", videos.values(), (), skipped_rows=skipped, labels_by="manifest")


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header, with or without a byte order mark; missing cells are empty."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True)
            return [{key: str(cell).strip() for key, cell in row.items() if key} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}") from error
