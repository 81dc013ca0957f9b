"""List the videos and list files in a folder, in one pass over the names; no file is opened."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from db.errors import UserError
from recognizer.video.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES, stem, suffix

_SYSTEM_FILES = frozenset(("desktop.ini", "thumbs.db", ".ds_store"))
_LIST_DEPTH = 3  # folders between the root and a list


class SkipReason(StrEnum):
    """Why a file or a row of a list is not evaluated."""

    APPLE_DOUBLE = "AppleDouble file"  # metadata that macOS writes beside a file on a foreign file system
    SYSTEM = "file of the system"  # desktop.ini, Thumbs.db, .DS_Store: how Windows and macOS show a folder
    HIDDEN = "hidden file"
    NOT_A_VIDEO = "not a video"
    NOT_IN_SPLIT = "not in the test split"
    NOT_IN_LIST = "not in the list"
    NOT_IN_DATASET = "class not in the dataset"
    NOT_IN_CLASS_FOLDER = "not in a class folder"
    IN_TRAINING = "in the training part"
    SAME_NAME = "another file of the same name"
    OTHER_DATASET = "of another dataset"
    OF_NO_CLASS = "of no class of the dataset"
    REPLACED = "replaced by the file of that name in a folder `replacement`"
    REPLACES_NOTHING = "replacement of a video that is not evaluated"


def skipped_by_kind(files: Iterable[tuple[str, SkipReason]]) -> dict[str, int]:
    """Count skipped files (path, reason) by reason; those that are no videos by suffix too, as `not a video (.txt)`."""
    return dict(Counter(_skip_kind(name, reason) for name, reason in files).most_common())


def _skip_kind(name: str, reason: SkipReason) -> str:
    if reason is not SkipReason.NOT_A_VIDEO:
        return str(reason)
    return f"{reason} ({suffix(name.rpartition('/')[2]) or 'no suffix'})"


def in_words(counts: Mapping[str, int]) -> str:
    """Return counts as text: `2 not a video (.txt), 1 hidden file`."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


class VideoEntry(NamedTuple):
    """The name of a video file, or of a folder of frames."""

    folder: str  # relative to the root, with "/"; "" is the root itself
    name: str

    @property
    def id(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def stem(self) -> str:
        return stem(self.name)

    @property
    def parent(self) -> str:
        """The name of the innermost folder; "" in the root."""
        return self.folder.rpartition("/")[2]


@dataclass(frozen=True)
class Tree:
    """The videos, list files and skipped files below a folder."""

    root: Path
    videos: tuple[VideoEntry, ...]  # sorted
    lists: tuple[Path, ...]  # sorted; at most three folders down
    skipped: tuple[tuple[str, SkipReason], ...]  # (file from the root, reason), sorted

    def path(self, video: VideoEntry) -> Path:
        return self.root / video.id


def scan(root: Path, lists: re.Pattern[str]) -> Tree:
    """List a folder; `lists` matches the names of list files. 600 000 names take seconds.

    A folder with images alone is the frames of one video; images beside videos or folders are thumbnails.
    """
    videos, list_files, skipped = list[VideoEntry](), list[Path](), list[tuple[str, SkipReason]]()
    waiting, visited = [""], set[tuple[int, int]]()
    while waiting:
        folder = waiting.pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in visited:  # a link back to a folder above
            continue
        visited.add((status.st_dev, status.st_ino))
        names = _names_by_kind(root / folder, lists)
        if names["image"] and (names["video"] or names["folder"]):
            names[SkipReason.NOT_A_VIDEO] += names["image"]
        elif names["image"] and folder:
            above, _, name = folder.rpartition("/")
            videos.append(VideoEntry(above, name))
        videos += [VideoEntry(folder, name) for name in names["video"]]
        waiting += [VideoEntry(folder, name).id for name in names["folder"]]
        list_files += [root / folder / name for name in names["list"] if len(Path(folder).parts) <= _LIST_DEPTH]
        reasons = (SkipReason.APPLE_DOUBLE, SkipReason.SYSTEM, SkipReason.HIDDEN, SkipReason.NOT_A_VIDEO)
        skipped += [(VideoEntry(folder, name).id, reason) for reason in reasons for name in names[reason]]
    return Tree(root, tuple(sorted(videos)), tuple(sorted(list_files)), tuple(sorted(skipped)))


def _names_by_kind(folder: Path, lists: re.Pattern[str]) -> defaultdict[str, list[str]]:
    names = defaultdict[str, list[str]](list)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names[_kind(entry, lists)].append(entry.name)
    except PermissionError as error:
        raise UserError(f"No permission to list {folder}. Allow it with: chmod u+rx '{folder}'") from error
    return names


def _kind(entry: os.DirEntry[str], lists: re.Pattern[str]) -> str:
    name = entry.name
    if name.startswith("._"):
        return SkipReason.APPLE_DOUBLE
    if name.lower() in _SYSTEM_FILES:
        return SkipReason.SYSTEM
    if name.startswith("."):
        return SkipReason.HIDDEN
    if entry.is_dir():
        return "folder"
    if suffix(name) in VIDEO_SUFFIXES:
        return "video"
    if suffix(name) in IMAGE_SUFFIXES:
        return "image"
    return "list" if lists.fullmatch(name) else SkipReason.NOT_A_VIDEO
