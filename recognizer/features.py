"""Videos to frame embeddings: decoding in threads, encoding in batches that are filled across videos."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recognizer.datasets import Video
from recognizer.encoders import Encoder, Preprocessing
from recognizer.frames import UnreadableVideo, read_frames

if TYPE_CHECKING:
    from torch import Tensor

_WORKERS = 4
_AHEAD = 16  # decoded videos that wait for the encoder at most
_BATCH_FRAMES = 128


@dataclass(frozen=True)
class Features:
    """What a set of videos looks like to an encoder.

    Attributes:
        frames: embeddings [V, T, D], float32, as the encoder gives them (not normalised).
        videos: the V videos, in the order of `frames`.
        unreadable: (video id, reason) of each video that gave no frames.
    """

    frames: Tensor
    videos: tuple[Video, ...]
    unreadable: tuple[tuple[str, str], ...]


def embed_videos(
    videos: Sequence[Video],
    encoder: Encoder,
    *,
    frames: int = 16,
    preprocessing: Preprocessing = "own",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Features:
    """Embed `frames` evenly spread frames of each video.

    Args:
        videos: those on disk; `path` is set.
        encoder: whose image tower.
        frames: T.
        preprocessing: see `Encoder.preprocess`.
        on_progress: told (videos done, videos in all), unreadable ones included.
    """
    import torch

    read: list[Video] = []
    unreadable: list[tuple[str, str]] = []
    embeddings: list[Tensor] = []
    waiting: list[Tensor] = []

    def encode() -> None:
        pixels = torch.cat(waiting)  # [N * T, 3, S, S]
        embeddings.append(encoder.encode_frames(pixels).unflatten(0, (-1, frames)))  # [N, T, D]
        waiting.clear()
        on_progress(len(read) + len(unreadable), len(videos))

    for video, outcome in _decoded(videos, encoder, frames, preprocessing):
        if isinstance(outcome, UnreadableVideo):
            unreadable.append((video.id, str(outcome)))
            continue
        read.append(video)
        waiting.append(outcome)
        if len(waiting) * frames >= _BATCH_FRAMES:
            encode()
    if waiting:
        encode()
    empty = torch.empty(0, frames, encoder.width)
    return Features(torch.cat([empty, *embeddings]), tuple(read), tuple(unreadable))


def _decoded(
    videos: Sequence[Video], encoder: Encoder, frames: int, preprocessing: Preprocessing
) -> Iterator[tuple[Video, Tensor | UnreadableVideo]]:
    """Yield each video with its preprocessed frames [T, 3, S, S], in order, a bounded number of them ahead."""

    def decode(video: Video) -> Tensor | UnreadableVideo:
        assert video.path is not None  # noqa: S101 - the caller passes videos on disk
        try:
            return encoder.preprocess(read_frames(video.path, frames).pixels, preprocessing=preprocessing)
        except UnreadableVideo as reason:
            return reason

    queue: deque[tuple[Video, Future[Tensor | UnreadableVideo]]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for video in videos:
            queue.append((video, pool.submit(decode, video)))
            if len(queue) >= _AHEAD:
                first, future = queue.popleft()
                yield first, future.result()
        for first, future in queue:
            yield first, future.result()
