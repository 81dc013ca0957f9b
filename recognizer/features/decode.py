"""Decode and preprocess videos; unchanged files are recognised without decoding."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from encoders.protocol import Encoder
from recognizer.datasets.find import Video
from recognizer.video.container import InaccessibleVideo, UnreadableVideo
from recognizer.video.frames import Frames
from recognizer.video.pool import Pool
from recognizer.video.sampling import Sampling, cut_views
from recognizer.video.source import Source, content_of, source_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def content_hash(key: str) -> str:
    """Return the content hash in a key of the feature store; keys of long videos add `:` and a record's number."""
    return key.partition(":")[0]


def truncated_key(key: str) -> str:
    """Return the key of the frames that are there of a file that breaks off; under `key` it is unreadable."""
    return f"{key}:truncated"


# They hash, wait for worker processes or decode, and preprocess; decord, PyAV, Pillow and torch release the GIL.
THREADS = min(16, max(4, os.cpu_count() or 1))

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class ThreadPool(ThreadPoolExecutor):
    """A pool of threads that cancels waiting tasks when its block is left early."""

    def __exit__(self, *_: object) -> None:
        self.shutdown(cancel_futures=True)

    def map_ahead(
        self, function: Callable[[Argument], Result], arguments: Iterable[Argument], *, ahead: int
    ) -> Iterator[Result]:
        """Yield results in order; at most `ahead` of them are in progress or waiting."""
        rest = iter(arguments)
        futures = deque(self.submit(function, argument) for argument in islice(rest, ahead))
        while futures:
            yield futures.popleft().result()
            futures.extend(self.submit(function, argument) for argument in islice(rest, 1))


@dataclass
class PendingVideo:
    """A video to embed, filled in step by step."""

    video: Video
    path: Path
    source: Source | None = None  # None: it could not be located
    key: str | None = None  # its content hash, once known
    failure: str | None = None  # why it cannot be read now; not a property of its content, so not stored
    frames: Frames | None = None  # as they were read, while they wait for `preprocess`
    pixels: Tensor | None = None  # [W * T, 3, S, S], see `Encoder.preprocess`; None: unreadable, or stored already
    vectors: NDArray[np.float32] | None = None  # its embeddings [W, T, D], or [W, 1, D] of clips, once encoded
    note: str = ""  # name of the reader, or why the content is unreadable; empty if stored already
    truncated: str = ""  # how much of a file that breaks off is there


def locate(video: Video, sampling: Sampling) -> PendingVideo:
    """Locate the files of a video on disk."""
    assert video.path is not None  # noqa: S101 - the caller passes videos on disk
    pending = PendingVideo(video, video.path)
    try:
        pending.source = source_of(video.path, sampling.frames * sampling.clips)
    except UnreadableVideo as reason:
        pending.failure = str(reason)
    return pending


def decode(
    pending: PendingVideo,
    sampling: Sampling,
    encoder: Encoder,
    *,
    is_stored: Callable[[str], bool],
    pool: Pool,
    may_wait: Callable[[int], bool] = lambda _size: False,
) -> PendingVideo:
    """Decode and preprocess a located video, unless a record of its content is stored; return it.

    The pool decodes it; preprocessing needs torch, and is done here. If frames of so many bytes `may_wait`, they are
    left for `preprocess`.
    """
    assert pending.source is not None  # noqa: S101 - the caller passes videos that were located
    try:
        pending.key = pending.key or content_of(pending.source)
        if is_stored(pending.key):
            return pending
        frames, reason = _read(pending.path, pending.source.size, sampling, pool)
        refuse_change(pending.path, sampling.frames * sampling.clips, before=pending.source)
    except UnreadableVideo as failure:
        pending.failure = str(failure)
        return pending
    pending.frames, pending.note = frames, frames.reader if frames else reason
    pending.truncated = frames.truncated if frames else ""
    return pending if frames and may_wait(frames.pixels.nbytes) else preprocess(pending, sampling, encoder)


def preprocess(pending: PendingVideo, sampling: Sampling, encoder: Encoder) -> PendingVideo:
    """Preprocess the frames of a video, if some wait for it; return it."""
    if pending.frames is not None:
        import torch

        views = cut_views(pending.frames.pixels, sampling)
        pending.pixels = torch.cat([encoder.preprocess(view, preprocessing=sampling.preprocessing) for view in views])
        pending.frames = None
    return pending


def look_up(pending: PendingVideo, encoder: str, *, is_stored: Callable[[str], bool]) -> PendingVideo:
    """Hash a located video whose embedding was imported; one without an embedding counts as unreadable by `encoder`."""
    assert pending.source is not None  # noqa: S101 - the caller passes videos that were located
    try:
        pending.key = pending.key or content_of(pending.source)
    except UnreadableVideo as reason:
        pending.failure = str(reason)
    else:
        pending.failure = None if is_stored(pending.key) else f"no embedding of it was imported as {encoder}"
    return pending


def refuse_change(path: Path, frames: int, *, before: Source) -> None:
    """Raise UnreadableVideo if a video changed since it was located, such as during a download."""
    if source_of(path, frames).stamp != before.stamp:
        raise UnreadableVideo("changed while it was read")


def _read(path: Path, size: int, sampling: Sampling, pool: Pool) -> tuple[Frames | None, str]:
    """Return the frames of a video, or None and why its content is unreadable.

    Raises:
        InaccessibleVideo: the surroundings are the reason, or decoding took too long.
    """
    count = sampling.frames * sampling.clips
    try:
        return pool.read(path, count, size=size, allow_truncated=sampling.allow_truncated), ""
    except InaccessibleVideo:
        raise
    except UnreadableVideo as reason:
        return None, str(reason)
