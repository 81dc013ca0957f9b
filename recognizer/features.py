"""Videos to frame embeddings: decoding in threads, encoding in batches that are filled across videos."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import Encoder, Preprocessing
from recognizer.datasets import Video
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
        readers: how many videos each reader (decord, pyav, images) read.
    """

    frames: Tensor
    videos: tuple[Video, ...]
    unreadable: tuple[tuple[str, str], ...]
    readers: Mapping[str, int]


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
    readers: Counter[str] = Counter()
    embeddings: list[Tensor] = [torch.empty(0, frames, encoder.width)]
    waiting: list[Tensor] = []
    for video, decoded in _decoded(videos, encoder, frames, preprocessing):
        if isinstance(decoded, UnreadableVideo):
            unreadable.append((video.id, str(decoded)))
        else:
            read.append(video)
            readers[decoded.reader] += 1
            waiting.append(decoded.pixels)
        if len(waiting) * frames >= _BATCH_FRAMES:
            embeddings.append(_encode(encoder, waiting))
            waiting.clear()
            on_progress(len(read) + len(unreadable), len(videos))
    if waiting:
        embeddings.append(_encode(encoder, waiting))
    on_progress(len(videos), len(videos))
    return Features(torch.cat(embeddings), tuple(read), tuple(unreadable), readers)


def _encode(encoder: Encoder, videos: Sequence[Tensor]) -> Tensor:
    """Return the embeddings [N, T, D] of N videos' frames [T, 3, S, S]."""
    import torch

    embeddings = encoder.encode_frames(torch.cat(list(videos)))  # [N * T, D]
    return embeddings.reshape(len(videos), -1, embeddings.shape[-1])


@dataclass(frozen=True)
class _Decoded:
    pixels: Tensor  # float32 [T, 3, S, S], preprocessed
    reader: str


def _decoded(
    videos: Sequence[Video], encoder: Encoder, frames: int, preprocessing: Preprocessing
) -> Iterator[tuple[Video, _Decoded | UnreadableVideo]]:
    """Yield each video with its preprocessed frames, in order, a bounded number of them ahead."""

    def decode(video: Video) -> _Decoded | UnreadableVideo:
        assert video.path is not None  # noqa: S101 - the caller passes videos on disk
        try:
            found = read_frames(video.path, frames)
            return _Decoded(encoder.preprocess(found.pixels, preprocessing=preprocessing), found.reader)
        except UnreadableVideo as reason:
            return reason

    queue: deque[tuple[Video, Future[_Decoded | UnreadableVideo]]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for video in videos:
            queue.append((video, pool.submit(decode, video)))
            if len(queue) >= _AHEAD:
                first, future = queue.popleft()
                yield first, future.result()
        for first, future in queue:
            yield first, future.result()
