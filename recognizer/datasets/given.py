"""The videos that a user names: files, folders of videos, folders of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from db.errors import UserError
from recognizer.datasets.official import LIST_NAMES
from recognizer.datasets.scan import SkipReason, in_words, scan, skipped_by_kind
from recognizer.video.file_types import is_image


@dataclass(frozen=True)
class GivenVideos:
    """The videos of the arguments, and the files in their folders that are none."""

    paths: tuple[Path, ...]  # in the order given; those of a folder sorted
    skipped: tuple[tuple[str, SkipReason], ...]  # (path, reason)

    @property
    def note(self) -> str:
        """What was skipped, such as `3 files skipped: 2 not a video (.txt), 1 hidden file`; "" if nothing was."""
        files = "1 file" if len(self.skipped) == 1 else f"{len(self.skipped)} files"
        return f"{files} skipped: {in_words(skipped_by_kind(self.skipped))}" if self.skipped else ""


def videos_at(paths: Sequence[Path]) -> GivenVideos:
    """Return the videos in files and folders, without classes; a file counts as a video whatever its name is.

    Raises:
        UserError: a folder has neither videos nor images.
    """
    found: list[Path] = []
    skipped: list[tuple[str, SkipReason]] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        tree = scan(path, LIST_NAMES)
        videos = [tree.path(entry) for entry in tree.videos]
        if not videos and any(is_image(entry.name) for entry in path.iterdir()):
            videos = [path]
        if not videos:
            others = skipped_by_kind(tree.skipped)
            beside = f" (only: {in_words(others)})" if others else ""
            raise UserError(
                f"{path} holds neither videos nor the frames of one{beside}. Give files, or folders of them"
            )
        found += videos
        skipped += [(str(path / name), reason) for name, reason in tree.skipped]
    return GivenVideos(tuple(found), tuple(skipped))
