"""Long videos to frame embeddings at a fixed rate: decoded once from the start, by time stamps, in bounded memory.

PyAV reads them: decord's random access goes wrong on files whose time stamps it cannot trust (see frames.py), and a
video of which every quarter of a second is looked at gains nothing from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from encoders.protocol import Encoder, Preprocessing
from recognizer.video.container import decoded_frames, open_container
from recognizer.video.frames import UnreadableVideo, upright_rgb
from recognizer.video.thumbnails import small

if TYPE_CHECKING:
    from torch import Tensor


_WINDOW_FRAMES = 64
_WINDOW_BYTES = 64 * 2**20  # of decoded frames; a second window is decoded while one is encoded
_LONGEST_GAP = 600.0  # seconds for which one frame may be shown; damaged time stamps give years
_PICTURE_HEIGHT = 90  # pixels

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A small picture [H, W, 3] of what a video shows at a time in seconds."""

    seconds: float
    pixels: Pixels


@dataclass(frozen=True)
class LongVideo:
    """What a long video looks like to an encoder.

    Frame t was seen at (t + 0.5) / fps seconds after the first frame, and stands for t / fps to (t + 1) / fps.

    Attributes:
        path: the file.
        frames: embeddings [T, D], float32, as the encoder gives them (not normalised).
        fps: frames looked at a second.
    """

    path: Path
    frames: Tensor
    fps: float

    @property
    def seconds(self) -> float:
        """The duration, to one frame that is looked at."""
        return len(self.frames) / self.fps


def embed_long_video(
    path: Path,
    encoder: Encoder,
    *,
    fps: float,
    preprocessing: Preprocessing = "own",
    on_progress: Callable[[float], None] = lambda seconds: None,
) -> LongVideo:
    """Decode a video file and embed `fps` frames a second of it; one window is decoded while another is encoded.

    Args:
        path: a video file; a folder of frames has no times.
        encoder: whose image tower.
        fps: frames a second, above 0; more than the video has are the same ones again.
        preprocessing: see `Encoder.preprocess`.
        on_progress: told how many seconds of the video are done.

    Raises:
        UnreadableVideo: with a reason to count by; nothing else, whatever the file holds.
    """
    import torch

    parts: list[Tensor] = []
    count = 0
    for window in _ahead(_windows(sample_frames(path, fps=fps))):
        pixels = encoder.preprocess(np.stack(window), preprocessing=preprocessing)  # [N, 3, S, S]
        parts.append(encoder.encode_frames(pixels))  # [N, D]
        count += len(window)
        on_progress(count / fps)
    return LongVideo(path, torch.cat(parts), fps)


def pictures_of(video: LongVideo, *, room: float) -> list[Picture]:
    """Return small pictures of a video, evenly spread over it: as many as fit beside each other, at least one.

    It is decoded for them, as for its embeddings: only who draws it needs them.

    Args:
        video: of a file that is still there.
        room: how often as wide as high all of them may be together.

    Raises:
        UnreadableVideo: it can no longer be read.
    """
    height, width = next(sample_frames(video.path, fps=video.fps)).shape[:2]
    fps = max(1, int(room * height / width)) / video.seconds
    samples = sample_frames(video.path, fps=fps)
    return [Picture((n + 0.5) / fps, small(pixels, height=_PICTURE_HEIGHT)) for n, pixels in enumerate(samples)]


def declared_seconds(path: Path) -> float:
    """Return the duration that a file's header declares; 0.0 where it does not, or cannot be read."""
    try:
        with open_container(path) as container:
            return _declared(container) or 0.0
    except (UnreadableVideo, OSError):
        return 0.0


def sample_frames(path: Path, *, fps: float) -> Iterator[Pixels]:
    """Yield what a video shows 0.5 / fps, 1.5 / fps, 2.5 / fps ... seconds after its first frame: [H, W, 3] RGB.

    A frame is shown until the next one's time stamp, whatever the rate of the file is, or whether it has one:

        frames    |a   |b |c        |d   |
        samples     x    x    x    x    x        a, b, c, c, d

    Raises:
        UnreadableVideo: with a reason to count by; where a file breaks off, after the frames before that.
    """
    try:
        _refuse(path)
        with open_container(path) as container:
            if not container.streams.video:
                raise UnreadableVideo("no video stream")
            container.streams.video[0].thread_type = "AUTO"
            number, end = 0, 0.0
            for frame, end in _until(container):
                pixels: Pixels | None = None
                while (number + 0.5) / fps < end:
                    pixels = upright_rgb(frame) if pixels is None else pixels
                    yield pixels
                    number += 1
            _refuse_end(container, end, number, fps)
    except OSError as error:  # missing, no permission, a network drive gone
        raise UnreadableVideo("cannot be opened", error.strerror or str(error)) from error


def _refuse(path: Path) -> None:
    if path.is_dir():
        raise UnreadableVideo("a folder", "frames without times; give the video file")
    if path.stat().st_size == 0:
        raise UnreadableVideo("empty file")


def _refuse_end(container: Any, end: float, samples: int, fps: float) -> None:
    declared = _declared(container)
    if not end:
        raise UnreadableVideo("damaged", "no frame can be decoded")
    if declared and declared - end > max(1.0, declared / 50):
        raise UnreadableVideo("truncated", f"{end:.1f} of {declared:.1f} seconds")
    if not samples:
        raise UnreadableVideo("too short", f"{end:.2f} seconds, of which {fps:g} frames a second see nothing")


def _declared(container: Any) -> float | None:
    """Return the duration of the pictures in seconds; that of the file where it is nobody else's."""
    if not container.streams.video:
        return None
    stream = container.streams.video[0]
    if stream.frames and stream.average_rate and "mp4" not in container.format.name:
        return float(stream.frames / stream.average_rate)  # of an AVI file that broke off FFmpeg mends the duration
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.streams.audio or not container.duration:
        return None
    start = stream.start_time or 0  # Matroska counts its duration from time 0, whenever its first frame is shown
    return float(container.duration / 1_000_000 - max(0, start * stream.time_base))


def _until(container: Any) -> Iterator[tuple[Any, float]]:
    """Yield each frame, and how long it is shown: in seconds after the time of the first frame."""
    rate = container.streams.video[0].average_rate
    usual = 1 / float(rate) if rate else 1 / 25
    before: tuple[Any, float] | None = None
    first: float | None = None
    for frame in decoded_frames(container):
        if first is None:
            first = frame.time or 0.0
        time = None if frame.time is None else frame.time - first
        if before:
            start = before[1]
            time = start + usual if time is None or time < start else time  # no stamp, or one that goes back
            if time - start > _LONGEST_GAP:
                raise UnreadableVideo("damaged", f"no frame between {start:.0f} and {time:.0f} seconds")
            yield before[0], time
        before = frame, time or 0.0
    if before:
        yield before[0], before[1] + usual


def _windows(samples: Iterator[Pixels]) -> Iterator[list[Pixels]]:
    """Yield samples in lists of one size of picture, each small enough to hold two of in memory."""
    window: list[Pixels] = []
    for pixels in samples:
        full = len(window) >= max(1, min(_WINDOW_FRAMES, _WINDOW_BYTES // pixels.nbytes))
        if window and (full or pixels.shape != window[0].shape):
            yield window
            window = []
        window.append(pixels)
    if window:
        yield window


def _ahead(windows: Iterator[list[Pixels]]) -> Iterator[list[Pixels]]:
    """Yield windows, of which the next is made in a thread meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, windows, None)
        while (window := waiting.result()) is not None:
            waiting = pool.submit(next, windows, None)
            yield window
