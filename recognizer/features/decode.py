"""Decode videos side by side; a file that did not change is known by its content."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from encoders.protocol import Encoder
from recognizer.datasets.find import Video
from recognizer.video.frames import UnreadableVideo, read_frames
from recognizer.video.sampling import Sampling, cut_views
from recognizer.video.source import Source, content_of, source_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def content_in(key: str) -> str:
    """Return the content that a key of the feature store is of: of a long video there are several, by number."""
    return key.partition(":")[0]


# Threads: decord, PyAV, Pillow and torch let go of Python's lock. On 2 cores four of them read real clips at least as
# fast as two processes, which take seconds to start.
WORKERS = min(16, max(4, os.cpu_count() or 1))

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass
class Item:
    """A video on its way; what is found out about it is filled in."""

    video: Video
    path: Path
    source: Source | None = None
    key: str | None = None  # sha256 of its content
    failed: str | None = None  # a reason that says nothing of its content, and is not stored


class Read(NamedTuple):
    """What came of one video: pixels, or why there are none; neither where its content is known already."""

    item: Item
    pixels: Tensor | None = None  # float32 [W * T, 3, S, S], preprocessed
    note: str = ""  # which reader, or the reason


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """Give a pool that drops what is still waiting when it is left early."""
    pool = ThreadPoolExecutor(WORKERS)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], given: Iterable[Given], *, ahead: int
) -> Iterator[Made]:
    """Yield work's results in order; at most `ahead` of them are being made or waiting."""
    queue: deque[Future[Made]] = deque()
    for item in given:
        queue.append(pool.submit(work, item))
        if len(queue) >= ahead:
            yield queue.popleft().result()
    while queue:
        yield queue.popleft().result()


def look(video: Video, sampling: Sampling) -> Item:
    """Look at a video's names and times alone; `path` is set."""
    assert video.path is not None  # noqa: S101 - the caller passes videos on disk
    item = Item(video, video.path)
    try:
        item.source = source_of(item.path, sampling.frames * sampling.clips)
    except UnreadableVideo as reason:
        item.failed = str(reason)
    return item


def read(item: Item, sampling: Sampling, encoder: Encoder, *, is_known: Callable[[str], bool]) -> Read:
    """Decode and preprocess one video that was looked at, unless its content is known."""
    assert item.source is not None  # noqa: S101 - nor did looking fail
    try:
        item.key = item.key or content_of(item.source)
        if is_known(item.key):
            return Read(item)
        made = _decode(item, sampling, encoder)
        _refuse_change(item.path, item.source, sampling)
    except UnreadableVideo as reason:
        item.failed = str(reason)
        return Read(item)
    return made


def _decode(item: Item, sampling: Sampling, encoder: Encoder) -> Read:
    try:
        found = read_frames(item.path, sampling.frames * sampling.clips)
    except UnreadableVideo as reason:
        return Read(item, note=str(reason))
    return Read(item, _preprocessed(cut_views(found.pixels, sampling), sampling, encoder), found.reader)


def _preprocessed(views: Sequence[NDArray[np.uint8]], sampling: Sampling, encoder: Encoder) -> Tensor:
    import torch

    return torch.cat([encoder.preprocess(view, preprocessing=sampling.preprocessing) for view in views])


def _refuse_change(path: Path, before: Source, sampling: Sampling) -> None:
    """A file that is still being copied has no content that could be known by."""
    if source_of(path, sampling.frames * sampling.clips).stamp != before.stamp:
        raise UnreadableVideo("changed while it was read")
