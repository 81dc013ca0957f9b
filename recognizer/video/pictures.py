"""Small pictures made in worker processes: a decoder that hangs or dies leaves its own pictures out, and no others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from recognizer.video.container import UnreadableVideo
from recognizer.video.pool import Pool
from recognizer.video.sampling import Sampling
from recognizer.video.thumbnails import ShownFrame, Strip, frame_files, shown_frames, strip, unreadable_strip


def strip_in(pool: Pool, path: Path | None, *, draw: Callable[[Path], Strip] = strip) -> Strip:
    """Return evenly spread frames of a video, or the reason why there are none.

    Args:
        pool: its workers call `draw`.
        path: None: the file no longer exists.
        draw: `strip`, or a function of your own in a module that workers can import.
    """
    if path is None:
        return strip(None)
    try:
        return pool.call(draw, path.absolute(), size=_size(path))
    except UnreadableVideo as error:
        return unreadable_strip(error)


def frames_in(
    pool: Pool,
    path: Path,
    sampling: Sampling,
    *,
    show: Callable[[Path, Sampling], tuple[ShownFrame, ...]] = shown_frames,
) -> tuple[ShownFrame, ...]:
    """Return the frames that an explanation shows; arguments as in `strip_in`.

    Raises:
        UnreadableVideo: with a reason.
    """
    return pool.call(show, path.absolute(), sampling, size=_size(path))


def files_in(
    pool: Pool, path: Path, frames: int, *, draw: Callable[[Path, int], tuple[bytes, ...]] = frame_files
) -> tuple[bytes, ...]:
    """Return evenly spread frames of a video as small JPEG files; arguments as in `strip_in`.

    Raises:
        UnreadableVideo: with a reason.
    """
    return pool.call(draw, path.absolute(), frames, size=_size(path))


def _size(path: Path) -> int:
    with suppress(OSError):  # the decoder says why it cannot be opened
        return path.stat().st_size
    return 0
