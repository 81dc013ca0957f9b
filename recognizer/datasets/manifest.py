"""Manifests: CSV files that name the videos of a dataset and their classes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from db.errors import UserError, first_few
from db.given_files import read_text
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.datasets.records import NO_CLASS, NONE_OF_THESE, TRAINING, Video, VideoList, printable
from recognizer.datasets.scan import SkipReason

_PARTS = {  # --split -> what the column split may say for it, in either case
    "all": frozenset(("1", "2", "3")),
    "val": frozenset(("val", "valid", "validation", "dev")),
    "test": frozenset(("test", "testing")),
}


def read_manifest(dataset: Dataset, path: Path, *, split: str | None = None) -> VideoList:
    """Read a CSV file with the columns path (relative to the file's folder) and label; if it likes dataset and split.

    With a column `labels` in place of `label`, a video has all classes in it, with semicolons between, and those of
    further rows with its path. `(none of these)` marks a video of no class.

    Args:
        dataset: gives the labels; rows of another one are skipped.
        path: of the CSV file.
        split: `1`, `2` or `3`: the rows of that split; `all`: those of all three; `val` or `test`: those of that part;
            None: every row, but those of the training part if there are others.

    Raises:
        UserError: a column is missing, there are no rows or none of the dataset, a label is missing or not a class of
            it, a video has two labels in a column `label`, or no row is of the split.
    """
    rows = read_table(path)
    labels = _LabelReader.of(dataset, path, rows)
    names = {dataset.name, dataset.stored_as, ""}
    own = [row for row in rows if row.get("dataset", "") in names]
    if not own:
        raise UserError(_of_others(dataset, path, rows))
    if dataset.stored_as == dataset.name:
        labels.refuse_unknown(own)
    chosen = _of_split(own, path, split) if split else _without_training(own)
    reason = SkipReason.NOT_IN_SPLIT if split else SkipReason.IN_TRAINING
    skipped = Counter({SkipReason.OTHER_DATASET: len(rows) - len(own), reason: len(own) - len(chosen)})
    videos = dict[str, Video]()
    for row in chosen:
        if indices := labels.read(row):
            numbered = bool(split) and row.get("split", "") in _PARTS["all"]
            video = _video(row, path, indices, (int(row["split"]),) if numbered else ())
            videos[row["path"]] = labels.joined(videos.get(row["path"], video), video)
        else:
            skipped[SkipReason.NOT_IN_DATASET] += 1
    layout = f"manifest {path.name}" + (f", split {split}" if split else "")
    every = [replace(v, labels=v.labels if labels.several and v.label != NO_CLASS else ()) for v in videos.values()]
    outside = [v for v in every if v.label == NO_CLASS and not labels.several]
    return VideoList.build(
        layout, [v for v in every if v not in outside], (),
        skipped_rows=+skipped, labels_by="manifest", multi_label=labels.several, outside=outside,
    )  # fmt: skip


@dataclass(frozen=True)
class _LabelReader:
    """Reads the labels of rows, one or several a video."""

    dataset: Dataset
    path: Path
    column: str

    @classmethod
    def of(cls, dataset: Dataset, path: Path, rows: list[dict[str, str]]) -> _LabelReader:
        """Return the reader of the column `label` or `labels`.

        Raises:
            UserError: there are no rows, no column `path`, or not exactly one of these two.
        """
        columns = list(rows[0]) if rows else []
        own = [name for name in ("label", "labels") if name in columns]
        if "path" not in columns or not own:
            shown = ", ".join(columns) or "no rows"
            raise UserError(f"{path} needs the columns path and label and at least one row; it has: {shown}.")
        if len(own) > 1:
            raise UserError(
                f"{path} has both columns label (one class a video) and labels (several). Keep one of them."
            )
        return cls(dataset, path, own[0])

    @property
    def several(self) -> bool:
        """Whether a video may have several labels."""
        return self.column == "labels"

    def names(self, row: dict[str, str]) -> list[str]:
        """Return the class names in a row, as they are written."""
        cell = row[self.column]
        parts = cell.split(";") if self.several and not class_finder(self.dataset)(cell) else [cell]
        return [part.strip() for part in parts if part.strip() or not self.several]

    def read(self, row: dict[str, str]) -> tuple[int, ...]:
        """Return the label indices of a row, `NO_CLASS` for the mark of none; empty if it is of other classes alone.

        Raises:
            UserError: it has no label at all, or the mark beside a class.
        """
        names, find = self.names(row), class_finder(self.dataset)
        marked = NONE_OF_THESE in map(str.casefold, names)
        if not names or (marked and len(names) > 1):
            fault = f"{NONE_OF_THESE} beside a class" if names else "no label"
            raise UserError(
                f"{self.path}: {row['path']} has {fault}. Write its classes into the column labels, or "
                f"{NONE_OF_THESE} alone."
            )
        return (NO_CLASS,) if marked else tuple(action.label for name in names if (action := find(name)))

    def refuse_unknown(self, rows: list[dict[str, str]]) -> None:
        """Raise UserError if a label is neither a class of the dataset nor the mark of none."""
        find, names = class_finder(self.dataset), {name for row in rows for name in self.names(row)}
        unknown = sorted(name for name in names if name.casefold() != NONE_OF_THESE and not find(name))
        if unknown:
            raise UserError(
                f"{self.path}: {len(unknown)} labels are not classes of {self.dataset.name}: "
                f"{first_few(list(map(repr, unknown)))}. Correct them. The label of a video of no class is "
                f"{NONE_OF_THESE}"
            )

    def joined(self, before: Video, video: Video) -> Video:
        """Return a video with what an earlier row said about it.

        Raises:
            UserError: the two rows contradict each other.
        """
        every = tuple(sorted({*before.labels, *video.labels}))
        if len(every) > 1 and (not self.several or NO_CLASS in every):
            two = " and ".join(self._name(label) for label in (before.label, video.label))
            instead = "" if self.several else " If videos have several, name the column labels."
            raise UserError(f"{self.path}: {video.id} has two labels, {two}. Keep one of them.{instead}")
        return replace(video, label=every[0], labels=every, splits=tuple(sorted({*before.splits, *video.splits})))

    def _name(self, label: int) -> str:
        return NONE_OF_THESE if label == NO_CLASS else self.dataset.actions[label].name


def _of_split(rows: list[dict[str, str]], path: Path, split: str) -> list[dict[str, str]]:
    """Return the rows of a split.

    Raises:
        UserError: there are none; the message gives the values of the column.
    """
    part = _PARTS.get(split, {split})
    if chosen := [row for row in rows if row.get("split", "").lower() in part]:
        return chosen
    values = sorted({row["split"] for row in rows if row.get("split")})
    content = f"it holds {first_few(values)}" if values else "there is no such column, or it is empty"
    names = " or ".join(sorted(part))
    raise UserError(f"{path} has no row with {names} in the column split: {content}. Choose another, or no --split.")


def _of_others(dataset: Dataset, path: Path, rows: list[dict[str, str]]) -> str:
    others = sorted({row["dataset"] for row in rows})
    return (
        f"{path} has no row of {dataset.name}: its column dataset holds {first_few(others)}. If {dataset.name} was "
        "renamed, write the new name there, or leave the column out."
    )


def _without_training(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row.get("split", "").lower() not in TRAINING] or rows


def _video(row: dict[str, str], path: Path, labels: tuple[int, ...], splits: tuple[int, ...]) -> Video:
    file = path.parent / row["path"]
    return Video(printable(row["path"]), labels[0], file if file.exists() else None, splits, labels)


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header, with or without a byte order mark; missing cells are empty."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), restval="", skipinitialspace=True)
        return [{key: str(cell).strip() for key, cell in row.items() if key} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file in UTF-8: {error}") from error
