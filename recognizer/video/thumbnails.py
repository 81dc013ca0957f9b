"""Small pictures of the frames of a video, for reports and explanations."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np

from recognizer.video.container import UnreadableVideo, frame_times
from recognizer.video.frames import Pixels, read_frames
from recognizer.video.sampling import Sampling, clip_indices, cut_views

_SHOWN_HEIGHT = 160  # pixels, for a picture about an inch wide


@dataclass(frozen=True)
class Strip:
    """Frames of a video in order of time, for a page.

    Attributes:
        pictures: data URIs.
        width, height: of each, in pixels.
        missing: the reason if there are no pictures, else empty.
    """

    pictures: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    missing: str = ""


@dataclass(frozen=True)
class ShownFrame:
    """One frame that an explanation shows.

    Attributes:
        number: in the video, from 0.
        seconds: after the first frame; None for a folder of frames, or without valid time stamps.
        picture: [H, W, 3], small.
    """

    number: int
    seconds: float | None
    picture: Pixels = field(repr=False)


def thumbnail(pixels: Pixels, *, height: int) -> Pixels:
    """Resize a frame [H, W, 3] to a height; its proportions are kept."""
    from PIL import Image

    size = max(1, pixels.shape[1] * height // pixels.shape[0]), height
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def data_uri(pixels: Pixels, *, quality: int = 80, form: str = "jpeg") -> str:
    """Return a frame [H, W, 3] as a data URI of a JPEG file, or of one in another format of Pillow."""
    return f"data:image/{form};base64,{b64encode(compressed(pixels, quality=quality, form=form)).decode()}"


def compressed(pixels: Pixels, *, quality: int, form: str = "jpeg") -> bytes:
    """Return a frame [H, W, 3] as a file."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, form, quality=quality)
    return file.getvalue()


def side_by_side(pictures: Sequence[Pixels], *, height: int) -> Pixels:
    """Return pictures, all of one size, as one [height, W, 3], from left to right; a page cuts them out again."""
    return np.concatenate([thumbnail(picture, height=height) for picture in pictures], axis=1)


def strip(path: Path | None, *, frames: int = 5, height: int = 112) -> Strip:
    """Return evenly spread frames of a video, or the reason why there are none."""
    if path is None:
        return Strip(missing="The video file no longer exists.")
    try:
        pixels = read_frames(path, frames, allow_truncated=True).pixels  # [T, H, W, 3]
    except UnreadableVideo as error:
        return unreadable_strip(error)
    pictures = [thumbnail(frame, height=height) for frame in pixels]
    return Strip(tuple(data_uri(picture, quality=72) for picture in pictures), pictures[0].shape[1], height)


def unreadable_strip(reason: UnreadableVideo) -> Strip:
    """Return the strip of a video that has no frames for a reason."""
    return Strip(missing=f"The video can no longer be read: {reason}")


def shown_view(sampling: Sampling) -> int:
    """Return the index of the view that is shown: the first clip, and of three crops the middle one."""
    return sampling.crops // 2


def shown_frames(path: Path, sampling: Sampling) -> tuple[ShownFrame, ...]:
    """Return the T frames of the view that is shown, in order of time.

    Raises:
        UnreadableVideo: with a reason.
    """
    frames = read_frames(path, sampling.frames * sampling.clips, allow_truncated=sampling.allow_truncated)
    pixels = cut_views(frames.pixels, sampling)[shown_view(sampling)]  # [T, H, W, 3]
    numbers = [frames.indices[index] for index in clip_indices(sampling.frames, sampling.clips)[0]]
    times = () if path.is_dir() else frame_times(path)
    return tuple(
        ShownFrame(number, times[number] if number < len(times) else None, thumbnail(frame, height=_SHOWN_HEIGHT))
        for number, frame in zip(numbers, pixels, strict=True)
    )


def frame_files(path: Path, frames: int, *, height: int = 96) -> tuple[bytes, ...]:
    """Return evenly spread frames of a video as small JPEG files, in order of time.

    Raises:
        UnreadableVideo: with a reason.
    """
    pixels = read_frames(path, frames, allow_truncated=True).pixels  # [T, H, W, 3]
    return tuple(compressed(thumbnail(frame, height=height), quality=76) for frame in pixels)
