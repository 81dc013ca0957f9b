"""The videos of a dataset that were found below a folder, and what was passed over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from db.records import Dataset
from recognizer.datasets.scan import Tree

Split = Literal["1", "2", "3", "all"]
LabelsBy = Literal["lists", "manifest", "folders"]

NOT_IN_SPLIT = "not in the test split"
NOT_IN_LIST = "not in the list"
NOT_IN_DATASET = "class not in the dataset"
NOT_IN_CLASS_FOLDER = "not in a class folder"
IN_TRAINING = "in the training part"
SAME_NAME = "another file of the same name"
OTHER_DATASET = "of another dataset"
TRAINING = frozenset(("train", "training"))


@dataclass(frozen=True)
class Video:
    """One video to classify."""

    id: str  # as the dataset's own list names it, else its path from the root, with "/"
    label: int  # label index in the dataset's vocabulary
    path: Path | None  # a file or a folder of frames; None: listed but not on disk
    splits: tuple[int, ...]  # those of the chosen test splits that list it; () where the layout has none


@dataclass(frozen=True)
class VideoList:
    """The videos of a dataset below a folder, and what there was besides."""

    layout: str  # for people: "UCF101 test split 1, lists in ucfTrainTestlist"
    videos: tuple[Video, ...]  # sorted by id; those not on disk are among them
    ignored: Mapping[str, int]  # reason -> how many files, or rows of a list, were passed over
    passed_over: tuple[tuple[str, str], ...] = ()  # (path from the root, reason) of those that are files
    labels_by: LabelsBy = "lists"  # what says which class a video is of


@dataclass(frozen=True)
class Search:
    """What every layout looks at."""

    dataset: Dataset
    labels: Mapping[str, int]  # see labels_by_name
    tree: Tree
    split: Split | Literal["listed"] | None


def video_list(
    layout: str,
    videos: Iterable[Video],
    passed_over: Iterable[tuple[str, str]],
    *,
    rows: Mapping[str, int] | None = None,
    labels_by: LabelsBy = "lists",
) -> VideoList:
    """Return a list of videos, sorted; `rows` counts what else a list names that is not wanted, by reason."""
    names = tuple(sorted((printable(name), reason) for name, reason in passed_over))
    ignored = Counter(reason for _, reason in names) + Counter(rows or {})
    ordered = tuple(sorted(videos, key=lambda video: video.id))
    return VideoList(layout, ordered, dict(ignored), names, labels_by)


def printable(name: str) -> str:
    """Return a file's name as text that can be stored: bytes that are not UTF-8 are written as \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_part(dataset: Dataset) -> bool:
    """Tell whether a dataset is some of the classes of another, whose videos may lie around too."""
    return dataset.stored_as != dataset.name


def last(folder: str) -> str:
    """Return the name of the innermost folder."""
    return folder.rpartition("/")[2]


def name_of(folder: Path) -> str:
    """Return the name of a folder that may be given as `.`."""
    return folder.resolve().name
