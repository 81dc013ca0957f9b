"""What lies in the folder of an official dataset before anything is fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from db.errors import UserError
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.datasets.class_folders import CLASS_FOLDERS
from recognizer.datasets.records import Download, OfficialDataset, Search, VideoList
from recognizer.datasets.scan import in_words, scan


@dataclass(frozen=True)
class OnDisk:
    """The videos of an official dataset that lie in its folder, whoever put them there."""

    root: Path
    dataset: Dataset
    video_list: VideoList
    lists: tuple[Path, ...]  # the files of official lists

    @property
    def about(self) -> str:
        """What lies there, with everything that is missing or skipped by count."""
        listed = self.video_list.videos
        here = [video for video in listed if video.path]
        classes = {video.label for video in here if video.label >= 0}
        of_classes = f" of {len(classes)} of {len(self.dataset.actions)} classes" if classes else ""
        skipped = in_words(self.video_list.skipped)
        return (
            f"{self.root} holds {len(here)} of {len(listed)} videos{of_classes} ({self.video_list.layout})"
            f"{f'; skipped: {skipped}' if skipped else ''}"
        )

    @property
    def complete(self) -> bool:
        """Whether every video of the official lists is here."""
        return self.video_list.labels_by == "lists" and all(video.path for video in self.video_list.videos)

    def has(self, file: Download) -> bool:
        """Whether what a download brings is here already.

        Videos that somebody else put here are used as they are, though some may be missing: official lists name
        videos that nobody can fetch any more. A download of our own goes on until all of its videos are here.
        """
        if file.brings == "lists":
            return self.video_list.labels_by == "lists"
        archive = self.root / file.to
        begun = archive.parent.is_dir() and any(archive.parent.glob(f"{archive.name}*"))
        return not begun or self.complete


def on_disk(official: OfficialDataset, dataset: Dataset, root: Path) -> OnDisk | None:
    """Return the videos of an official dataset that lie in a folder; None if there are none.

    Raises:
        UserError: there are videos, but they cannot be used as this dataset.
    """
    if not root.is_dir():
        return None
    search = Search(dataset, class_finder(dataset), scan(root, re.compile(official.layout.lists)), "listed")
    layouts = (official.layout,) if official.long_videos else (official.layout, CLASS_FOLDERS)
    try:
        video_list = next((videos for layout in layouts if (videos := layout.find(search))), None)
    except UserError as error:
        if not search.tree.videos:  # lists alone
            return None
        raise UserError(f"{error}\nTo fetch {dataset.name} anew, give an empty folder as --root") from error
    return (
        OnDisk(root, dataset, video_list, search.tree.lists)
        if video_list and any(video.path for video in video_list.videos)
        else None
    )
