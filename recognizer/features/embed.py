"""Videos to frame embeddings: stored ones are loaded; the others are decoded, encoded in batches and stored."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from db.errors import UserError
from db.imports import uncollected
from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.find import Video, VideoList
from recognizer.datasets.records import Shard
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.decode import THREADS, PendingVideo, ThreadPool, locate, truncated_key
from recognizer.features.engines import (
    BATCH_FRAMES,
    Batch,
    Engine,
    Work,
    batches_of,
    nowhere,
    on_this_machine,
    videos_per_batch,
)
from recognizer.features.store import IndexEntry, KnownFile, NewRecord, Shelf, StoredRecords
from recognizer.video.container import REMEMBERED, TRUNCATED, TruncatedVideo
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    from torch import Tensor

_Find = Callable[[str], IndexEntry | None]


@dataclass(frozen=True)
class Features:
    """The embeddings of a list of videos."""

    # [V * W, T, D], or [V * W, 1, D] of an encoder of clips; float32, as the encoder gives them (not normalised); the
    # views of a video side by side
    frames: Tensor
    views: int  # W
    videos: tuple[Video, ...]  # V, in the order of `frames`
    unreadable: tuple[tuple[str, str], ...]  # (video id, reason)
    readers: Mapping[str, int]  # reader (decord, pyav, images) -> number of videos
    new: int  # number of videos that were not stored before
    truncated: tuple[tuple[str, str], ...] = ()  # (id of a video that breaks off, how much of it is there)
    of_clips: bool = False  # whether the encoder gives one vector for a clip

    @cached_property
    def labels(self) -> Tensor:
        """The true labels of the videos, int64 [V]; of several, the first."""
        import torch

        return torch.tensor([video.label for video in self.videos])

    @cached_property
    def multi_label(self) -> bool:
        """Whether videos have several labels, or none."""
        return any(video.classes != (video.label,) or video.labels for video in self.videos)

    def over_views(self, scores: Tensor) -> Tensor:
        """Return the mean of scores [V * W, C] over each video's views: [V, C]."""
        if self.views == 1:
            return scores
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
    engine: Engine = on_this_machine,
    on_progress: Progress = lambda done, total: None,
) -> Features:
    """Return the embeddings of videos; those that are not in the store are computed, and stored batch by batch.

    Args:
        videos: on disk: `path` is set.
        encoder: says how to decode, and whether to read videos again that are stored as unreadable.
        sampling: which frames.
        engine: where they are decoded and encoded.
        on_progress: called with (videos done, videos in all), stored and unreadable ones included.

    Raises:
        UserError: the encoder's weights are missing, or the store cannot be read or written.
    """
    job = _Job(encoder, sampling, with_vectors=True)
    return job.features(*_embed(videos, job, engine=engine, on_progress=on_progress))


def stored_videos(
    videos: Sequence[Video], encoder: CachingEncoder, *, sampling: Sampling
) -> tuple[Features, tuple[Video, ...]]:
    """Return the embeddings that are in the store, and the videos that are not; nothing is decoded or hashed.

    A file that was moved or changed since it was embedded counts as not stored; one that is reached by another path,
    such as through a link, does not. Arguments as in `embed_videos`.

    Raises:
        UserError: the store cannot be read.
    """
    job = _Job(encoder, sampling, with_vectors=True)
    pending = _located(videos, sampling)
    stored = job.load(pending)
    if job.find_links(pending):
        stored = job.load(pending)
    is_known = [bool(p.failure) or job.records.are_enough(p.key or "", stored.entries.get) for p in pending]
    known = [p for p, known in zip(pending, is_known, strict=True) if known]
    features = job.features(job.outcome(known, stored, new=0), stored)
    return features, tuple(p.video for p, known in zip(pending, is_known, strict=True) if not known)


def _embed(
    videos: Sequence[Video], job: _Job, *, engine: Engine, on_progress: Progress
) -> tuple[_Outcome, StoredRecords]:
    """Compute and store what is not in the store; return what became of each video, and the stored records."""
    pending = _located(videos, job.work.sampling)
    stored = job.load(pending)
    todo = [p for p in pending if not p.failure and not job.records.are_enough(p.key or "", stored.entries.get)]
    new, done = 0, len(pending) - len(todo)
    on_progress(done, len(pending))
    embed = nowhere if job.imported else engine
    with closing(embed(batches_of(todo, job.work), job.work)) as batches:  # Ctrl-C ends what the engine started
        for batch in batches:
            new += job.store(batch)
            done += len(batch)
            on_progress(done, len(pending))
    stored = job.load(pending) if todo else stored
    return job.outcome(pending, stored, new=new), stored


def _located(videos: Sequence[Video], sampling: Sampling) -> list[PendingVideo]:
    """Locate the files of videos: in threads, since a network drive answers slowly, and several at a time in each."""
    size = 1 + len(videos) // (4 * THREADS)
    parts = [videos[start : start + size] for start in range(0, len(videos), size)]
    with ThreadPool(THREADS) as threads:
        return list(chain(*threads.map(lambda part: [locate(video, sampling) for video in part], parts)))


@dataclass(frozen=True)
class _Outcome:
    """What became of a list of videos."""

    videos: tuple[Video, ...]  # that have embeddings in the store
    keys: tuple[str, ...]  # of their records
    unreadable: tuple[tuple[str, str], ...]  # see `Features`, like the others
    readers: Mapping[str, int]
    new: int
    truncated: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Records:
    """The records of contents on a shelf, here and in processes that get this.

    Attributes:
        shelf: of the store.
        allow_truncated: whether the frames that are there of a video that breaks off are used.
        retry: whether videos are read again that are stored as unreadable.
    """

    shelf: Shelf
    allow_truncated: bool
    retry: bool

    def is_stored(self, key: str) -> bool:
        """Whether the content under a key need not be decoded."""
        return self.are_enough(key, self.shelf.entry)

    def are_enough(self, key: str, find: _Find) -> bool:
        """Whether it need not be decoded by what `find` knows, which looks a key up."""
        entry = self.entry(key, find)[1]
        return entry is not None and not (self.retry and entry.slot is None)

    def entry(self, key: str, find: _Find) -> tuple[str, IndexEntry | None]:
        """Return the record to use of a content, with its key; None if there is none."""
        entry = find(key)
        if not self.allow_truncated or entry is None or entry.slot is not None:
            return key, entry
        part = find(truncated_key(key))
        return (truncated_key(key), part) if part or entry.note.startswith(TRUNCATED) else (key, entry)


class _Job:
    """The embedding of videos by one encoder and sampling: one shelf of the store.

    Attributes:
        imported: whether the embeddings were made elsewhere.
        records: looks contents up.
        work: for an engine.
    """

    def __init__(
        self, encoder: CachingEncoder, sampling: Sampling, *, with_vectors: bool, batch_frames: int = BATCH_FRAMES
    ) -> None:
        self.imported = encoder.imported
        self._encoder = encoder
        self._sampling = sampling
        self._with_vectors = with_vectors
        self._shelf = encoder.frames_shelf(sampling)
        self.records = _Records(self._shelf, allow_truncated=sampling.allow_truncated, retry=encoder.retry)
        self._read = set[str]()  # keys of what was read just now
        self._added = set[str]()  # keys of those that have features now, and had none before
        self.work = Work(encoder.uncached, sampling, encoder.decoding, self.records.is_stored, batch_frames)

    def load(self, pending: Sequence[PendingVideo]) -> StoredRecords:
        """Fill in the keys of unchanged files, and return the stored records of all videos with keys.

        Unless it is `with_vectors`, they are checked and left in the store.
        """
        known = self._shelf.known_files(p.path for p in pending if p.source and not p.key)
        for p in pending:
            if p.source and p.path in known and known[p.path].stamp == p.source.stamp:
                p.key = known[p.path].key
        keys = [p.key for p in pending if p.key]
        if self._sampling.allow_truncated:
            keys = [*keys, *map(truncated_key, keys)]
        stored = self._shelf.load(keys) if self._with_vectors else self._shelf.without_vectors(keys)
        self._keep(pending, stored.entries.get)
        return stored

    def find_links(self, pending: Sequence[PendingVideo]) -> bool:
        """Fill in the keys of files that are known under another path; return whether there are any."""
        new = [p for p in pending if p.source and not p.key and not p.failure]
        known = {os.path.realpath(file.path): file for file in self._shelf.every_file()} if new else {}
        for p in new:
            file = known.get(os.path.realpath(p.path))
            if p.source and file and file.stamp == p.source.stamp:
                p.key = file.key
        return any(p.key for p in new)

    def _keep(self, pending: Sequence[PendingVideo], find: _Find) -> None:
        """Note which videos have features in the store."""
        entries = [(p, self.records.entry(p.key, find)[1]) for p in pending if p.key and not p.failure]
        self._encoder.kept.update(p.path for p, entry in entries if entry and entry.slot is not None)

    def store(self, batch: Batch) -> int:
        """Store a batch that an engine embedded; return how many videos of it had no features before this job."""
        new = [record for p in batch for record in _records(p)]
        self._added |= {r.key for r in new if r.array is not None and not self._has_features(r.key)}
        self._read |= {record.key for record in new}
        files = [KnownFile(p.path, p.source.stamp, p.key) for p in batch if p.source and p.key and not p.failure]
        if files:
            shape = next((r.array.shape for r in new if r.array is not None), None)
            self._shelf.add(new, shape=shape or (self._sampling.views, *self._no_views().shape[1:]), files=files)
        self._keep(batch, self._shelf.entry)
        for p in batch:
            p.vectors = None  # to free the memory
        keys = [{p.key, truncated_key(p.key)} for p in batch if p.key]
        return sum(not self._added.isdisjoint(each) for each in keys)  # a copy of a video that is new is new too

    def _has_features(self, key: str) -> bool:
        entry = self._shelf.entry(key)
        return entry is not None and entry.slot is not None

    def outcome(self, pending: Sequence[PendingVideo], stored: StoredRecords, *, new: int) -> _Outcome:
        """Return what became of each video."""
        entries = [(p, *self._stored(p, stored)) for p in pending]
        readable = [(p, key, entry.note.partition("; ")) for p, key, entry in entries if entry.slot is not None]
        return _Outcome(
            videos=tuple(p.video for p, _, _ in readable),
            keys=tuple(key for _, key, _ in readable),
            unreadable=tuple((p.video.id, entry.note) for p, _, entry in entries if entry.slot is None),
            readers=Counter(reader for _, _, (reader, _, _) in readable),
            new=new,
            truncated=tuple((p.video.id, extent) for p, _, (_, _, extent) in readable if extent),
        )

    def features(self, outcome: _Outcome, stored: StoredRecords) -> Features:
        """Return the stored embeddings of all videos; see `Features`."""
        with uncollected():
            import torch

        frames = torch.from_numpy(stored.rows(outcome.keys)) if outcome.keys else None
        return Features(
            frames=self._no_views() if frames is None else frames.flatten(0, 1),  # [V * W, T, D]
            views=self._sampling.views,
            videos=outcome.videos,
            unreadable=outcome.unreadable,
            readers=outcome.readers,
            new=outcome.new,
            truncated=outcome.truncated,
            of_clips=self._encoder.clip_frames is not None,
        )

    def _no_views(self) -> Tensor:
        import torch

        vectors = self._sampling.frames if self._encoder.clip_frames is None else 1  # of a view
        return torch.empty(0, vectors, self._encoder.width)

    def _stored(self, pending: PendingVideo, stored: StoredRecords) -> tuple[str, IndexEntry]:
        if pending.failure:
            return "", IndexEntry(None, None, pending.failure)
        key, entry = self.records.entry(pending.key or "", stored.entries.get)
        if entry is None:
            raise UserError("Features were removed from the store in the meantime. Run the command again")
        if entry.slot is None and key not in self._read:
            entry = IndexEntry(None, None, f"{entry.note} ({REMEMBERED})")
        return key, entry


def _records(pending: PendingVideo) -> Iterator[NewRecord]:
    """Yield what to store about a video that was read just now."""
    if pending.key and pending.truncated:
        yield NewRecord(pending.key, None, str(TruncatedVideo(pending.truncated)))
        yield NewRecord(truncated_key(pending.key), pending.vectors, f"{pending.note}; {pending.truncated}")
    elif pending.key and pending.note:
        yield NewRecord(pending.key, pending.vectors, pending.note)


@dataclass(frozen=True)
class EmbedReport:
    """The outcome of embedding a dataset."""

    encoder: str  # its id
    sampling: Sampling
    layout: str  # see `VideoList`
    counts: Mapping[str, int]  # listed, stored before, embedded, truncated, unreadable, missing, beyond the limit
    ignored: Mapping[str, int]  # see `VideoList.skipped`
    unreadable: tuple[tuple[str, str], ...]  # (video id, reason)
    truncated: tuple[tuple[str, str], ...]  # see `Features`
    seconds: float


def embed_dataset(
    dataset: Dataset,
    video_list: VideoList,
    encoder: CachingEncoder,
    *,
    sampling: Sampling,
    limit: int | None = None,
    shard: Shard = Shard(),  # noqa: B008 - frozen
    batch_frames: int = BATCH_FRAMES,
    engine: Engine = on_this_machine,
    on_progress: Progress = lambda done, total: None,
) -> EmbedReport:
    """Embed the videos of a dataset that are on disk and not in the store; arguments as in `embed_videos`.

    Of the videos on disk, at most `limit`, only those of the shard. Shards have whole batches, those of one process:
    the last bits of an embedding depend on the frames that are encoded with its own.

    Raises:
        UserError: no video is on disk, the encoder's weights are missing, or the store cannot be read or written.
    """
    start = time.perf_counter()
    present = videos_on_disk(dataset, video_list, limit)
    job = _Job(encoder, sampling, with_vectors=False, batch_frames=batch_frames)
    ours = shard.of(present, at_a_time=videos_per_batch(job.work))
    embedded, _ = _embed(ours, job, engine=engine, on_progress=on_progress)
    counts = _counts(embedded, video_list, present=len(present), ours=len(ours), in_shards=shard.count > 1)
    return EmbedReport(
        encoder=encoder.id,
        sampling=sampling,
        layout=video_list.layout,
        counts=counts,
        ignored=video_list.skipped,
        unreadable=embedded.unreadable,
        truncated=embedded.truncated,
        seconds=time.perf_counter() - start,
    )


def _counts(
    embedded: _Outcome, video_list: VideoList, *, present: int, ours: int, in_shards: bool
) -> Mapping[str, int]:
    missing = len(video_list.missing)
    return {
        "listed": len(video_list.videos),
        "stored before": len(embedded.videos) - embedded.new,
        "embedded": embedded.new,
        "truncated": len(embedded.truncated),
        "unreadable": len(embedded.unreadable),
        **({"in other shards": present - ours} if in_shards else {}),
        "missing": missing,
        "beyond the limit": len(video_list.videos) - missing - present,
    }
