"""Import embeddings that were made elsewhere as the encoder `imported:NAME`: all of them, or none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from db.errors import UserError, first_few
from db.local_paths import public_names
from db.progress import Progress
from encoders.imported import PREFIX, Imported, imported_encoder
from recognizer.datasets.find import Video, VideoList
from recognizer.features.arrays import GivenArray
from recognizer.features.decode import THREADS, PendingVideo, ThreadPool, locate
from recognizer.features.imported import shelf_rows, text_key, texts_key, videos_key
from recognizer.features.store import FeatureStore, KnownFile, NewRecord, Shelf
from recognizer.video.container import UnreadableVideo
from recognizer.video.sampling import Sampling
from recognizer.video.source import content_of

_Keyed = tuple[str, NDArray[np.float32]]  # key of the feature store, record
_READER = "imported"  # where the name of the video reader stands otherwise


@dataclass(frozen=True)
class ImportReport:
    """What an import stored."""

    encoder: str  # imported:NAME
    frames: int  # T
    views: int  # W
    width: int  # D
    of_clips: bool  # one vector a video or clip, not of a frame
    videos: int  # in the file
    new_videos: int  # that were not stored yet
    texts: int  # in the file of texts
    new_texts: int


def import_features(
    store: FeatureStore,
    name: str,
    videos: GivenArray,
    video_list: VideoList,
    *,
    texts: GivenArray | None = None,
    on_progress: Progress = lambda done, total: None,
) -> ImportReport:
    """Store embeddings as the encoder `imported:NAME`; those that are stored already may be in the files again.

    Args:
        store: where to.
        name: NAME.
        videos: [V, D], [V, T, D] or [V, W, T, D], with ids of the list or file names that are unique in it.
        video_list: of a dataset.
        texts: [N, D], with the texts as ids.
        on_progress: called with (videos hashed, videos in all).

    Raises:
        UsageError: `name` cannot be a name.
        UserError: something does not fit; nothing is stored.
    """
    records = _records(videos.vectors)
    shape, of_clips = records.shape[1:], videos.of_clips or videos.vectors.ndim == 2
    words = _words(texts, width=shape[-1])
    encoder = _encoder(store, imported_encoder(f"{PREFIX}{name}"), videos, shape, of_clips=of_clips)
    pending = _hashed(_videos_of(videos.ids, video_list), Sampling(shape[1], shape[0]), on_progress)
    titles = {p.key or "": p.video.id for p in pending} | {
        text_key(text): text for text in (texts.ids if texts else ())
    }
    shelf, text_shelf = Shelf(store, videos_key(encoder, shape)), Shelf(store, texts_key(encoder))
    new_videos = _new(shelf, _by_content(pending, records), "videos", encoder.id, titles)
    new_texts = _new(text_shelf, words, "texts", encoder.id, titles)
    files = [KnownFile(p.path, p.source.stamp, p.key) for p in pending if p.source and p.key]
    shelf.add([NewRecord(key, row, _READER) for key, row in new_videos], shape=shape, files=files)
    if new_texts:
        new = [NewRecord(key, row, "0") for key, row in new_texts]  # tokens: not known
        text_shelf.add(new, shape=shape[-1:], facts={"context_length": 0})
    return ImportReport(
        encoder=encoder.id, frames=shape[1], views=shape[0], width=shape[2], of_clips=of_clips,
        videos=len(pending), new_videos=len(new_videos), texts=len(words), new_texts=len(new_texts),
    )  # fmt: skip


def _records(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return embeddings as [V, W, T, D]."""
    if vectors.ndim > 4:
        raise UserError(
            f"The embeddings of videos have the shape {list(vectors.shape)}. Known: [V, D], [V, T, D] and "
            "[V, W, T, D], with V videos, W views, T frames and width D"
        )
    middle = (1,) * (4 - vectors.ndim)
    return vectors.reshape(len(vectors), *middle, *vectors.shape[1:])


def _words(texts: GivenArray | None, *, width: int) -> list[_Keyed]:
    if texts is None:
        return []
    shape = list(texts.vectors.shape)
    if texts.vectors.ndim != 2 or shape[1] != width:
        raise UserError(f"The embeddings of texts have the shape {shape}, not [N, {width}]: videos have width {width}")
    return list(zip(map(text_key, texts.ids), texts.vectors, strict=True))


def _encoder(
    store: FeatureStore, encoder: Imported, videos: GivenArray, shape: tuple[int, ...], *, of_clips: bool
) -> Imported:
    """Return the encoder with its revision: that of the first import, or for a new name the digest of these numbers.

    Raises:
        UserError: what is stored under the name has another shape.
    """
    new = replace(encoder, traits=replace(encoder.traits, clip_frames=1 if of_clips else None))
    rows = shelf_rows(store, encoder.id)
    if not rows:
        digest = hashlib.sha256("\n".join([repr(videos.vectors.shape), *videos.ids]).encode())
        digest.update(np.ascontiguousarray(videos.vectors, "<f4").data)
        return replace(new, revision=digest.hexdigest())
    new = replace(new, revision=rows[0].key["revision"])
    key, before = videos_key(new, shape), [row for row in rows if row.key["what"] != "texts"]
    if any(row.key != key or row.shape != shape for row in before) or any(row.shape[-1] != shape[-1] for row in rows):
        raise UserError(
            f"{encoder.id} has {_shown(before[0].shape if before else rows[0].shape)}"
            f"{', of clips' if any(row.key['what'] == 'clips' for row in before) else ''}, and this file has "
            f"{_shown(shape)}{', of clips' if of_clips else ''}. {_other_name(encoder.id)}"
        )
    return new


def _shown(shape: Sequence[int]) -> str:
    return " x ".join(
        f"{n} {axis}" for n, axis in zip(shape, ("views", "frames", "numbers")[-len(shape) :], strict=True)
    )


def _other_name(id_: str) -> str:
    return f"Choose another --name, or delete what is stored: recognize features prune --encoder {id_}"


def _videos_of(ids: Sequence[str], video_list: VideoList) -> list[Video]:
    """Return the videos of ids; an id that is none may be a file name, with or without suffix, or the end of a path."""
    by_id = {video.id: video for video in video_list.videos}
    by_name: dict[str, set[str]] = {}
    public = public_names(list(by_id))
    for video in video_list.videos:
        file = video.id.rpartition("/")[2]
        for name in (file, file.rpartition(".")[0], public[video.id]):
            by_name.setdefault(name, set()).add(video.id)
    meant = {id_: {id_} if id_ in by_id else by_name.get(id_, set()) for id_ in ids}
    _refuse(
        [id_ for id_ in ids if not meant[id_]], len(ids), "ids are no videos of the dataset",
        f"They are listed like {video_list.videos[0].id if video_list.videos else '(none)'}",
    )  # fmt: skip
    _refuse([id_ for id_ in ids if len(meant[id_]) > 1], len(ids), "ids are names of several videos", "Give whole ids")
    videos = [by_id[next(iter(meant[id_]))] for id_ in ids]
    earlier: set[str] = set()
    twice = [video.id for video in videos if video.id in earlier or earlier.add(video.id)]  # type: ignore[func-returns-value]
    _refuse(twice, len(ids), "videos are named twice", "Keep one row of each")
    absent = [video.id for video in videos if video.path is None]
    _refuse(
        absent, len(ids), "videos are not on disk", "Embeddings are kept by the content of the files: leave them out"
    )
    return videos


def _refuse(wrong: Sequence[str], total: int, fault: str, advice: str) -> None:
    if wrong:
        raise UserError(f"{len(wrong)} of {total} {fault}: {first_few(wrong)}. {advice}. Nothing was stored")


def _hashed(videos: Sequence[Video], sampling: Sampling, on_progress: Progress) -> list[PendingVideo]:
    """Return located videos with the hash of their content."""

    def hashed(video: Video) -> PendingVideo:
        pending = locate(video, sampling)
        try:
            pending.key = content_of(pending.source) if pending.source else None
        except UnreadableVideo as reason:
            pending.failure = str(reason)
        return pending

    pending: list[PendingVideo] = []
    with ThreadPool(THREADS) as pool:
        for done in pool.map_ahead(hashed, videos, ahead=2 * THREADS):
            pending.append(done)
            on_progress(len(pending), len(videos))
    failed = [f"{p.video.id} ({p.failure})" for p in pending if p.failure]
    _refuse(failed, len(videos), "videos cannot be read", "Leave them out")
    return pending


def _by_content(pending: Sequence[PendingVideo], records: NDArray[np.float32]) -> list[_Keyed]:
    """Return a record for each content; files with the same content must have the same numbers."""
    first: dict[str, tuple[str, NDArray[np.float32]]] = {}
    differ = []
    for p, record in zip(pending, records, strict=True):
        id_, other = first.setdefault(p.key or "", (p.video.id, record))
        if not np.array_equal(other, record):
            differ.append(f"{p.video.id} and {id_}")
    _refuse(
        differ, len(pending), "videos have the same content as another one, and other numbers", "Give both the same"
    )
    return [(key, record) for key, (_, record) in first.items()]


def _new(shelf: Shelf, keyed: Sequence[_Keyed], noun: str, id_: str, titles: Mapping[str, str]) -> list[_Keyed]:
    """Return the records that are not stored yet.

    Raises:
        UserError: some are stored with other numbers.
    """
    stored = shelf.load([key for key, _ in keyed])
    slots = {key: entry.slot for key, entry in stored.entries.items() if entry.slot is not None}
    wrong = [titles[key] for key, row in keyed if key in slots and not np.array_equal(stored.arrays[slots[key]], row)]
    _refuse(wrong, len(keyed), f"{noun} are stored with other numbers as {id_}", _other_name(id_))
    return [(key, row) for key, row in keyed if key not in slots]
