"""Embeddings of long videos in the feature store: decoded and encoded once for each rate.

A video's frames are cut into records of 256, the last one padded with zeros, under the keys `<content hash>:0`,
`<content hash>:1` ...; the note of each is how many frames the video has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from encoders.protocol import Preprocessing
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.decode import refuse_change
from recognizer.features.store import KnownFile, NewRecord, Shelf
from recognizer.video.long import LongVideo, embed_long_video
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
    on_progress: Callable[[float], None] = lambda seconds: None,
) -> LongVideo:
    """Return the embeddings of a long video from the feature store; if they are not stored, compute and store them.

    Arguments as in `embed_long_video`.

    Raises:
        UnreadableVideo: with a reason to count by; it is not stored.
        UserError: the encoder's weights are missing, or the store cannot be read or written.
    """
    if not path.is_file():
        return embed_long_video(path, encoder, fps=fps)  # raises UnreadableVideo
    shelf = encoder.long_shelf(fps=fps, preprocessing=preprocessing)
    source = source_of(path)
    known = shelf.known_files([path]).get(path)
    key = known.key if known and known.stamp == source.stamp else content_of(source)
    frames = _load(shelf, key)
    if frames is not None:
        return LongVideo(path, frames, fps)
    video = embed_long_video(path, encoder, fps=fps, preprocessing=preprocessing, on_progress=on_progress)
    refuse_change(path, frames=1, before=source)
    _store(shelf, KnownFile(path, source.stamp, key), video.frames)
    return video


def _load(shelf: Shelf, key: str) -> Tensor | None:
    """Return the frames [T, D] of a video; None unless all of its records are stored and undamaged."""
    import torch

    first = shelf.entry(f"{key}:0")
    if first is None:
        return None
    total = int(first.note)
    keys = [f"{key}:{number}" for number in range(-(-total // _RECORD))]
    stored = shelf.load(keys)
    if len(stored.entries) < len(keys):
        return None
    return torch.from_numpy(stored.rows(keys)).flatten(0, 1)[:total]


def _store(shelf: Shelf, file: KnownFile, frames: Tensor) -> None:
    from torch.nn.functional import pad

    total, width = frames.shape
    padded = pad(frames, (0, 0, 0, -total % _RECORD)).unflatten(0, (-1, _RECORD))  # [N, 256, D]
    new = [NewRecord(f"{file.key}:{number}", record.numpy(), str(total)) for number, record in enumerate(padded)]
    shelf.add(new, shape=(_RECORD, width), files=[file])
