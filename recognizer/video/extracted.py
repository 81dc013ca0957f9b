"""Folders of frames that `recognize prepare --frames N` made: which frames they hold, and for which N they are right.

Each image carries a comment that says so, and keeps it when the folder is moved or copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from recognizer.video.container import UnreadableVideo, os_errors_as_unreadable
from recognizer.video.frames import Frames, frame_indices, image_names, opened_image, read_frames

_COMMENT = re.compile(rb"recognize prepare --frames (\d+), of a video of (\d+) frames")


@dataclass(frozen=True)
class Extracted:
    """`count` evenly spread frames of a video of `total`."""

    count: int
    total: int

    @classmethod
    def of(cls, folder: Path, frames: int = 1) -> Self | None:
        """Read what a folder holds from one of the images that an evaluation with `frames` opens.

        None if it has all frames of its video, or others made it.
        """
        names = image_names(folder)
        with opened_image(folder / names[frame_indices(len(names), frames)[0]]) as image:
            comment = image.info.get("comment", b"")
        match = _COMMENT.fullmatch(comment) if isinstance(comment, bytes) else None
        return cls(int(match[1]), int(match[2])) if match else None

    @property
    def comment(self) -> bytes:
        """What its images carry."""
        return f"recognize prepare --frames {self.count}, of a video of {self.total} frames".encode()

    @property
    def numbers(self) -> list[int]:
        """The numbers of its frames in the video; a short video has fewer than `count`."""
        return sorted(set(frame_indices(self.total, self.count)))

    def serves(self, frames: int) -> bool:
        """Whether `frames` evenly spread ones of these are the evenly spread frames of the video itself."""
        numbers = self.numbers
        return [numbers[i] for i in frame_indices(len(numbers), frames)] == frame_indices(self.total, frames)


def refuse_other_frames(path: Path, frames: int) -> None:
    """Raise UnreadableVideo if a folder was made for another number of frames, or lacks some since."""
    with os_errors_as_unreadable():
        if not path.is_dir() or not (extracted := Extracted.of(path, frames)):
            return
        here, made = len(image_names(path)), len(extracted.numbers)
        if here != made:
            raise UnreadableVideo("images are missing", f"{here} of the {made} that `recognize prepare` wrote")
        if not extracted.serves(frames):
            raise UnreadableVideo(
                "made for another number of frames",
                f"`recognize prepare` wrote {extracted.count} of {extracted.total}, and {frames} are wanted: evaluate "
                f"with --frames {extracted.count}, or make it again with --frames {frames} or --frames all",
            )


def read_video(path: Path, frames: int, *, allow_truncated: bool = False) -> Frames:
    """Read evenly spread frames as `read_frames`, and refuse a folder that was made for another number of frames."""
    refuse_other_frames(path, frames)
    return read_frames(path, frames, allow_truncated=allow_truncated)
