"""Choose frames of a video and read their pixels.

decord is the fast reader, but its seeking returns wrong frames in many containers and codecs, although frame counts
agree and time stamps rise. It is used only where a test matrix proves it (`container.can_seek`); PyAV decodes all other
files from the start.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recognizer.video.container import (
    PacketScan,
    UnreadableVideo,
    decode_all,
    decoded_frames,
    open_container,
    os_errors_as_unreadable,
    scan_packets,
    tolerated,
    video_stream,
)
from recognizer.video.file_types import is_image, suffix

__all__ = ["Frames", "Reader", "UnreadableVideo", "every_frame", "frame_indices", "image_names", "read_frames"]

Pixels = NDArray[np.uint8]  # [H, W, 3] RGB, or [T, H, W, 3]
Reader = Literal["decord", "pyav", "images"]

DECODING = 2  # increase it when a change to the code gives other frames or pixels: features are then made anew


@dataclass(frozen=True)
class Frames:
    """The requested frames of one video, in order of time."""

    pixels: Pixels  # [T, H, W, 3] RGB
    indices: tuple[int, ...]  # T frame numbers from 0; a short video repeats some
    total: int  # frames in the whole video
    reader: Reader
    truncated: str = ""  # how much of a file that breaks off is there; `total` is of that part


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


def read_frames(path: Path, frames: int, *, allow_truncated: bool = False) -> Frames:
    """Read `frames` evenly spread frames of a video file, or of a folder of images.

    Args:
        path: a file or folder.
        frames: how many.
        allow_truncated: whether to read what is there of a file that breaks off.

    Raises:
        UnreadableVideo: with a reason to count by; no content of the file raises anything else.
    """
    with os_errors_as_unreadable():
        if path.is_dir():
            return _from_images(path, frames)
        scan = scan_packets(path, allow_truncated=allow_truncated)
        seekable = scan.can_seek and not _is_mirrored(path)
        return (_with_decord(path, frames, scan.frames) if seekable else None) or _with_pyav(path, frames, scan)


def every_frame(path: Path) -> Iterator[Pixels]:
    """Yield each frame of a video file, [H, W, 3] RGB, in the numbering of `read_frames`.

    Raises:
        UnreadableVideo: it cannot be read, or breaks off before its end.
    """
    with os_errors_as_unreadable():
        yield from map(upright_rgb, decode_all(path, scan_packets(path)))


def _frames(decoded: Mapping[int, Pixels], total: int, frames: int, reader: Reader, *, truncated: str = "") -> Frames:
    """Return the frames of a video of `total` frames, of which the wanted ones are decoded."""
    refuse_sizes({(pixels.shape[1], pixels.shape[0]) for pixels in decoded.values()})
    indices = tuple(frame_indices(total, frames))
    return Frames(np.stack([decoded[index] for index in indices]), indices, total, reader, truncated)


def _from_images(folder: Path, frames: int) -> Frames:
    names = image_names(folder)
    wanted = set(frame_indices(len(names), frames))
    return _frames({number: _image(folder / names[number]) for number in wanted}, len(names), frames, "images")


@cache
def _decord() -> Any:
    """Return the module; None, with one warning, if it is not installed or does not load."""
    if "decord" not in sys.modules:  # a worker process has it, and never imports torch
        import_module("torch")  # some builds of the two fail unless torch is imported first
    try:
        decord = import_module("decord")
    except (ImportError, OSError) as error:
        warnings.warn(f"decord cannot be loaded ({error}); PyAV reads all videos, at most 22% slower", stacklevel=2)
        return None
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _with_decord(path: Path, frames: int, total: int) -> Frames | None:
    """Decode only what is needed, from key frame to key frame; None if decord fails or would be wrong."""
    decord, wanted = _decord(), sorted(set(frame_indices(total, frames)))
    try:
        video = decord.VideoReader(str(path.absolute()), num_threads=1)
        if not has_rising_times(video, total):
            return None
        decoded = dict(zip(wanted, video.get_batch(wanted).asnumpy(), strict=True))  # uint8 [N, H, W, 3]
    except Exception:  # decord raises RuntimeError, AssertionError and an Exception of its own; or is not there
        return None
    return _frames(decoded, total, frames, "decord")


def has_rising_times(video: Any, total: int) -> bool:
    """Whether decord's table of time stamps, by which it seeks, is complete and increasing."""
    starts = video.get_frame_timestamp(range(len(video)))[:, 0]  # seconds
    return bool(len(video) == total and starts[0] >= 0 and (np.diff(starts) > 0).all())


def _with_pyav(path: Path, frames: int, scan: PacketScan) -> Frames:
    """Decode a file from its start to its end; its frames are those that can be decoded.

    If these are not as many as its packets promise, other frames are wanted, and it is decoded once more.
    """
    promised, truncated = scan.frames, bool(scan.truncated)
    decoded, total = _decode(path, set(frame_indices(promised, frames)), truncated=truncated)
    if not total:
        raise UnreadableVideo("damaged", "no frame can be decoded")
    if promised - total > tolerated(promised):
        raise UnreadableVideo("damaged", f"{total} of {promised} frames can be decoded")
    if not decoded.keys() >= set(frame_indices(total, frames)):
        decoded, total = _decode(path, set(frame_indices(total, frames)), truncated=truncated)
    return _frames(decoded, total, frames, "pyav", truncated=scan.truncated)


def _decode(path: Path, wanted: set[int], *, truncated: bool) -> tuple[dict[int, Pixels], int]:
    """Return the wanted frames by number, and how many frames can be decoded."""
    decoded: dict[int, Pixels] = {}
    total = 0
    with open_container(path) as container:
        video_stream(container).thread_type = "NONE"  # as in decode_all
        for total, frame in enumerate(decoded_frames(container, truncated=truncated), start=1):
            if total - 1 in wanted:
                decoded[total - 1] = upright_rgb(frame)
    return decoded, total


def upright_rgb(frame: Any) -> Pixels:
    """Return a decoded frame as [H, W, 3], turned and mirrored as its display matrix says (phones)."""
    pixels: Pixels = frame.to_ndarray(format="rgb24")
    a, b, c, d = _display_matrix(frame)
    right, down = (a, d) if a or d else (c, b)
    if not (a or d):
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels[:: 1 if down >= 0 else -1, :: 1 if right >= 0 else -1])


def _display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """Return a, b, c, d: a pixel at (x, y) is shown at (a x + c y, b x + d y), up to scale and shift."""
    from av.sidedata.sidedata import Type

    matrix = next((bytes(data) for data in frame.side_data if data.type == Type.DISPLAYMATRIX), None)
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = np.frombuffer(matrix, "<i4").tolist()
    return a, b, c, d


def _is_mirrored(path: Path) -> bool:
    """Whether a file is shown mirrored, which decord does not do: it applies rotations alone. AVI knows neither."""
    if suffix(path.name) == ".avi":
        return False
    with open_container(path) as container:
        frame = next(decoded_frames(container), None)
        a, b, c, d = _display_matrix(frame) if frame else (0, 0, 0, 0)
        return a * d - b * c <= 0


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
            if getattr(image, "is_animated", False) and image.format in ("WEBP", "PNG", "GIF"):
                raise UnreadableVideo("an animation among the frames", path.name)
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # not about its content
            raise
        raise UnreadableVideo("broken image", f"{path.name}: {error}") from error


def _image(path: Path) -> Pixels:
    with opened_image(path) as image:
        return np.asarray(image.convert("RGB"))


def refuse_sizes(sizes: Collection[tuple[int, int]]) -> None:
    """Refuse frames of several sizes (width, height)."""
    if len(sizes) > 1:
        raise UnreadableVideo("frames differ in size", ", ".join(f"{w}x{h}" for w, h in sorted(sizes)))
