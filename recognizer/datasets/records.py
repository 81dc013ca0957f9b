"""What all readers of datasets share: videos, lists of videos, layouts, and the records of official datasets."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from db.records import Action, Dataset
from recognizer.datasets.scan import SkipReason, Tree, skipped_by_kind

Split = Literal["1", "2", "3", "all", "val", "test"]  # the last two only in manifests
LabelsBy = Literal["lists", "manifest", "folders"]

NO_CLASS = -1  # label of a video that is of no class of the dataset
NONE_OF_THESE = "(none of these)"  # marks such a video in a manifest, and stands for it in tables
TRAINING = frozenset(("train", "training"))


@dataclass(frozen=True)
class Video:
    """One video to classify."""

    id: str  # as the dataset's own list names it, else its path from the root, with "/"
    label: int  # label index of its class; NO_CLASS if it is of none
    path: Path | None  # a file or a folder of frames; None: listed but not on disk
    splits: tuple[int, ...]  # the chosen test splits that list it; () without official lists
    labels: tuple[int, ...] = ()  # all its classes, in a list with several labels a video; `label` is the first of them

    @property
    def classes(self) -> tuple[int, ...]:
        """The label indices of all its classes; empty if it is of none."""
        return self.labels or ((self.label,) if self.label != NO_CLASS else ())


@dataclass(frozen=True)
class Shard:
    """One part of a list that is dealt like cards, some videos at a time.

    It is every `count`-th deal, from the `number`-th on, counted from 1.
    """

    number: int = 1
    count: int = 1

    def of(self, videos: Sequence[Video], *, at_a_time: int) -> Sequence[Video]:
        """Return the videos of this part; those of all parts are all videos, each once."""
        if self.count == 1:
            return videos
        starts = range((self.number - 1) * at_a_time, len(videos), self.count * at_a_time)
        return [video for start in starts for video in videos[start : start + at_a_time]]


@dataclass(frozen=True)
class VideoList:
    """The videos of a dataset in a folder, and the files and list rows that were skipped."""

    layout: str  # a description: "UCF101 test split 1, lists in ucfTrainTestlist"
    videos: tuple[Video, ...]  # sorted by id; listed videos that are not on disk are among them
    skipped_files: tuple[tuple[str, SkipReason], ...] = ()  # (path from the root, reason), sorted
    skipped_rows: Mapping[SkipReason, int] = field(default_factory=dict)  # reason -> rows of a list
    labels_by: LabelsBy = "lists"  # where the class of each video comes from
    multi_label: bool = False  # whether a video may have several labels (`Video.labels`), or none
    outside: tuple[
        Video, ...
    ] = ()  # listed as of no class of the dataset, where each other video has one; sorted by id

    @classmethod
    def build(
        cls,
        layout: str,
        videos: Iterable[Video],
        skipped_files: Iterable[tuple[str, SkipReason]],
        *,
        skipped_rows: Mapping[SkipReason, int] | None = None,
        labels_by: LabelsBy = "lists",
        multi_label: bool = False,
        outside: Iterable[Video] = (),
    ) -> Self:
        """Return a list that is sorted, with names of skipped files that can be stored."""
        files = sorted((printable(name), reason) for name, reason in skipped_files)
        inside, beyond = (tuple(sorted(part, key=lambda video: video.id)) for part in (videos, outside))
        return cls(layout, inside, tuple(files), skipped_rows or {}, labels_by, multi_label, beyond)

    @property
    def with_outside(self) -> Self:
        """The same list, with the videos of no class among the others."""
        every = sorted((*self.videos, *self.outside), key=lambda video: video.id)
        return replace(self, videos=tuple(every), outside=())

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """The ids of listed videos that are not on disk."""
        return tuple(video.id for video in self.videos if video.path is None)

    @property
    def skipped(self) -> dict[str, int]:
        """How many files and rows were skipped, by reason; of files that are no videos also by suffix."""
        rows = Counter({str(reason): count for reason, count in self.skipped_rows.items()})
        rows += Counter({str(SkipReason.OF_NO_CLASS): len(self.outside)})
        return dict(Counter(skipped_by_kind(self.skipped_files)) + rows)


def printable(name: str) -> str:
    """Return a file's name as text that can be stored: bytes that are not UTF-8 are written as \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Search:
    """What a layout needs to find the videos of a dataset in a folder."""

    dataset: Dataset
    find_class: Callable[[str], Action | None]  # see db.vocabulary.class_finder
    tree: Tree
    split: Split | Literal["listed"] | None

    @property
    def is_part(self) -> bool:
        """Whether the dataset has only some classes of another one, whose other videos may be in the folder too."""
        return self.dataset.stored_as != self.dataset.name

    def label(self, name: str) -> int | None:
        """Return the label index of the class with a name, however it is spelt; None if there is none."""
        action = self.find_class(name)
        return action.label if action else None


@dataclass(frozen=True)
class Layout:
    """One way in which the files of a dataset are arranged."""

    datasets: str  # names of its datasets, as a pattern (fnmatch)
    looked_for: str  # its files, as an error message names them
    find: Callable[[Search], VideoList | None]  # reads it; None: the folder is not in this layout
    lists: str = ""  # regular expression of the names of its list files
    has_splits: bool = False  # whether its lists give test splits


Addresses = Mapping[str, str | None]  # URLs of a file, in order of preference -> the sha256 digest there, if known


@dataclass(frozen=True)
class Download:
    """One file to fetch and unpack; paths are relative to the root of the dataset, with "/"."""

    to: str
    addresses: Addresses
    size: int | None = None  # bytes
    unpack: Literal["archive", "archive of archives", "list of archives", "archive with a password"] | None = None
    into: str = "."
    brings: Literal["lists", "videos"] = "videos"


@dataclass(frozen=True)
class MtebTask:
    """A task of MTEB whose videos are exactly those of a dataset."""

    name: str
    revision: str  # of its copy of the videos
    layout: str  # start of `VideoList.layout` in a run on these videos
    videos: int  # number of videos


@dataclass(frozen=True)
class OfficialDataset:
    """A published dataset: its layout, web page, downloads and MTEB task. Its classes are in db/classes."""

    name: str  # as in db.vocabulary
    title: str
    layout: Layout
    page: str  # the official web page
    about: str
    files: tuple[Download, ...]  # those that an evaluation needs
    mteb: MtebTask | str  # its task in MTEB, or the reason why it has none
    long_videos: bool = False  # with annotated actions: `recognize localize` reads it, no evaluation of clips
    classes_by_file_name: Callable[[str, Dataset], set[int]] = lambda stem, dataset: set()  # stem -> labels
    source_by_file_name: Callable[[str], str | None] = lambda stem: None  # what a clip was cut from, if known
