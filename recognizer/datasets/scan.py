"""What a folder of videos holds, found in one pass, and how classes are spelled there.

Reads names only; a video is opened in frames.py.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from db.errors import UserError
from db.records import Dataset
from recognizer.video.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES, stem, suffix

_SYSTEM_FILES = frozenset(("desktop.ini", "thumbs.db"))
_LIST = re.compile(r"(test|train)list0[123]\.txt|classInd\.txt|.+_test_split[123]\.txt|.+\.csv")
_LIST_DEPTH = 3  # folders between the root and a list

APPLE_DOUBLE = "AppleDouble file"  # what macOS writes beside a file on a disk of another system
HIDDEN = "hidden file"
NOT_A_VIDEO = "not a video"


class Clip(NamedTuple):
    """A video file, or a folder of frames, by name; nothing of it is read."""

    folder: str  # posix, relative to the root; "" is the root itself
    name: str

    @property
    def id(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def stem(self) -> str:
        return stem(self.name)


@dataclass(frozen=True)
class Tree:
    """All that one pass over a folder found."""

    root: Path
    clips: tuple[Clip, ...]  # sorted
    lists: tuple[Path, ...]  # files that may be official lists, at most three folders down
    passed_over: tuple[tuple[str, str], ...]  # (file from the root, reason)

    def path(self, clip: Clip) -> Path:
        return self.root / clip.id


def spelling(name: str) -> str:
    """Return what `ApplyEyeMakeup`, `apply_eye_makeup` and `Apply eye make-up` have in common."""
    return "".join(letter for letter in unicodedata.normalize("NFC", name).casefold() if letter.isalnum())


def labels_by_name(dataset: Dataset) -> dict[str, int]:
    """Map every way to write a class to its label: its name, then its spelling, then its phrase's.

    A spelling that two classes share (`C++` and `C#`) stands for neither.
    """
    actions = dataset.actions
    labels: dict[str, int] = {}
    for forms in (
        [(action.name, action.label) for action in actions],
        [(spelling(action.name), action.label) for action in actions],
        [(spelling(action.phrase), action.label) for action in actions],
    ):
        shared = Counter(form for form, _ in forms)
        for form, label in forms:
            if form and shared[form] == 1:
                labels.setdefault(form, label)
    return labels


def label_of(name: str, labels: Mapping[str, int]) -> int | None:
    """Look a class up as it is written, else by its spelling."""
    return labels[name] if name in labels else labels.get(spelling(name))


def scan(root: Path) -> Tree:
    """List a folder once, without touching a single file: 600 000 names take seconds, not stats."""
    clips: list[Clip] = []
    lists: list[Path] = []
    passed_over: list[tuple[str, str]] = []
    waiting, seen = [""], set[tuple[int, int]]()
    while waiting:
        folder = waiting.pop()
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in seen:  # a link back to a folder above
            continue
        seen.add((status.st_dev, status.st_ino))
        names = _names_by_kind(root / folder)
        waiting += [f"{folder}/{name}".lstrip("/") for name in names["folder"]]
        clips += _clips(folder, names)
        deep = len(Path(folder).parts) > _LIST_DEPTH
        lists += [] if deep else [root / folder / name for name in names["list"]]
        passed_over += [(f"{folder}/{name}".lstrip("/"), reason) for name, reason in _passed_over(names)]
    return Tree(root, tuple(sorted(clips)), tuple(sorted(lists)), tuple(sorted(passed_over)))


def _names_by_kind(folder: Path) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                names[_kind(entry)].append(entry.name)
    except PermissionError as error:
        raise UserError(f"No permission to list {folder}. Mend it with: chmod u+rx '{folder}'") from error
    return names


def _kind(entry: os.DirEntry[str]) -> str:
    name = entry.name
    if name.startswith("._"):
        return "apple double"
    if name.startswith(".") or name.lower() in _SYSTEM_FILES:
        return "hidden"
    if entry.is_dir():
        return "folder"
    if suffix(name) in VIDEO_SUFFIXES:
        return "video"
    if suffix(name) in IMAGE_SUFFIXES:
        return "image"
    return "list" if _LIST.fullmatch(name) else "other"


def _holds_frames(names: Mapping[str, Sequence[str]]) -> bool:
    """Images alone are the frames of one video; beside videos or folders they are thumbnails."""
    return bool(names.get("image")) and not names.get("video") and not names.get("folder")


def _clips(folder: str, names: Mapping[str, Sequence[str]]) -> list[Clip]:
    if folder and _holds_frames(names):
        above, _, name = folder.rpartition("/")
        return [Clip(above, name)]
    return [Clip(folder, name) for name in names.get("video", ())]


def _passed_over(names: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    images = () if _holds_frames(names) else names.get("image", ())
    yield from ((name, APPLE_DOUBLE) for name in names.get("apple double", ()))
    yield from ((name, HIDDEN) for name in names.get("hidden", ()))
    yield from ((name, NOT_A_VIDEO) for name in (*names.get("other", ()), *images))
