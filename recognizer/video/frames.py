"""Which frames of a video are looked at, and their pixels.

decord is the fast reader, and wrong where it cannot trust the time stamps of a file: in AVI files with
packed B-frames (HMDB51) its random access gives another frame, off by one to off by twenty; in
MP4 files cut without encoding (an edit list) it counts frames that are not shown. PyAV decodes such
files from the start.
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

from recognizer.video.container import UnreadableVideo, count_packets, decoded_frames, open_container, tolerated
from recognizer.video.file_types import IMAGE_SUFFIXES

__all__ = ["Frames", "Reader", "UnreadableVideo", "every_frame", "frame_indices", "image_names", "read_frames"]

Reader = Literal["decord", "pyav", "images"]

DECODING = 1  # counted up when the same file would give other frames or pixels: stored features are then made anew


@dataclass(frozen=True)
class Frames:
    """The frames of one video that were asked for, in order of time."""

    pixels: NDArray[np.uint8]  # [T, H, W, 3] RGB
    indices: tuple[int, ...]  # T frame numbers from 0; a short video repeats some
    total: int  # frames in the whole video
    reader: Reader


def frame_indices(total: int, frames: int) -> list[int]:
    """Return the centre of each of `frames` equal segments of a video of `total` frames.

    total 10, frames 4:

        frame    0   1   2   3   4   5   6   7   8   9
               |    x    |    x    |    x    |    x    |      [1, 3, 6, 8]

    The same numbers as TEAR's int(tick / 2 + tick * i) with tick = total / frames, without its rounding.
    A video with fewer frames than asked for repeats them: total 2, frames 4 is [0, 0, 1, 1].
    """
    if total < 1 or frames < 1:
        raise ValueError(f"total and frames are at least 1, not {total} and {frames}")
    return [(2 * i + 1) * total // (2 * frames) for i in range(frames)]


def read_frames(path: Path, frames: int) -> Frames:
    """Read `frames` evenly spread frames of a video file, or of a folder of images.

    Raises:
        UnreadableVideo: with a reason to count by; nothing else, whatever the file holds.
    """
    try:
        return _from_images(path, frames) if path.is_dir() else _from_file(path, frames)
    except OSError as error:  # missing, no permission, a network drive gone
        raise UnreadableVideo("cannot be opened", error.strerror or str(error)) from error


def every_frame(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield each frame of a video file, [H, W, 3] RGB, as `read_frames` numbers them.

    Raises:
        UnreadableVideo: it cannot be read, or breaks off before its end.
    """
    try:
        total, done = count_packets(path)[0], 0
        with open_container(path) as container:
            container.streams.video[0].thread_type = "NONE"  # as in _pick
            for frame in decoded_frames(container):
                yield upright_rgb(frame)
                done += 1
    except OSError as error:
        raise UnreadableVideo("cannot be opened", error.strerror or str(error)) from error
    if total - done > tolerated(total):
        raise UnreadableVideo("damaged", f"{done} of {total} frames can be decoded")


def _from_file(path: Path, frames: int) -> Frames:
    total, as_declared = count_packets(path)
    found = _with_decord(path, frames, total) if as_declared else None
    return found or _with_pyav(path, frames, total)


def _decord() -> Any:
    import_module("torch")  # the order matters to some builds of the two: torch first
    decord = import_module("decord")
    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _with_decord(path: Path, frames: int, total: int) -> Frames | None:
    """Decode only what is needed, jumping from key frame to key frame; None where decord would err."""
    decord = _decord()
    indices = frame_indices(total, frames)
    wanted = sorted(set(indices))
    try:
        video = decord.VideoReader(str(path), num_threads=1)
        if not _seeks_right(video, total):
            return None
        decoded = video.get_batch(wanted).asnumpy()  # uint8 [N, H, W, 3]
    except Exception:  # it raises RuntimeError, AssertionError and an Exception of its own
        return None
    return _expanded(decoded, wanted, indices, total=total, reader="decord")


def _seeks_right(video: Any, total: int) -> bool:
    """Tell whether decord's own table of time stamps is one it can jump by."""
    starts = video.get_frame_timestamp(range(len(video)))[:, 0]  # seconds
    return bool(len(video) == total and starts[0] >= 0 and (np.diff(starts) > 0).all())


def _with_pyav(path: Path, frames: int, total: int) -> Frames:
    """Decode a file from its start; it never seeks."""
    indices = frame_indices(total, frames)
    kept = _pick(path, set(indices))
    last = max(kept)
    if indices[-1] - last > tolerated(total):
        raise UnreadableVideo("damaged", f"{last + 1} of {total} frames can be decoded")
    shown = [min(index, last) for index in indices]
    wanted = sorted(set(shown))
    return _expanded([kept[index] for index in wanted], wanted, shown, total=total, reader="pyav")


def _pick(path: Path, wanted: set[int]) -> dict[int, NDArray[np.uint8]]:
    """Decode the wanted frames, and the last one of a video that ends before them."""
    kept = {}
    number, frame, last = -1, None, max(wanted)
    with open_container(path) as container:
        container.streams.video[0].thread_type = "NONE"  # the caller reads many videos at once
        for number, frame in enumerate(decoded_frames(container)):
            if number in wanted:
                kept[number] = upright_rgb(frame)
            if number == last:
                return kept
    if frame is None:
        raise UnreadableVideo("damaged", "no frame can be decoded")
    return {**kept, number: upright_rgb(frame)}


def upright_rgb(frame: Any) -> NDArray[np.uint8]:
    """Return [H, W, 3], upright: phones store a rotation beside the pixels (decord applies it itself)."""
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)


def image_names(folder: Path) -> list[str]:
    """Return the names of the images in a folder, in the order of time."""
    return sorted((entry.name for entry in os.scandir(folder) if _is_image(entry.name)), key=_by_number)


def _from_images(folder: Path, frames: int) -> Frames:
    """Read a folder of extracted frames, in order of the last number in their names."""
    names = image_names(folder)
    if not names:
        raise UnreadableVideo("no images")
    indices = frame_indices(len(names), frames)
    wanted = sorted(set(indices))
    decoded = [_image(folder / names[index]) for index in wanted]
    return _expanded(decoded, wanted, indices, total=len(names), reader="images")


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES


def _by_number(name: str) -> tuple[int, str]:
    """Sort frame_2 before frame_10."""
    numbers = re.findall(r"\d+", Path(name).stem)
    return (int(numbers[-1]) if numbers else -1, name)


@contextmanager
def opened_image(path: Path) -> Iterator[Any]:
    """Give a PIL image of which the header is read; say so where it, or what is done with it, fails."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableVideo("broken image", f"{path.name}: {error}") from error


def _image(path: Path) -> NDArray[np.uint8]:
    with opened_image(path) as image:
        return np.asarray(image.convert("RGB"))


def refuse_sizes(sizes: Collection[tuple[int, int]]) -> None:
    """Refuse frames of several sizes (width, height)."""
    if len(sizes) > 1:
        raise UnreadableVideo("frames differ in size", ", ".join(f"{w}x{h}" for w, h in sorted(sizes)))


def _expanded(
    decoded: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    numbers: Sequence[int],
    indices: Sequence[int],
    *,
    total: int,
    reader: Reader,
) -> Frames:
    """Repeat frames as `indices` asks; `decoded` holds each of the sorted `numbers` once."""
    refuse_sizes({(frame.shape[1], frame.shape[0]) for frame in decoded})
    place = {number: row for row, number in enumerate(numbers)}
    pixels = np.stack([decoded[place[index]] for index in indices])  # [T, H, W, 3]
    return Frames(pixels=pixels, indices=tuple(indices), total=total, reader=reader)
