"""The videos that a user names: files, folders of videos, folders of frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from db.errors import UsageError, UserError, first_few
from recognizer.datasets.official import LIST_NAMES
from recognizer.datasets.scan import SkipReason, in_words, scan, skipped_by_kind
from recognizer.video.file_types import is_image

_PATH_AND_REASON = 400  # characters in a message


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
    all_videos: list[Path] = []
    skipped: list[tuple[str, SkipReason]] = []
    for path in paths:
        if not path.is_dir():
            all_videos.append(path)
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
        all_videos += videos
        skipped += [(str(path / name), reason) for name, reason in tree.skipped]
    return GivenVideos(tuple(all_videos), tuple(skipped))


def refuse_unreadable(reasons: Sequence[tuple[str, str | None]]) -> None:
    """Refuse a result without any video.

    Args:
        reasons: each video, and why it could not be read; None if it was read.

    Raises:
        UserError: none was read; the message names the first ones with their reasons.
    """
    if all(reason is not None for _, reason in reasons):
        each = first_few([f"{video}: {reason}" for video, reason in reasons], longest=_PATH_AND_REASON)
        raise UserError(f"None of the videos can be read ({each})")


def refuse_same_names(videos: Sequence[Path]) -> None:
    """Refuse videos with the same file name, where it identifies pictures, predictions and annotations.

    Raises:
        UsageError: some have the same name.
    """
    repeated = [name for name, count in Counter(video.stem for video in videos).items() if count > 1]
    if repeated:
        raise UsageError(f"Several videos are named {', '.join(repeated)}; names must differ. Give each alone")
