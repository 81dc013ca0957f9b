"""Embeddings of long videos in the feature store: decoded and encoded once for each rate.

A video's frames are cut into records of 256, the last one padded with zeros, under the keys `<content hash>:0`,
`<content hash>:1` ...; the note of each is how many frames the video has. An unreadable one has the first key and its
reason. The frames that are there of a file that breaks off are under `<content hash>:truncated:0` ...; `; ` and how
much of it is there follow in the note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from encoders.protocol import Preprocessing
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.decode import refuse_change, truncated_key
from recognizer.features.store import IndexEntry, KnownFile, NewRecord, Shelf
from recognizer.video.container import REMEMBERED, TRUNCATED, InaccessibleVideo, TruncatedVideo, UnreadableVideo
from recognizer.video.long import LongVideo, Window, embed_long_video, read_windows
from recognizer.video.pool import Pool
from recognizer.video.source import content_of, source_of

if TYPE_CHECKING:
    from torch import Tensor


_RECORD = 256  # frames


def load_long_video(
    path: Path,
    encoder: CachingEncoder,
    *,
    fps: float,
    preprocessing: Preprocessing = "own",
    allow_truncated: bool = False,
    on_progress: Callable[[float], None] = lambda seconds: None,
    read: Callable[[Path, float, bool], Iterator[Window]] = read_windows,
) -> LongVideo:
    """Return the embeddings of a long video from the feature store; if they are not stored, compute and store them.

    A worker process decodes it. Arguments as in `embed_long_video`, and:

    Args:
        read: `read_windows`, or a function of your own with the same arguments, in a module that workers can import.

    Raises:
        UnreadableVideo: with a reason to count by. Unless it comes from the surroundings it is stored, and raised
            the next time too, until the file changes or the encoder says to retry.
        UserError: the encoder's weights are missing, or the store cannot be read or written.
    """
    if not path.is_file():
        return embed_long_video(path, encoder, fps=fps)  # raises UnreadableVideo
    shelf = encoder.long_shelf(fps=fps, preprocessing=preprocessing)
    source = source_of(path)
    known = shelf.known_files([path]).get(path)
    key = known.key if known and known.stamp == source.stamp else content_of(source)
    for stored_as in (key, truncated_key(key)) if allow_truncated else (key,):
        if stored := _load(shelf, stored_as):
            encoder.kept.add(path)
            return LongVideo(path, stored.frames, fps, stored.truncated)
    if not encoder.retry:
        _refuse_remembered(shelf.entry(f"{key}:0"), allow_truncated=allow_truncated)
    with Pool(encoder.decoding) as pool:
        windows = pool.stream(read, path.absolute(), fps, allow_truncated, size=path.stat().st_size)
        embed = partial(embed_long_video, path, encoder, fps=fps, preprocessing=preprocessing, windows=windows)
        video = _video_or_reason(partial(embed, on_progress=on_progress))
    refuse_change(path, frames=1, before=source)
    file = KnownFile(path, source.stamp, key)
    if isinstance(video, UnreadableVideo):
        shelf.add([NewRecord(f"{key}:0", None, str(video))], shape=(_RECORD, encoder.width), files=[file])
        raise video
    _store(shelf, file, _Stored(video.frames, video.truncated))
    encoder.kept.add(path)
    return video


def _video_or_reason(read: Callable[[], LongVideo]) -> LongVideo | UnreadableVideo:
    """Return a video, or why its content cannot be read; raise InaccessibleVideo if the surroundings are the reason."""
    try:
        return read()
    except InaccessibleVideo:
        raise
    except UnreadableVideo as reason:
        return reason


class _Stored(NamedTuple):
    frames: Tensor  # [T, D]
    truncated: str  # see `LongVideo`


def _refuse_remembered(entry: IndexEntry | None, *, allow_truncated: bool) -> None:
    """Raise UnreadableVideo if a video is stored as unreadable, and would be so again."""
    if entry is None or entry.slot is not None or (allow_truncated and entry.note.startswith(TRUNCATED)):
        return
    reason, _, detail = entry.note.partition(": ")
    raise UnreadableVideo(reason, f"{detail} ({REMEMBERED})".lstrip())


def _load(shelf: Shelf, key: str) -> _Stored | None:
    """Return the frames of a video; None unless all of its records are stored and undamaged."""
    import torch

    first = shelf.entry(f"{key}:0")
    if first is None or first.slot is None:
        return None
    total, _, truncated = first.note.partition("; ")
    keys = [f"{key}:{number}" for number in range(-(-int(total) // _RECORD))]
    stored = shelf.load(keys)
    if len(stored.entries) < len(keys):
        return None
    return _Stored(torch.from_numpy(stored.rows(keys)).flatten(0, 1)[: int(total)], truncated)


def _store(shelf: Shelf, file: KnownFile, video: _Stored) -> None:
    from torch.nn.functional import pad

    total, width = video.frames.shape
    padded = pad(video.frames, (0, 0, 0, -total % _RECORD)).unflatten(0, (-1, _RECORD))  # [N, 256, D]
    key, note = file.key, str(total)
    new: list[NewRecord] = []
    if video.truncated:
        new.append(NewRecord(f"{key}:0", None, str(TruncatedVideo(video.truncated))))
        key, note = truncated_key(key), f"{total}; {video.truncated}"
    new += [NewRecord(f"{key}:{number}", record.numpy(), note) for number, record in enumerate(padded)]
    shelf.add(new, shape=(_RECORD, width), files=[file])
