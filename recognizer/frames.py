"""Which frames of a video are looked at, and their pixels.

decord is the fast reader, and wrong where it cannot trust the time stamps of a file: in AVI files with
packed B-frames (HMDB51) its random access gives another frame, off by one to off by twenty; in
MP4 files cut without encoding (an edit list) it counts frames that are not shown. PyAV decodes such
files from the start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recognizer.layouts import IMAGE_SUFFIXES

Reader = Literal["decord", "pyav", "images"]


class UnreadableVideo(Exception):  # noqa: N818 (a fact about a file, counted in the report of a run)
    """A video that gives no frames, or not those it should."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason  # short and stable, to count by
        self.detail = detail  # of this one video


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


def _from_file(path: Path, frames: int) -> Frames:
    if path.stat().st_size == 0:
        raise UnreadableVideo("empty file")
    total, as_declared = _count_frames(path)
    found = _with_decord(path, frames, total) if as_declared else None
    return found or _with_pyav(path, frames, total)


def _tolerated(total: int) -> int:
    """Frames that may lack: encoders declare one or two too many (73 for 72 in HMDB51)."""
    return max(2, total // 50)


def open_video(path: Path) -> Any:  # an av.container.InputContainer
    """Open a file with PyAV; texts in it that are not UTF-8 (HMDB51 has them) are replaced."""
    import av

    try:
        return av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise UnreadableVideo(*_why_not(path, error.strerror or "")) from error


def _why_not(path: Path, message: str) -> tuple[str, str]:
    """Tell a download that broke off (the beginnings of MP4, AVI and Matroska) from what never was a video."""
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp" or start[:4] in (b"RIFF", b"\x1aE\xdf\xa3"):
        return "no index", "begins as a video, but was broken off or damaged"
    return "not a video", message


def _count_frames(path: Path) -> tuple[int, bool]:
    """Count the compressed frames to be shown, decoding none: a few milliseconds.

    Also tell whether they are as many as the header declares. decord may only then be asked: it accepts a
    file of which half is missing, counts frames that an edit list hides, and ends the whole process
    (std::bad_alloc) at a header that declares a billion frames.
    """
    with open_video(path) as container:
        if not container.streams.video:
            raise UnreadableVideo("no video stream")
        stream = container.streams.video[0]
        packets = [packet for packet in _packets(container) if packet.size]
        declared, count = stream.frames, len(packets)  # 0: Matroska does not declare
        shown = sum(not packet.is_discard for packet in packets)
        short = declared - count > _tolerated(declared)
        if short and not _cut_by_edit_list(container, packets):
            raise UnreadableVideo("truncated", f"{count} of {declared} frames")
    if not shown:
        raise UnreadableVideo("no frames")
    return shown, shown == count and not short


def _cut_by_edit_list(container: Any, packets: Sequence[Any]) -> bool:
    """Tell a video cut without encoding from one broken off: the cut one lasts as long as it says.

    Only the MP4 family has edit lists; of a truncated AVI file FFmpeg corrects the duration by itself.
    """
    stream = container.streams.video[0]
    if "mp4" not in container.format.name or not packets or not stream.duration:
        return False
    end = max(max(packet.pts or 0, packet.dts or 0) + (packet.duration or 0) for packet in packets)
    lacking = stream.duration - (end - (stream.start_time or 0))  # in units of time_base
    return bool(lacking * stream.frames <= _tolerated(stream.frames) * stream.duration)


def _packets(container: Any) -> Iterator[Any]:
    """Yield the packets of the first video stream up to where the file breaks, if it does."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        yield from container.demux(video=0)


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
    if indices[-1] - last > _tolerated(total):
        raise UnreadableVideo("damaged", f"{last + 1} of {total} frames can be decoded")
    shown = [min(index, last) for index in indices]
    wanted = sorted(set(shown))
    return _expanded([kept[index] for index in wanted], wanted, shown, total=total, reader="pyav")


def _pick(path: Path, wanted: set[int]) -> dict[int, NDArray[np.uint8]]:
    """Decode the wanted frames, and the last one of a video that ends before them."""
    kept = {}
    number, frame, last = -1, None, max(wanted)
    with open_video(path) as container:
        container.streams.video[0].thread_type = "NONE"  # the caller reads many videos at once
        for number, frame in enumerate(decoded_frames(container)):
            if number in wanted:
                kept[number] = upright_rgb(frame)
            if number == last:
                return kept
    if frame is None:
        raise UnreadableVideo("damaged", "no frame can be decoded")
    return {**kept, number: upright_rgb(frame)}


def decoded_frames(container: Any) -> Iterator[Any]:
    from av.error import FFmpegError

    for packet in _packets(container):
        with suppress(FFmpegError):  # a broken packet; the next key frame mends the picture
            yield from packet.decode()


def upright_rgb(frame: Any) -> NDArray[np.uint8]:
    """Return [H, W, 3], upright: phones store a rotation beside the pixels (decord applies it itself)."""
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)


def _from_images(folder: Path, frames: int) -> Frames:
    """Read a folder of extracted frames, in order of the last number in their names."""
    names = sorted((entry.name for entry in os.scandir(folder) if _is_image(entry.name)), key=_by_number)
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


def _image(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableVideo("broken image", f"{path.name}: {error}") from error


def _expanded(
    decoded: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    numbers: Sequence[int],
    indices: Sequence[int],
    *,
    total: int,
    reader: Reader,
) -> Frames:
    """Repeat frames as `indices` asks; `decoded` holds each of the sorted `numbers` once."""
    sizes = {frame.shape for frame in decoded}
    if len(sizes) > 1:
        raise UnreadableVideo("frames differ in size", ", ".join(f"{w}x{h}" for h, w, _ in sorted(sizes)))
    place = {number: row for row, number in enumerate(numbers)}
    pixels = np.stack([decoded[place[index]] for index in indices])  # [T, H, W, 3]
    return Frames(pixels=pixels, indices=tuple(indices), total=total, reader=reader)
