"""Choose frames of a video and read their pixels.

decord is fast, but wrong for files whose time stamps cannot be trusted: in AVI files with packed B-frames (HMDB51) its
random access returns a frame that is off by 1 to 20; in MP4 files that were cut without encoding (an edit list) it
counts frames that are not shown. PyAV decodes such files from the start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recognizer.video.container import (
    UnreadableVideo,
    count_packets,
    decode_all,
    decoded_frames,
    open_container,
    os_errors_as_unreadable,
    tolerated,
)
from recognizer.video.file_types import is_image

__all__ = ["Frames", "Reader", "UnreadableVideo", "every_frame", "frame_indices", "image_names", "read_frames"]

Pixels = NDArray[np.uint8]  # [H, W, 3] RGB, or [T, H, W, 3]
Reader = Literal["decord", "pyav", "images"]

DECODING = 1  # increase it when a change of the code gives other frames or pixels; features are then computed again


@dataclass(frozen=True)
class Frames:
    """The requested frames of one video, in order of time."""

    pixels: Pixels  # [T, H, W, 3] RGB
    indices: tuple[int, ...]  # T frame numbers from 0; a short video repeats some
    total: int  # frames in the whole video
    reader: Reader


def frame_indices(total: int, frames: int) -> list[int]:
    """Return the numbers of the frames at the centres of `frames` equal segments of a video of `total` frames.

    total 10, frames 4:

        frame    0   1   2   3   4   5   6   7   8   9
               |    x    |    x    |    x    |    x    |      [1, 3, 6, 8]

    The same numbers as TEAR's int(tick / 2 + tick * i) with tick = total / frames, without its rounding.
    A video with fewer frames repeats them: total 2, frames 4 is [0, 0, 1, 1].
    """
    if total < 1 or frames < 1:
        raise ValueError(f"total and frames are at least 1, not {total} and {frames}")
    return [(2 * i + 1) * total // (2 * frames) for i in range(frames)]


def read_frames(path: Path, frames: int) -> Frames:
    """Read `frames` evenly spread frames of a video file, or of a folder of images.

    Raises:
        UnreadableVideo: with a reason to count by; no content of the file raises anything else.
    """
    with os_errors_as_unreadable():
        names = image_names(path) if path.is_dir() else []
        total, as_declared = (len(names), False) if names else count_packets(path)
        needed = sorted(set(frame_indices(total, frames)))
        reader: Reader = "images" if names else "decord"
        decoded = {number: _image(path / names[number]) for number in needed} if names else {}
        if as_declared:
            decoded = _with_decord(path, needed, total)
        if not decoded:
            decoded, reader = _with_pyav(path, needed, total), "pyav"
    refuse_sizes({(pixels.shape[1], pixels.shape[0]) for pixels in decoded.values()})
    indices = tuple(min(index, max(decoded)) for index in frame_indices(total, frames))  # the last ones may be missing
    return Frames(np.stack([decoded[index] for index in indices]), indices, total, reader)


def every_frame(path: Path) -> Iterator[Pixels]:
    """Yield each frame of a video file, [H, W, 3] RGB, in the numbering of `read_frames`.

    Raises:
        UnreadableVideo: it cannot be read, or breaks off before its end.
    """
    with os_errors_as_unreadable():
        yield from map(upright_rgb, decode_all(path, count_packets(path)[0]))


def _with_decord(path: Path, needed: Sequence[int], total: int) -> dict[int, Pixels]:
    """Decode only what is needed, from key frame to key frame; {} if decord fails or would be wrong."""
    import_module("torch")  # some builds of the two fail unless torch is imported first
    decord = import_module("decord")
    decord.logging.set_level(decord.logging.QUIET)
    try:
        video = decord.VideoReader(str(path), num_threads=1)
        if can_seek(video, total):
            return dict(zip(needed, video.get_batch(needed).asnumpy(), strict=True))  # uint8 [N, H, W, 3]
    except Exception:  # noqa: S110 - decord raises RuntimeError, AssertionError and an Exception of its own
        pass
    return {}


def can_seek(video: Any, total: int) -> bool:
    """Whether the time stamps that decord seeks by are complete and increasing."""
    starts = video.get_frame_timestamp(range(len(video)))[:, 0]  # seconds
    return bool(len(video) == total and starts[0] >= 0 and (np.diff(starts) > 0).all())


def _with_pyav(path: Path, needed: Sequence[int], total: int) -> dict[int, Pixels]:
    """Decode a file from its start; if it ends before the last needed frame, include its last frame."""
    decoded: dict[int, Pixels] = {}
    keep, number, frame = set(needed), -1, None
    with open_container(path) as container:
        container.streams.video[0].thread_type = "NONE"  # as in decode_all
        for number, frame in enumerate(decoded_frames(container)):
            if number in keep:
                decoded[number] = upright_rgb(frame)
            if number == needed[-1]:
                return decoded
    if frame is None:
        raise UnreadableVideo("damaged", "no frame can be decoded")
    if needed[-1] - number > tolerated(total):
        raise UnreadableVideo("damaged", f"{number + 1} of {total} frames can be decoded")
    return {**decoded, number: upright_rgb(frame)}


def upright_rgb(frame: Any) -> Pixels:
    """Return a decoded frame as [H, W, 3], rotated as its metadata says (phones); decord does so itself."""
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)


def image_names(folder: Path) -> list[str]:
    """Return the names of the images in a folder, in order of the last number in each.

    Raises:
        UnreadableVideo: there are none.
    """
    if names := sorted((entry.name for entry in os.scandir(folder) if is_image(entry.name)), key=_by_number):
        return names
    raise UnreadableVideo("no images")


def _by_number(name: str) -> tuple[int, str]:
    """Return a sort key that puts frame_2 before frame_10."""
    numbers = re.findall(r"\d+", Path(name).stem)
    return (int(numbers[-1]) if numbers else -1, name)


@contextmanager
def opened_image(path: Path) -> Iterator[Any]:
    """Open an image with PIL; raise UnreadableVideo if opening it, or the block that uses it, fails."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableVideo("broken image", f"{path.name}: {error}") from error


def _image(path: Path) -> Pixels:
    with opened_image(path) as image:
        return np.asarray(image.convert("RGB"))


def refuse_sizes(sizes: Collection[tuple[int, int]]) -> None:
    """Refuse frames of several sizes (width, height)."""
    if len(sizes) > 1:
        raise UnreadableVideo("frames differ in size", ", ".join(f"{w}x{h}" for w, h in sorted(sizes)))
