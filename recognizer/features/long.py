"""Embeddings of long videos in the feature store: decoded and encoded once for each rate.

The store's records have one shape. So the frames of a video lie in records of 256, the last one filled up with zeros,
under the keys `<content>:0`, `<content>:1` ...; the note of each is how many frames there are.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from encoders.protocol import Preprocessing
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.decode import Source, content_of, source_of
from recognizer.features.store import New, Seen, Shelf
from recognizer.video.frames import UnreadableVideo
from recognizer.video.long import LongVideo, embed_long_video

if TYPE_CHECKING:
    from torch import Tensor


_RECORD = 256  # frames


def long_video(
    path: Path,
    encoder: CachingEncoder,
    *,
    fps: float,
    preprocessing: Preprocessing = "own",
    on_progress: Callable[[float], None] = lambda seconds: None,
) -> LongVideo:
    """Return what `embed_long_video` returns, from the feature store where it is there, else through it.

    Raises:
        UnreadableVideo: with a reason to count by; that is not kept.
        UserError: the encoder's weights are not here, or the store refuses.
    """
    if not path.is_file():
        return embed_long_video(path, encoder, fps=fps)  # says what is wrong
    shelf = encoder.long_shelf(fps=fps, preprocessing=preprocessing)
    source = source_of(path, frames=1)
    seen = shelf.seen([path]).get(path)
    key = seen.key if seen and seen.stamp == source.stamp else content_of(source)
    frames = _stored(shelf, key)
    if frames is not None:
        return LongVideo(path, frames, fps)
    video = embed_long_video(path, encoder, fps=fps, preprocessing=preprocessing, on_progress=on_progress)
    _keep(shelf, key, source, video)
    return video


def _stored(shelf: Shelf, key: str) -> Tensor | None:
    """Return the frames [T, D] of a video; None where not all of them are there and whole."""
    import torch

    first = shelf.entry(f"{key}:0")
    if first is None:
        return None
    total = int(first.note)
    keys = [f"{key}:{number}" for number in range(-(-total // _RECORD))]
    loaded = shelf.load(keys)
    if loaded.damaged:
        shelf.forget(loaded.damaged)
    if len(loaded.entries) < len(keys):
        return None
    return torch.from_numpy(loaded.rows(keys)).flatten(0, 1)[:total]


def _keep(shelf: Shelf, key: str, source: Source, video: LongVideo) -> None:
    from torch.nn.functional import pad

    if source_of(video.path, frames=1).stamp != source.stamp:
        raise UnreadableVideo("changed while it was read")
    total, width = video.frames.shape
    filled = pad(video.frames, (0, 0, 0, -total % _RECORD)).unflatten(0, (-1, _RECORD))  # [N, 256, D]
    news = [New(f"{key}:{number}", record.numpy(), str(total)) for number, record in enumerate(filled)]
    shelf.add(news, shape=(_RECORD, width), seen=[Seen(video.path, source.stamp, key)])
