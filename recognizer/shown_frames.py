"""The frames of a video that an explanation shows: their numbers, their times, small pictures of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recognizer.containers import frame_times
from recognizer.frames import read_frames
from recognizer.pictures import small
from recognizer.views import Sampling, clip_places, cut_views

_HEIGHT = 160  # pixels; of a picture that is drawn about an inch wide


@dataclass(frozen=True)
class ShownFrame:
    """One frame that was looked at.

    Attributes:
        number: in the video, from 0.
        seconds: after the first frame; None for a folder of frames, or where the file does not say.
        picture: [H, W, 3], small.
    """

    number: int
    seconds: float | None
    picture: NDArray[np.uint8] = field(repr=False)


def shown_view(sampling: Sampling) -> int:
    """Return the view of a video that is shown: of several clips the first, of three crops the one in the middle."""
    return sampling.crops // 2


def shown_frames(path: Path, sampling: Sampling) -> tuple[ShownFrame, ...]:
    """Return the T frames of the view that is shown, in order of time.

    Raises:
        UnreadableVideo: with a reason.
    """
    read = read_frames(path, sampling.frames * sampling.clips)
    pixels = cut_views(read.pixels, sampling)[shown_view(sampling)]  # [T, H, W, 3]
    numbers = [read.indices[place] for place in clip_places(sampling.frames, sampling.clips)[0]]
    times = () if path.is_dir() else frame_times(path)
    return tuple(
        ShownFrame(number, times[number] if number < len(times) else None, small(frame, height=_HEIGHT))
        for number, frame in zip(numbers, pixels, strict=True)
    )
