"""Which actions people saw where in long videos: the files of ActivityNet and of THUMOS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from db.errors import UserError
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.localize.mean_ap import Annotation
from recognizer.video.file_types import stem

AMBIGUOUS = "Ambiguous"
_TEXT_FILE = re.compile(r"(?P<label>.+)_(?P<subset>[A-Za-z]+)\.txt")


@dataclass(frozen=True)
class Annotated:
    """What is annotated.

    Attributes:
        source: the file or folder, and the subset, for people.
        videos: by id, as the files name them; without any where a video is known to show none of the actions.
    """

    source: str
    videos: Mapping[str, tuple[Annotation, ...]]

    def id_of(self, path: Path) -> str | None:
        """Return the id that a video file goes by here, None where it is not annotated; ActivityNet's begin with v_."""
        name = stem(path.name)
        return next((known for known in (name, name.removeprefix("v_")) if known in self.videos), None)


class _Row(NamedTuple):
    subset: str
    video: str
    label: str | None  # None: the video is listed, and this is no action in it
    start: float  # seconds
    end: float


def read_annotations(path: Path, dataset: Dataset, *, subset: str | None = None) -> Annotated:
    """Read annotations of the classes of a dataset.

    Args:
        path: a JSON file as ActivityNet's, {"database": {video: {"subset", "annotations": [{"segment", "label"}]}}};
            or files as THUMOS's, `<Class>_<subset>.txt` with lines of video, start and end: their folder, or one.
        dataset: gives the label indices; names are compared without regard to case, spaces and underscores.
        subset: only that part, such as `test`; None is all that there is, if it is one.

    Raises:
        UserError: it is neither, a line or entry is not in that form, a label is no class of the dataset, the subset
            is not there, or there are several and none is chosen.
    """
    rows = list((_json_rows if path.suffix.lower() == ".json" else _text_rows)(path))
    chosen = _subset(path, {row.subset for row in rows}, subset)
    rows = [row for row in rows if row.subset == chosen]
    labels = _labels(path, dataset, {row.label for row in rows if row.label is not None})
    videos: dict[str, list[Annotation]] = {}
    for row in rows:
        of_video = videos.setdefault(row.video, [])
        if row.label is not None:
            of_video.append(Annotation(labels[row.label], row.start, row.end))
    return Annotated(f"{path}, subset {chosen}", {video: tuple(found) for video, found in videos.items()})


def _subset(path: Path, known: set[str], wanted: str | None) -> str:
    listed = ", ".join(sorted(known))
    if not known:
        raise UserError(f"{path} annotates no video")
    if wanted is None and len(known) > 1:
        raise UserError(f"{path} has several subsets: {listed}. Choose one with --subset")
    found = next((name for name in sorted(known) if wanted is None or name.lower() == wanted.lower()), None)
    if found is None:
        raise UserError(f"{path} has no subset {wanted!r}. It has: {listed}")
    return found


def _labels(path: Path, dataset: Dataset, written: set[str]) -> dict[str, int | None]:
    """Map each label as it is written to its index; Ambiguous to None."""
    find = class_finder(dataset)
    labels = {name: action.label if (action := find(name)) else None for name in sorted(written)}
    unknown = [name for name, label in labels.items() if label is None and name != AMBIGUOUS]
    if unknown:
        raise UserError(
            f"{len(unknown)} labels in {path} are no classes of {dataset.name}: {', '.join(unknown)}. "
            "Give the dataset that they are of with --dataset, or a text file of these labels"
        )
    return labels


def _json_rows(path: Path) -> Iterator[_Row]:
    try:
        database = json.loads(path.read_text(encoding="utf-8-sig"))["database"]
        entries = list(database.items())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is not a JSON file with the key database, as ActivityNet's") from error
    for video, entry in entries:
        with _in_form(f"{path}: {video}"):
            rows = _entry_rows(video, entry)
        yield from rows


def _entry_rows(video: str, entry: Mapping[str, Any]) -> list[_Row]:
    subset = str(entry["subset"])
    rows = [_Row(subset, video, None, 0, 0)]
    for action in entry.get("annotations", ()):
        start, end = action["segment"]
        rows.append(_Row(subset, video, str(action["label"]), float(start), float(end)))
    return rows


def _text_rows(path: Path) -> Iterator[_Row]:
    files = sorted(path.glob("[!.]*.txt")) if path.is_dir() else [path]
    named = [(file, match) for file in files if (match := _TEXT_FILE.fullmatch(file.name))]
    if not named:
        raise UserError(
            f"{path}: annotations are a JSON file as ActivityNet's, or files named <Class>_test.txt as THUMOS's"
        )
    for file, match in named:
        for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
            if line.strip():
                with _in_form(f"{file}, line {number}"):
                    row = _line_row(line.split(), **match.groupdict())
                yield row


def _line_row(words: list[str], *, label: str, subset: str) -> _Row:
    video, start, end = words
    return _Row(subset, video.removesuffix(".mp4"), label, float(start), float(end))


@contextmanager
def _in_form(where: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{where}: an action has a video, a label, a start and an end in seconds") from error
