"""What a folder of videos holds, found in one pass, and what the official lists beside them say.

Reads names only; a video is opened in frames.py.
"""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from db.errors import UserError
from db.records import Dataset

VIDEO_SUFFIXES = frozenset((".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"))
IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))
_SYSTEM_FILES = frozenset(("desktop.ini", "thumbs.db"))
_UCF101_TEST = re.compile(r"testlist0([123])\.txt")
_HMDB51_SPLIT = re.compile(r"(.+)_test_split([123])\.txt")
_LIST = re.compile(r"(test|train)list0[123]\.txt|classInd\.txt|.+_test_split[123]\.txt|.+\.csv")
_LIST_DEPTH = 3  # folders between the root and a list
_ANNOTATION = {"label", "youtube_id", "time_start", "time_end"}

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
    ignored: Mapping[str, int]  # reason -> files passed over

    def path(self, clip: Clip) -> Path:
        return self.root / clip.id


class Annotation(NamedTuple):
    """One row of a Kinetics list."""

    class_name: str
    id: str  # <youtube id>_<start>_<end>, seconds in six digits: the official file stem
    youtube_id: str
    subset: str  # the list's own word: "train", "val", "validate", "test"; "" without that column


def stem(name: str) -> str:
    """Return a video's name without its suffix; a dot in a frame folder's name is no suffix."""
    kept = name.rpartition(".")[0] if suffix(name) in VIDEO_SUFFIXES else name
    return unicodedata.normalize("NFC", kept)  # macOS stores names decomposed


def suffix(name: str) -> str:
    """Return ".avi" of "a.AVI"; pathlib's takes ten times as long, which 600 000 names feel."""
    base, dot, end = name.rpartition(".")
    return dot + end.lower() if base else ""


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
    ignored: Counter[str] = Counter()
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
        ignored += _passed_over(names)
    return Tree(root=root, clips=tuple(sorted(clips)), lists=tuple(sorted(lists)), ignored=ignored)


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


def _passed_over(names: Mapping[str, Sequence[str]]) -> Counter[str]:
    images = 0 if _holds_frames(names) else len(names.get("image", ()))
    counts = {HIDDEN: len(names.get("hidden", ())), NOT_A_VIDEO: len(names.get("other", ())) + images}
    return Counter({reason: count for reason, count in counts.items() if count})


def ucf101_tests(lists: Iterable[Path]) -> dict[int, list[str]]:
    """Read testlist01.txt to testlist03.txt: split -> `<Class>/<file>.avi`."""
    tests: dict[int, list[str]] = {}
    for path in lists:
        if match := _UCF101_TEST.fullmatch(path.name):
            tests.setdefault(int(match[1]), [line.split()[0] for line in _lines(path)])
    return tests


def hmdb51_tests(lists: Iterable[Path]) -> dict[int, list[str]]:
    """Read `<class>_test_split<N>.txt`: split -> `<class>/<file>.avi` of the videos marked 2, test."""
    tests: dict[int, list[str]] = {}
    for path in lists:
        if match := _HMDB51_SPLIT.fullmatch(path.name):
            rows = (line.rsplit(maxsplit=1) for line in _lines(path))
            found = tests.setdefault(int(match[2]), [])
            found += [f"{match[1]}/{row[0]}" for row in rows if row[1:] == ["2"]]
    return tests


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="surrogateescape")  # as the file system's own names
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header; a byte order mark and missing cells are no matter."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True)
            return [{key: str(cell).strip() for key, cell in row.items() if key} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8: {error}") from error


def kinetics_annotations(path: Path) -> list[Annotation]:
    """Read a Kinetics list; [] for a CSV file with other columns."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        columns = {column.strip() for column in file.readline().split(",")}
    return [_annotation(row, path) for row in read_table(path)] if columns >= _ANNOTATION else []


def _annotation(row: Mapping[str, str], path: Path) -> Annotation:
    try:
        start, end = int(float(row["time_start"])), int(float(row["time_end"]))
    except ValueError as error:
        raise UserError(f"{path}: times of {row['youtube_id']!r} are no seconds: {error}") from error
    file_stem = f"{row['youtube_id']}_{start:06d}_{end:06d}"
    return Annotation(row["label"], file_stem, row["youtube_id"], row.get("split", ""))
