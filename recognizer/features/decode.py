"""Decode videos in threads, and recognise files that did not change without decoding them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from encoders.protocol import Encoder
from recognizer.datasets.find import Video
from recognizer.video.frames import UnreadableVideo, read_frames
from recognizer.video.sampling import Sampling, cut_views
from recognizer.video.source import Source, content_of, source_of

if TYPE_CHECKING:
    from torch import Tensor


def content_hash(key: str) -> str:
    """Return the content hash in a key of the feature store; keys of long videos add `:` and a record's number."""
    return key.partition(":")[0]


# Threads: decord, PyAV, Pillow and torch release the GIL. On 2 cores four of them read real clips at least as
# fast as two processes, which take seconds to start.
WORKERS = min(16, max(4, os.cpu_count() or 1))

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class ThreadPool(ThreadPoolExecutor):
    """A pool of `WORKERS` threads that cancels waiting tasks when its block is left early."""

    def __init__(self) -> None:
        super().__init__(WORKERS)

    def __exit__(self, *_: object) -> None:
        self.shutdown(cancel_futures=True)

    def map_ahead(
        self, function: Callable[[Argument], Result], arguments: Iterable[Argument], *, ahead: int
    ) -> Iterator[Result]:
        """Yield results in order; at most `ahead` of them are in progress or wait to be taken."""
        rest = iter(arguments)
        futures = deque(self.submit(function, argument) for argument in islice(rest, ahead))
        while futures:
            yield futures.popleft().result()
            futures.extend(self.submit(function, argument) for argument in islice(rest, 1))


@dataclass
class PendingVideo:
    """A video to embed, filled in step by step.

    Attributes:
        source: None if it could not be located.
        key: its content hash, once known.
        failure: why it cannot be read, for a reason that is not due to its content; such are not stored.
    """

    video: Video
    path: Path
    source: Source | None = None
    key: str | None = None
    failure: str | None = None


class DecodedVideo(NamedTuple):
    """Decoded pixels, or the failure reason; both empty if the embedding is already stored."""

    pending: PendingVideo
    pixels: Tensor | None = None  # float32 [W * T, 3, S, S], preprocessed
    note: str = ""  # name of the reader, or the reason


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
    pending: PendingVideo, sampling: Sampling, encoder: Encoder, *, is_stored: Callable[[str], bool]
) -> DecodedVideo:
    """Decode and preprocess a video that was located, unless a record of its content is stored."""
    assert pending.source is not None  # noqa: S101 - the caller passes videos that were located
    try:
        pending.key = pending.key or content_of(pending.source)
        if is_stored(pending.key):
            return DecodedVideo(pending)
        decoded = _read(pending, sampling, encoder)
        refuse_change(pending.path, sampling.frames * sampling.clips, before=pending.source)
    except UnreadableVideo as reason:
        pending.failure = str(reason)
        return DecodedVideo(pending)
    return decoded


def refuse_change(path: Path, frames: int, *, before: Source) -> None:
    """Raise UnreadableVideo if a video changed since its source was located, as during a download."""
    if source_of(path, frames).stamp != before.stamp:
        raise UnreadableVideo("changed while it was read")


def _read(pending: PendingVideo, sampling: Sampling, encoder: Encoder) -> DecodedVideo:
    import torch

    try:
        frames = read_frames(pending.path, sampling.frames * sampling.clips)
    except UnreadableVideo as reason:
        return DecodedVideo(pending, note=str(reason))
    views = [encoder.preprocess(v, preprocessing=sampling.preprocessing) for v in cut_views(frames.pixels, sampling)]
    return DecodedVideo(pending, torch.cat(views), frames.reader)
