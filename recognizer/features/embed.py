"""Videos to frame embeddings: what is stored is read; the rest is decoded, encoded in batches and stored."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import UserError
from db.progress import Progress
from recognizer.datasets.find import Video, VideoList
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.features.decode import WORKERS, Item, Read, in_order, look, read, threads
from recognizer.features.store import Entry, Loaded, New, Seen, Shelf
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


_FRAMES_AHEAD = 256  # decoded frames that wait for the encoder, besides what is being decoded: 150 MB at 224 x 224
_BATCH_FRAMES = 128


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
        return scores.reshape(len(self.videos), self.views, scores.shape[1]).mean(dim=1)


def spread(videos: Sequence[Video], limit: int | None) -> list[Video]:
    """Return `limit` videos evenly spread over the list, so that few videos are not all of the first class."""
    if limit is None or limit >= len(videos):
        return list(videos)
    return [videos[index * len(videos) // limit] for index in range(limit)]


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
    with threads() as pool:
        items = list(pool.map(lambda video: look(video, sampling), videos))
        loaded = job.stored(items)
        todo = [item for item in items if not item.failed and not job.is_settled(loaded.entries.get(item.key or ""))]
        new, done = 0, len(items) - len(todo)
        on_progress(done, len(items))
        for batch in _batches(in_order(pool, job.read, todo, ahead=job.ahead), frames=job.frames):
            new += job.keep(batch)
            done += len(batch)
            on_progress(done, len(items))
    return _features(items, job.stored(items) if todo else loaded, encoder, sampling, new=new)


class _Job:
    """One encoder, one way to look at videos, and the shelf of both."""

    def __init__(self, encoder: StoredEncoder, sampling: Sampling, retry: bool) -> None:
        self.frames = sampling.frames * sampling.views  # of one video
        self.ahead = WORKERS + _FRAMES_AHEAD // self.frames  # videos
        self._encoder = encoder
        self._sampling = sampling
        self._retry = retry
        self._shelf: Shelf = encoder.frames_shelf(sampling)

    def stored(self, items: Sequence[Item]) -> Loaded:
        """Fill in the keys of files that are as they were, and return what is stored of them; damaged ones go."""
        seen = self._shelf.seen(item.path for item in items if item.source and not item.key)
        for item in items:
            if item.source and item.path in seen and seen[item.path].stamp == item.source.stamp:
                item.key = seen[item.path].key
        loaded = self._shelf.load(item.key for item in items if item.key)
        if loaded.damaged:
            self._shelf.forget(loaded.damaged)
        return loaded

    def is_settled(self, entry: Entry | None) -> bool:
        """Tell whether there is nothing left to do for a video."""
        return entry is not None and not (self._retry and entry.slot is None)

    def read(self, item: Item) -> Read:
        """Decode one video, unless the same content is stored by another name; called from threads."""
        return read(item, self._sampling, self._encoder, is_known=lambda key: self.is_settled(self._shelf.entry(key)))

    def keep(self, batch: Sequence[Read]) -> int:
        """Encode and store a batch; return how many videos of it were encoded."""
        pixels = [read.pixels for read in batch if read.pixels is not None]
        records = iter(self._encode(pixels))
        news = [
            New(read.item.key, None if read.pixels is None else next(records), read.note)
            for read in batch
            if read.item.key and read.note
        ]
        kept = (read.item for read in batch if not read.item.failed)
        seen = [Seen(item.path, item.source.stamp, item.key) for item in kept if item.source and item.key]
        if seen:
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


def _batches(reads: Iterable[Read], *, frames: int) -> Iterator[list[Read]]:
    """Fill batches across videos of `frames` frames each; those without pixels cost nothing."""
    batch: list[Read] = []
    for made in reads:
        batch.append(made)
        full = sum(read.pixels is not None for read in batch) * frames >= _BATCH_FRAMES
        if full or len(batch) >= _BATCH_FRAMES:
            yield batch
            batch = []
    if batch:
        yield batch


def _features(
    items: Sequence[Item], loaded: Loaded, encoder: StoredEncoder, sampling: Sampling, *, new: int
) -> Features:
    """Put together what is now stored."""
    import torch

    pairs = [(item, _entry(item, loaded)) for item in items]
    read = [(item, entry) for item, entry in pairs if entry.slot is not None]
    frames = torch.empty(0, sampling.frames, encoder.width)
    if read:
        records = loaded.rows([item.key or "" for item, _ in read])  # [V, W, T, D]
        frames = torch.from_numpy(records).flatten(0, 1)  # [V * W, T, D]
    return Features(
        frames=frames,
        views=sampling.views,
        videos=tuple(item.video for item, _ in read),
        unreadable=tuple((item.video.id, entry.note) for item, entry in pairs if entry.slot is None),
        readers=Counter(entry.note for _, entry in read),
        new=new,
    )


def _entry(item: Item, loaded: Loaded) -> Entry:
    if item.failed:
        return Entry(None, None, item.failed)
    if not item.key or item.key not in loaded.entries:
        raise UserError("Features were removed from the store in the meantime. Run the command again")
    return loaded.entries[item.key]


@dataclass(frozen=True)
class EmbedReport:
    """What became of the videos of a dataset.

    Attributes:
        encoder: by its id.
        sampling: which frames and views.
        layout: how the videos were found.
        counts: listed, stored before, embedded, unreadable, missing, beyond the limit, by name.
        unreadable: (video id, reason).
        seconds: of all of it.
    """

    encoder: str
    sampling: Sampling
    layout: str
    counts: Mapping[str, int]
    unreadable: tuple[tuple[str, str], ...]
    seconds: float


def embed_dataset(
    videos: VideoList,
    encoder: StoredEncoder,
    *,
    sampling: Sampling,
    limit: int | None = None,
    retry: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> EmbedReport:
    """Embed those videos of a dataset that are on disk and not in the store.

    Args:
        videos: what was found.
        encoder: whose image tower.
        sampling: which frames and views.
        limit: only so many videos, evenly spread over the list.
        retry: try again those that could not be read before.
        on_progress: told (videos done, videos in all).

    Raises:
        UserError: no video is on disk, the encoder's weights are not here, or the store refuses.
    """
    start = time.perf_counter()
    there = [video for video in videos.videos if video.path]
    if not there:
        raise UserError(f"None of the {len(videos.videos)} listed videos is there ({videos.layout})")
    present = spread(there, limit)
    features = embed_videos(present, encoder, sampling=sampling, retry=retry, on_progress=on_progress)
    counts = {
        "listed": len(videos.videos),
        "stored before": len(features.videos) - features.new,
        "embedded": features.new,
        "unreadable": len(features.unreadable),
        "missing": len(videos.videos) - len(there),
        "beyond the limit": len(there) - len(present),
    }
    seconds = time.perf_counter() - start
    return EmbedReport(encoder.id, sampling, videos.layout, counts, features.unreadable, seconds)
