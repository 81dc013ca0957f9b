"""Annotated actions in long videos: the files of ActivityNet and of THUMOS."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from db import strict_json
from db.errors import UserError, first_few
from db.given_files import read_text
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.localize.mean_ap import AnnotatedAction
from recognizer.video.file_types import stem

AMBIGUOUS = "Ambiguous"
_WHOLE = ""  # subset of the videos of a file without subsets
_TEXT_FILE = re.compile(r"(?P<label>.+)_(?P<subset>[A-Za-z]+)\.txt")


@dataclass(frozen=True)
class Annotations:
    """The annotated actions of videos."""

    source: str  # the file or folder, and the subset, as text
    videos: Mapping[str, tuple[AnnotatedAction, ...]]  # by id; () for a video that is listed without actions

    def id_of(self, path: Path) -> str | None:
        """Return the id of a video file; None if it is not annotated. Either may begin with ActivityNet's `v_`."""
        name = stem(path.name)
        return next((known for known in (name, name.removeprefix("v_"), f"v_{name}") if known in self.videos), None)


class _Row(NamedTuple):
    subset: str
    video: str
    label: str | None  # None: the row lists a video, not an action
    start: float  # seconds
    end: float


def read_annotations(path: Path, dataset: Dataset, *, subset: str | None = None) -> Annotations:
    """Read annotations of the classes of a dataset.

    Args:
        path: a JSON file like ActivityNet's, {"database": {video: {"subset", "annotations": [{"segment", "label"}]}}},
            or like mmaction2's, with the videos at the top and without subsets; or a file like THUMOS's,
            `<Class>_<subset>.txt` with lines of video, start and end, or a folder of them.
        dataset: gives the label indices; names are compared without regard to case, spaces and underscores.
        subset: name of a part, such as `test`; None if there is only one.

    Raises:
        UserError: another format, a line or entry is malformed, a label is not a class of the dataset, the subset
            does not exist, or several subsets and none is chosen.
    """
    rows = list((_json_rows if path.suffix.lower() == ".json" else _text_rows)(path))
    chosen = _subset(path, sorted({row.subset for row in rows}), subset)
    rows = [row for row in rows if row.subset == chosen]
    labels = _labels(path, dataset, {row.label for row in rows if row.label is not None})
    videos: dict[str, list[AnnotatedAction]] = {}
    for row in rows:
        actions = videos.setdefault(row.video, [])
        if row.label is not None:
            actions.append(AnnotatedAction(labels[row.label], row.start, row.end))
    source = str(path) if chosen == _WHOLE else f"{path}, subset {chosen}"
    return Annotations(source, {video: tuple(actions) for video, actions in videos.items()})


def _subset(path: Path, known: Sequence[str], chosen: str | None) -> str:
    if not known:
        raise UserError(f"{path} has no annotated videos")
    if chosen is None and len(known) > 1:
        raise UserError(f"{path} has several subsets: {', '.join(known)}. Choose one with --subset")
    for name in known:
        if chosen is None or name.lower() == chosen.lower():
            return name
    has = "Its videos have no subsets: leave --subset out" if known == [_WHOLE] else f"It has: {', '.join(known)}"
    raise UserError(f"{path} has no subset {chosen!r}. {has}")


def _labels(path: Path, dataset: Dataset, written: set[str]) -> dict[str, int | None]:
    """Return label as written -> label index; Ambiguous -> None."""
    find = class_finder(dataset)
    labels = {name: action.label if (action := find(name)) else None for name in sorted(written)}
    unknown = [name for name, label in labels.items() if label is None and name != AMBIGUOUS]
    if unknown:
        raise UserError(
            f"{len(unknown)} labels in {path} are not classes of {dataset.name}: {first_few(unknown)}. "
            "Give their dataset with --dataset, or a file of these labels"
        )
    return labels


def _json_rows(path: Path) -> Iterator[_Row]:
    videos = _videos(path)
    subsets = {isinstance(entry, dict) and "subset" in entry for entry in videos.values()}
    for video, entry in videos.items():
        with _malformed(f"{path}: {video}"):
            subset = str(entry["subset"]) if True in subsets else _WHOLE
            rows = [_Row(subset, video, None, 0, 0)]
            for action in entry["annotations"]:
                start, end = map(_seconds, action["segment"])
                rows.append(_Row(subset, video, str(action["label"]), start, end))
        yield from rows


def _videos(path: Path) -> dict[str, Any]:
    """Return the entries of a JSON file by video: below the key database, or at the top.

    Raises:
        UserError: it is not JSON, holds a video twice, or its entries are no videos.
    """
    try:
        document = strict_json.loads(read_text(path))
    except strict_json.RepeatedNameError as error:
        raise UserError(f"{path} {error}") from error
    except ValueError as error:
        raise UserError(f"{path} is not a JSON file: {error}") from error
    videos = document.get("database", document) if isinstance(document, dict) else None
    if not isinstance(videos, dict) or (videos is document and not all(isinstance(v, dict) for v in videos.values())):
        raise UserError(
            f"{path} is not a JSON file of annotations, like ActivityNet's (videos below the key database) or "
            "mmaction2's (videos at the top): video -> annotations, each with a label and a segment of seconds"
        )
    return videos


def _text_rows(path: Path) -> Iterator[_Row]:
    files = sorted(path.glob("[!.]*.txt")) if path.is_dir() else [path]
    named = [(file, match) for file in files if (match := _TEXT_FILE.fullmatch(file.name))]
    if not named:
        raise UserError(
            f"{path}: annotations are a JSON file like ActivityNet's, or files named <Class>_test.txt like THUMOS's"
        )
    for file, match in named:
        for number, line in enumerate(_text(file).splitlines(), start=1):
            if line.strip():
                with _malformed(f"{file}, line {number}"):
                    video, start, end = line.split()
                    times = _seconds(start), _seconds(end)
                yield _Row(match["subset"], video.removesuffix(".mp4"), match["label"], *times)


def _text(file: Path) -> str:
    try:
        return read_text(file)
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not a text file in UTF-8 (byte {error.start})") from error


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError(value)
    return seconds


@contextmanager
def _malformed(location: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{location}: an action has a video, a label, a start and an end in seconds") from error
