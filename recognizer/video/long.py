"""Embed long videos at a fixed frame rate: decoded once from the start, by time stamps, in bounded memory.

PyAV reads them: decord's random access is wrong for files whose time stamps cannot be trusted (see frames.py), and
saves nothing if four frames a second are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.protocol import Encoder, Preprocessing
from recognizer.video.broken_off import broken_off, fragments_seconds
from recognizer.video.container import (
    TruncatedVideo,
    UnreadableVideo,
    decoded_frames,
    format_name,
    open_container,
    os_errors_as_unreadable,
    video_stream,
)
from recognizer.video.frames import Pixels, upright_rgb
from recognizer.video.thumbnails import thumbnail

if TYPE_CHECKING:
    from torch import Tensor


_WINDOW_FRAMES = 64
_WINDOW_BYTES = 64 * 2**20  # of decoded frames; the next window is decoded while one is encoded
_LONGEST_GAP = 600.0  # seconds for which one frame may be shown; damaged time stamps give years
_PICTURE_HEIGHT = 90  # pixels


Window = list[Pixels] | str
"""Frames [H, W, 3] of one size; or, of a file that breaks off, how much of it is there."""


@dataclass(frozen=True)
class Picture:
    """A small picture [H, W, 3] of a video at a time in seconds."""

    seconds: float
    pixels: Pixels


@dataclass(frozen=True)
class LongVideo:
    """The frame embeddings of a long video.

    Frame t is the one shown (t + 0.5) / fps seconds after the first frame; it stands for t / fps to (t + 1) / fps.

    Attributes:
        path: the file.
        frames: embeddings [T, D], float32, as the encoder gives them (not normalised).
        fps: embedded frames a second.
        truncated: how much of a file that breaks off is there; "" for a whole one.
    """

    path: Path
    frames: Tensor
    fps: float
    truncated: str = ""

    @property
    def seconds(self) -> float:
        """The duration, rounded to embedded frames."""
        return len(self.frames) / self.fps


def embed_long_video(
    path: Path,
    encoder: Encoder,
    *,
    fps: float,
    preprocessing: Preprocessing = "own",
    allow_truncated: bool = False,
    on_progress: Callable[[float], None] = lambda seconds: None,
    windows: Iterator[Window] | None = None,
) -> LongVideo:
    """Decode a video file and embed `fps` frames a second; one window of frames is decoded while another is encoded.

    Args:
        path: a video file; a folder of frames has no times.
        encoder: its image tower is used.
        fps: frames a second, above 0; above the video's own rate, frames repeat.
        preprocessing: see `Encoder.preprocess`.
        allow_truncated: whether to embed what is there of a file that breaks off.
        on_progress: called with the seconds of video done.
        windows: the frames; None means `read_windows`, in this process.

    Raises:
        UnreadableVideo: with a reason to count by; no content of the file raises anything else.
    """
    import torch

    parts: list[Tensor] = []
    count, truncated = 0, ""
    for window in _ahead(windows or read_windows(path, fps, allow_truncated)):
        if isinstance(window, str):
            truncated = window
            continue
        pixels = encoder.preprocess(np.stack(window), preprocessing=preprocessing)  # [N, 3, S, S]
        parts.append(encoder.encode_frames(pixels))  # [N, D]
        count += len(window)
        on_progress(count / fps)
    if truncated and not count:
        raise TruncatedVideo(truncated)
    return LongVideo(path, torch.cat(parts), fps, truncated)


def read_windows(path: Path, fps: float, allow_truncated: bool) -> Iterator[Window]:
    """Yield the frames of `sample_frames` in windows; see `windows_of`. Errors as there."""
    return windows_of(sample_frames(path, fps=fps), allow_truncated=allow_truncated)


def windows_of(
    samples: Iterator[Pixels], *, allow_truncated: bool = False, window_bytes: int = _WINDOW_BYTES
) -> Iterator[Window]:
    """Yield frames in windows; at the end of a file that breaks off, if it may, how much of it is there.

    Args:
        samples: the frames.
        allow_truncated: whether the file may break off; else `TruncatedVideo` is raised.
        window_bytes: size of a window of frames; two windows may be in memory.
    """
    there = _WhatIsThere(samples, allowed=allow_truncated)
    yield from _windows(iter(there), window_bytes)
    if there.truncated:
        yield there.truncated


@dataclass
class _WhatIsThere:
    """The frames of a file; if it may break off, those before that, and then how much of it is there."""

    samples: Iterator[Pixels]
    allowed: bool
    truncated: str = field(default="", init=False)

    def __iter__(self) -> Iterator[Pixels]:
        try:
            yield from self.samples
        except TruncatedVideo as error:
            if not self.allowed:
                raise
            self.truncated = error.extent


def pictures_of(path: Path, *, fps: float, seconds: float, truncated: bool, room: float) -> list[Picture]:
    """Decode a video again, and return evenly spread small pictures: as many as fit in a row, at least one.

    Args:
        path: the file, which must still exist.
        fps: the frame rate at which it was embedded.
        seconds: its duration.
        truncated: whether it breaks off.
        room: width of the row divided by its height.

    Raises:
        UnreadableVideo: it can no longer be read.
    """
    height, width = next(sample_frames(path, fps=fps)).shape[:2]
    rate = max(1, int(room * height / width)) / seconds
    samples = _WhatIsThere(sample_frames(path, fps=rate), allowed=truncated)
    return [Picture((n + 0.5) / rate, thumbnail(pixels, height=_PICTURE_HEIGHT)) for n, pixels in enumerate(samples)]


def declared_seconds(path: Path) -> float:
    """Return the duration that a file's header declares; 0.0 if it declares none or cannot be read."""
    try:
        with open_container(path) as container:
            return _declared(container) or 0.0
    except (UnreadableVideo, OSError):
        return 0.0


def sample_frames(path: Path, *, fps: float) -> Iterator[Pixels]:
    """Yield the frame shown 0.5 / fps, 1.5 / fps, 2.5 / fps ... seconds after the first frame: [H, W, 3] RGB.

    A frame is shown until the time stamp of the next one, whatever frame rate the file declares:

        frames    |a   |b |c        |d   |
        samples     x    x    x    x    x        a, b, c, c, d

    Raises:
        UnreadableVideo: with a reason to count by.
        TruncatedVideo: for a file that breaks off, after the frames before that; the last one may be a part of one.
    """
    with os_errors_as_unreadable():
        if path.is_dir():
            raise UnreadableVideo("a folder", "frames without times; give the video file")
        if path.stat().st_size == 0:
            raise UnreadableVideo("empty file")
        with open_container(path) as container:
            video_stream(container).thread_type = "AUTO"
            number, end = 0, 0.0
            for frame, end in _whole_frames(path, container):
                pixels: Pixels | None = None
                while (number + 0.5) / fps < end:
                    pixels = upright_rgb(frame) if pixels is None else pixels
                    yield pixels
                    number += 1
            if not number:
                short = f"{end:.2f} seconds, less than half a frame at {fps:g} frames a second"
                raise UnreadableVideo("too short", short)


def _whole_frames(path: Path, container: Any) -> Iterator[tuple[Any, float]]:
    """Yield as `_shown_until`; the last frame of a file that breaks off may be a part of one, and is left out."""
    last: tuple[Any, float] | None = None
    for shown in _shown_until(container):
        if last:
            yield last
        last = shown
    if last is None:
        raise UnreadableVideo("damaged", "no frame can be decoded")
    if truncated := _truncation(path, container, last[1]):
        raise TruncatedVideo(truncated)
    yield last


def _truncation(path: Path, container: Any, end: float) -> str:
    """Return how much of a file that breaks off is there; "" if it is whole, or nothing tells."""
    declared = _declared(container) or (fragments_seconds(path) if format_name(container) == "mov" else 0.0)
    if declared - end > max(0.5, declared / 50):
        return f"{end:.1f} of {declared:.1f} seconds"
    return broken_off(path, format_name(container))


def _declared(container: Any) -> float | None:
    """Return the duration of the video stream in seconds; that of the file if the file has no other stream."""
    stream = video_stream(container)
    if stream.frames and stream.average_rate and "mp4" not in container.format.name:
        return float(stream.frames / stream.average_rate)  # FFmpeg corrects the duration of a truncated AVI
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.streams.audio or not container.duration:
        return None
    start = stream.start_time or 0  # Matroska's duration begins at time 0, not at the first frame
    return float(container.duration / 1_000_000 - max(0, start * stream.time_base))


def _shown_until(container: Any) -> Iterator[tuple[Any, float]]:
    """Yield each frame and when it ends, in seconds after the time of the first frame."""
    rate = video_stream(container).average_rate
    usual = 1 / float(rate) if rate else 1 / 25
    before: tuple[Any, float] | None = None
    first: float | None = None
    for frame in decoded_frames(container):
        if first is None:
            first = frame.time or 0.0
        time = None if frame.time is None else frame.time - first
        if before:
            start = before[1]
            time = start + usual if time is None or time < start else time  # the stamp is missing or goes back
            if time - start > _LONGEST_GAP:
                raise UnreadableVideo("damaged", f"no frame between {start:.0f} and {time:.0f} seconds")
            yield before[0], time
        before = frame, time or 0.0
    if before:
        yield before[0], before[1] + usual


def _windows(samples: Iterator[Pixels], window_bytes: int) -> Iterator[list[Pixels]]:
    """Group samples into lists of frames of one size, of at most `window_bytes`."""
    window: list[Pixels] = []
    for pixels in samples:
        full = len(window) >= max(1, min(_WINDOW_FRAMES, window_bytes // pixels.nbytes))
        if window and (full or pixels.shape != window[0].shape):
            yield window
            window = []
        window.append(pixels)
    if window:
        yield window


def _ahead(windows: Iterator[Window]) -> Iterator[Window]:
    """Yield windows while a thread makes the next one."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, windows, None)
        while (window := waiting.result()) is not None:
            waiting = pool.submit(next, windows, None)
            yield window
