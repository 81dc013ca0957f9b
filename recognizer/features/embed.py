"""Videos to frame embeddings: stored ones are loaded; the others are decoded, encoded in batches and stored."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import UserError
from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.find import Video, VideoList
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.decode import WORKERS, PendingVideo, ThreadPool, decode, locate
from recognizer.features.store import IndexEntry, KnownFile, NewRecord, StoredRecords
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    from torch import Tensor


_FRAMES_AHEAD = 256  # decoded frames that wait for the encoder, besides those in progress: 150 MB at 224 x 224
_BATCH_FRAMES = 128


@dataclass(frozen=True)
class Features:
    """The embeddings of a list of videos."""

    frames: Tensor  # [V * W, T, D], float32, as the encoder gives them (not normalised); views of a video side by side
    views: int  # W
    videos: tuple[Video, ...]  # V, in the order of `frames`
    unreadable: tuple[tuple[str, str], ...]  # (video id, reason)
    readers: Mapping[str, int]  # reader (decord, pyav, images) -> number of videos
    new: int  # number of videos that were not stored before

    def over_views(self, scores: Tensor) -> Tensor:
        """Return the mean of scores [V * W, C] over each video's views: [V, C]."""
        return scores.reshape(len(self.videos), self.views, scores.shape[1]).mean(dim=1)

    def view_rows(self, videos: Iterable[int]) -> list[int]:
        """Return the rows in `frames` of all views of videos, given by index in `videos`."""
        return [video * self.views + view for video in videos for view in range(self.views)]


def videos_on_disk(dataset: Dataset, video_list: VideoList, limit: int | None) -> list[Video]:
    """Return the videos that are on disk, at most `limit`: evenly spread over the list, and so over the classes.

    Raises:
        UserError: none is on disk.
    """
    present = [video for video in video_list.videos if video.path]
    if not present:
        raise UserError(
            f"None of the {len(video_list.videos)} listed videos of {dataset.name} is on disk ({video_list.layout})"
        )
    count = len(present) if limit is None else min(limit, len(present))
    return [present[index * len(present) // count] for index in range(count)]


def embed_videos(
    videos: Sequence[Video],
    encoder: CachingEncoder,
    *,
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    retry: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> Features:
    """Return the embeddings of videos; those that are not in the store are computed, and stored batch by batch.

    Args:
        videos: on disk: `path` is set.
        retry: try again the videos that are stored as unreadable.
        on_progress: called with (videos done, videos in all), stored and unreadable ones included.

    Raises:
        UserError: the encoder's weights are missing, or the store cannot be read or written.
    """
    job = _Job(encoder, sampling, retry)
    with ThreadPool(WORKERS) as pool:
        pending = list(pool.map(lambda video: locate(video, sampling), videos))
        stored = job.load(pending)
        todo = [p for p in pending if not p.failure and not job.is_done(stored.entries.get(p.key or ""))]
        new, done = 0, len(pending) - len(todo)
        on_progress(done, len(pending))
        for batch in _batches(pool.map_ahead(job.decode, todo, ahead=job.ahead), frames=job.frames):
            new += job.store(batch)
            done += len(batch)
            on_progress(done, len(pending))
    return job.features(pending, job.load(pending) if todo else stored, new=new)


class _Job:
    """The embedding of videos by one encoder and sampling: one shelf of the store."""

    def __init__(self, encoder: CachingEncoder, sampling: Sampling, retry: bool) -> None:
        self.frames = sampling.frames * sampling.views  # of one video
        self.ahead = WORKERS + _FRAMES_AHEAD // self.frames  # videos
        self._encoder = encoder
        self._sampling = sampling
        self._retry = retry
        self._shelf = encoder.frames_shelf(sampling)

    def load(self, pending: Sequence[PendingVideo]) -> StoredRecords:
        """Fill in the keys of unchanged files, and return the stored records of all videos with keys."""
        known = self._shelf.known_files(p.path for p in pending if p.source and not p.key)
        for p in pending:
            if p.source and p.path in known and known[p.path].stamp == p.source.stamp:
                p.key = known[p.path].key
        return self._shelf.load(p.key for p in pending if p.key)

    def is_done(self, entry: IndexEntry | None) -> bool:
        """Whether a video need not be decoded."""
        return entry is not None and not (self._retry and entry.slot is None)

    def decode(self, pending: PendingVideo) -> PendingVideo:
        """Decode one video, unless the same content is stored under another name; called from threads."""
        return decode(
            pending, self._sampling, self._encoder, is_stored=lambda key: self.is_done(self._shelf.entry(key))
        )

    def store(self, batch: Sequence[PendingVideo]) -> int:
        """Encode and store a batch; return how many videos of it were encoded."""
        import torch

        pixels = [p.pixels for p in batch if p.pixels is not None]
        frames = self._encoder.encode_frames(torch.cat(pixels)) if pixels else torch.empty(0, self._encoder.width)
        shape = (self._sampling.views, self._sampling.frames, frames.shape[-1])
        arrays = iter(frames.reshape(len(pixels), *shape).numpy())  # [N, W, T, D]
        new = [NewRecord(p.key, None if p.pixels is None else next(arrays), p.note) for p in batch if p.key and p.note]
        files = [KnownFile(p.path, p.source.stamp, p.key) for p in batch if p.source and p.key and not p.failure]
        if files:
            self._shelf.add(new, shape=shape, files=files)
        for p in batch:
            p.pixels = None  # to free the memory
        return len(pixels)

    def features(self, pending: Sequence[PendingVideo], stored: StoredRecords, *, new: int) -> Features:
        """Return the stored embeddings of all videos; see `Features`."""
        import torch

        entries = [(p, _entry(p, stored)) for p in pending]
        readable = [(p, entry) for p, entry in entries if entry.slot is not None]
        frames = torch.empty(0, self._sampling.frames, self._encoder.width)
        if readable:
            frames = torch.from_numpy(stored.rows([p.key or "" for p, _ in readable])).flatten(0, 1)  # [V * W, T, D]
        return Features(
            frames=frames,
            views=self._sampling.views,
            videos=tuple(p.video for p, _ in readable),
            unreadable=tuple((p.video.id, entry.note) for p, entry in entries if entry.slot is None),
            readers=Counter(entry.note for _, entry in readable),
            new=new,
        )


def _batches(videos: Iterable[PendingVideo], *, frames: int) -> Iterator[list[PendingVideo]]:
    """Group videos of `frames` frames each into batches; those without pixels do not fill a batch."""
    batch: list[PendingVideo] = []
    for video in videos:
        batch.append(video)
        decoded_frames = sum(video.pixels is not None for video in batch) * frames
        if max(decoded_frames, len(batch)) >= _BATCH_FRAMES:
            yield batch
            batch = []
    if batch:
        yield batch


def _entry(pending: PendingVideo, stored: StoredRecords) -> IndexEntry:
    if pending.failure:
        return IndexEntry(None, None, pending.failure)
    entry = stored.entries.get(pending.key or "")
    if entry is None:
        raise UserError("Features were removed from the store in the meantime. Run the command again")
    return entry


@dataclass(frozen=True)
class EmbedReport:
    """The outcome of embedding a dataset."""

    encoder: str  # its id
    sampling: Sampling
    layout: str  # see `VideoList`
    counts: Mapping[str, int]  # listed, stored before, embedded, unreadable, missing, beyond the limit
    unreadable: tuple[tuple[str, str], ...]  # (video id, reason)
    seconds: float


def embed_dataset(
    dataset: Dataset,
    video_list: VideoList,
    encoder: CachingEncoder,
    *,
    sampling: Sampling,
    limit: int | None = None,
    retry: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> EmbedReport:
    """Embed the videos of a dataset that are on disk and not in the store; arguments as in `embed_videos`.

    Raises:
        UserError: no video is on disk, the encoder's weights are missing, or the store cannot be read or written.
    """
    start = time.perf_counter()
    present = videos_on_disk(dataset, video_list, limit)
    features = embed_videos(present, encoder, sampling=sampling, retry=retry, on_progress=on_progress)
    missing = sum(video.path is None for video in video_list.videos)
    counts = {
        "listed": len(video_list.videos),
        "stored before": len(features.videos) - features.new,
        "embedded": features.new,
        "unreadable": len(features.unreadable),
        "missing": missing,
        "beyond the limit": len(video_list.videos) - missing - len(present),
    }
    return EmbedReport(
        encoder.id, sampling, video_list.layout, counts, features.unreadable, time.perf_counter() - start
    )
