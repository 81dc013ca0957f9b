"""Videos to frame embeddings: what is stored is read, the rest decoded in threads, encoded in batches, and stored."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from db.errors import UserError
from recognizer.datasets import Video
from recognizer.frames import UnreadableVideo, read_frames
from recognizer.shelf import Entry, Loaded, New, Seen
from recognizer.sources import Source, content_of, source_of
from recognizer.stored_encoder import StoredEncoder
from recognizer.views import Sampling, cut_views

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_WORKERS = 4
_FRAMES_AHEAD = 256  # decoded frames that wait for the encoder at most: 150 MB at 224 x 224
_BATCH_FRAMES = 128

Progress = Callable[[int, int], None]
Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Features:
    """What a set of videos looks like to an encoder.

    Attributes:
        frames: embeddings [V * W, T, D], float32, as the encoder gives them (not normalised); the W views of a
            video side by side.
        views: W.
        videos: the V videos, in the order of `frames`.
        unreadable: (video id, reason) of each video that gave no frames.
        readers: how many videos each reader (decord, pyav, images) read.
        new: how many of the videos were not in the store, and were decoded and encoded.
    """

    frames: Tensor
    views: int
    videos: tuple[Video, ...]
    unreadable: tuple[tuple[str, str], ...]
    readers: Mapping[str, int]
    new: int

    def over_views(self, scores: Tensor) -> Tensor:
        """Return scores [V, C] of scores [V * W, C]: the mean over each video's views."""
        return scores.reshape(len(self.videos), self.views, -1).mean(dim=1)


def embed_videos(
    videos: Sequence[Video],
    encoder: StoredEncoder,
    *,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    retry: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> Features:
    """Return the embeddings of videos; those that are not in the store are made, and stored batch by batch.

    Args:
        videos: those on disk; `path` is set.
        encoder: whose image tower.
        sampling: which frames and views.
        retry: try again those that could not be read before.
        on_progress: told (videos done, videos in all), stored and unreadable ones included.

    Raises:
        UserError: the encoder's weights are not here, or the store refuses.
    """
    job = _Job(encoder, sampling, retry)
    with _threads() as pool:
        items = list(pool.map(job.look, videos))
        loaded = job.stored(items)
        todo = [item for item in items if job.is_open(item, loaded)]
        new, done = 0, len(items) - len(todo)
        on_progress(done, len(items))
        for batch in _batches(_in_order(pool, job.read, todo, ahead=job.ahead), frames=job.frames):
            new += job.keep(batch)
            done += len(batch)
            on_progress(done, len(items))
    return job.features(items, job.stored(items) if todo else loaded, new=new)


@dataclass
class _Item:
    """A video on its way; what is found out about it is filled in."""

    video: Video
    path: Path
    source: Source | None = None
    key: str | None = None  # sha256 of its content
    failed: str | None = None  # a reason that says nothing of its content, and is not stored


class _Read(NamedTuple):
    """What came of one video: pixels, or why there are none; neither where its content is stored already."""

    item: _Item
    pixels: Tensor | None = None  # float32 [W * T, 3, S, S], preprocessed
    note: str = ""  # which reader, or the reason


class _Job:
    """One encoder, and one way to look at videos."""

    def __init__(self, encoder: StoredEncoder, sampling: Sampling, retry: bool) -> None:
        self.frames = sampling.frames * sampling.views  # of one video
        self.ahead = max(2, _FRAMES_AHEAD // self.frames)  # videos
        self._encoder = encoder
        self._sampling = sampling
        self._retry = retry
        self._shelf = encoder.frames_shelf(sampling)

    def look(self, video: Video) -> _Item:
        """Look at names and times alone."""
        assert video.path is not None  # noqa: S101 - the caller passes videos on disk
        item = _Item(video, video.path)
        try:
            item.source = source_of(item.path, self._sampling.frames * self._sampling.clips)
        except UnreadableVideo as reason:
            item.failed = str(reason)
        return item

    def stored(self, items: Sequence[_Item]) -> Loaded:
        """Fill in the keys of files that are as they were, and return what is stored of them; damaged ones go."""
        seen = self._shelf.seen(item.path for item in items if item.source and not item.key)
        for item in items:
            if item.source and item.path in seen and seen[item.path].stamp == item.source.stamp:
                item.key = seen[item.path].key
        loaded = self._shelf.load(item.key for item in items if item.key)
        if loaded.damaged:
            self._shelf.forget(loaded.damaged)
        return loaded

    def is_open(self, item: _Item, loaded: Loaded) -> bool:
        """Tell whether a video must be read."""
        return not item.failed and not self._settled(loaded.entries.get(item.key or ""))

    def _settled(self, entry: Entry | None) -> bool:
        return entry is not None and not (self._retry and entry.slot is None)

    def read(self, item: _Item) -> _Read:
        """Decode and preprocess one video, unless its content is stored; called from threads."""
        assert item.source is not None  # noqa: S101 - is_open
        try:
            item.key = item.key or content_of(item.source)
            if self._settled(self._shelf.entry(item.key)):
                return _Read(item)
            read = self._decode(item)
            if source_of(item.path, self._sampling.frames * self._sampling.clips).stamp != item.source.stamp:
                raise UnreadableVideo("changed while it was read")
        except UnreadableVideo as reason:
            item.failed = str(reason)
            return _Read(item)
        return read

    def _decode(self, item: _Item) -> _Read:
        try:
            found = read_frames(item.path, self._sampling.frames * self._sampling.clips)
        except UnreadableVideo as reason:
            return _Read(item, note=str(reason))
        views = cut_views(found.pixels, self._sampling)
        return _Read(item, self._preprocess(views), found.reader)

    def _preprocess(self, views: Sequence[NDArray[np.uint8]]) -> Tensor:
        import torch

        preprocessing = self._sampling.preprocessing
        return torch.cat([self._encoder.preprocess(view, preprocessing=preprocessing) for view in views])

    def keep(self, batch: Sequence[_Read]) -> int:
        """Encode and store a batch; return how many videos of it were encoded."""
        pixels = [read.pixels for read in batch if read.pixels is not None]
        records = iter(self._encode(pixels))
        news = [
            New(read.item.key, None if read.pixels is None else next(records), read.note)
            for read in batch
            if read.item.key and read.note
        ]
        sources = ((read.item, read.item.source) for read in batch if not read.item.failed)
        seen = [Seen(item.path, source.stamp, item.key) for item, source in sources if source and item.key]
        shape = (self._sampling.views, self._sampling.frames, self._encoder.width)
        self._shelf.add(news, shape=shape, seen=seen)
        return len(pixels)

    def _encode(self, videos: Sequence[Tensor]) -> NDArray[np.float32]:
        """Return the records [N, W, T, D] of N videos' pixels [W * T, 3, S, S]."""
        import numpy as np
        import torch

        if not videos:
            return np.empty(0, np.float32)
        embeddings = self._encoder.encode_frames(torch.cat(list(videos)))  # [N * W * T, D]
        shape = (len(videos), self._sampling.views, self._sampling.frames, embeddings.shape[-1])
        return embeddings.reshape(shape).numpy()

    def features(self, items: Sequence[_Item], loaded: Loaded, *, new: int) -> Features:
        """Put together what is now stored."""
        entries = {item.video.id: self._entry(item, loaded) for item in items}
        read = [item for item in items if entries[item.video.id].slot is not None]
        return Features(
            frames=self._frames([item.key or "" for item in read], loaded),
            views=self._sampling.views,
            videos=tuple(item.video for item in read),
            unreadable=tuple((id_, entry.note) for id_, entry in entries.items() if entry.slot is None),
            readers=Counter(entries[item.video.id].note for item in read),
            new=new,
        )

    def _entry(self, item: _Item, loaded: Loaded) -> Entry:
        if item.failed:
            return Entry(None, None, item.failed)
        if not item.key or item.key not in loaded.entries:
            raise UserError("Features were removed from the store in the meantime. Run the command again")
        return loaded.entries[item.key]

    def _frames(self, keys: Sequence[str], loaded: Loaded) -> Tensor:
        import torch

        if not keys:
            return torch.empty(0, self._sampling.frames, self._encoder.width)
        return torch.from_numpy(loaded.rows(keys)).flatten(0, 1)  # [V * W, T, D]


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """Give a pool that drops what is still waiting when it is left early."""
    pool = ThreadPoolExecutor(_WORKERS)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
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


def _batches(reads: Iterable[_Read], *, frames: int) -> Iterator[list[_Read]]:
    """Fill batches across videos of `frames` frames each; those without pixels cost nothing."""
    batch: list[_Read] = []
    for read in reads:
        batch.append(read)
        if sum(read.pixels is not None for read in batch) * frames >= _BATCH_FRAMES or len(batch) >= _BATCH_FRAMES:
            yield batch
            batch = []
    if batch:
        yield batch
