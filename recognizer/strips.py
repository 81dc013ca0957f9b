"""A few frames of a video, as small pictures that stand in a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recognizer.frames import UnreadableVideo, read_frames
from recognizer.pictures import data_uri, small


@dataclass(frozen=True)
class Strip:
    """Frames of a video in order of time.

    Attributes:
        pictures: data URIs.
        width, height: of each, in pixels.
        missing: why there are none; empty where there are.
    """

    pictures: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    missing: str = ""


def strip(path: Path | None, *, frames: int = 5, height: int = 112) -> Strip:
    """Return evenly spread frames of a video; a video that is not there or cannot be read has none, and says why."""
    if path is None:
        return Strip(missing="The video is not there any more.")
    try:
        pixels = read_frames(path, frames).pixels  # [T, H, W, 3]
    except UnreadableVideo as error:
        return Strip(missing=f"The video can no longer be read: {error}")
    shown = [small(frame, height=height) for frame in pixels]
    return Strip(tuple(data_uri(frame, quality=72) for frame in shown), shown[0].shape[1], height)
