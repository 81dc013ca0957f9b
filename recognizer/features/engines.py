"""The ways in which videos are embedded: an engine decodes and encodes batches of them, wherever it likes.

An engine is one function, `(batches, work) -> batches`. What it does with a video is `decode`, and with a batch
`encode_batch`; both depend on their arguments alone, so that every engine gives the same embeddings to the last bit: a
batch always holds the same videos. Who calls an engine looks up and stores; no engine knows the feature store.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from threading import Event
from typing import TYPE_CHECKING, cast

from encoders.checks import check_frames
from encoders.protocol import ClipEncoder, Encoder, traits_of
from recognizer.features.decode import THREADS, PendingVideo, ThreadPool, decode, look_up, preprocess
from recognizer.video.pool import Decoding, Pool
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    from torch import Tensor

BATCH_FRAMES = 128
_FRAMES_AHEAD = 256  # decoded frames that wait for the encoder, besides those in progress: 40 MB at 224 x 224
_BYTES_AHEAD = 2**28  # of frames as they were read, while the encoder loads

Batch = Sequence[PendingVideo]


def _never(_key: str) -> bool:
    return False


@dataclass(frozen=True)
class Work:
    """How videos are embedded.

    Attributes:
        encoder: its weights load at the first use.
        sampling: which frames.
        decoding: in how many processes videos are read, and how long.
        is_stored: whether the content under a key need not be decoded; called from threads. Without it each is.
        batch_frames: see `videos_per_batch`.
    """

    encoder: Encoder
    sampling: Sampling = field(default_factory=Sampling)
    decoding: Decoding = field(default_factory=Decoding)
    is_stored: Callable[[str], bool] = _never
    batch_frames: int = BATCH_FRAMES

    @property
    def frames(self) -> int:
        """Frames of one video, those of all views."""
        return self.sampling.frames * self.sampling.views


# Yields the batches, each as `embed_batch` returns it, in any order. Raises UserError if the encoder or the machines
# fail; a video that cannot be read is no error.
Engine = Callable[[Sequence[Batch], Work], Generator[Batch]]


def videos_per_batch(work: Work) -> int:
    """Return how many videos have `batch_frames` frames, or just more."""
    return -(-work.batch_frames // work.frames)


def batches_of(videos: Sequence[PendingVideo], work: Work) -> list[Batch]:
    """Cut a list of videos into batches."""
    size = videos_per_batch(work)
    return [videos[start : start + size] for start in range(0, len(videos), size)]


def on_this_machine(batches: Sequence[Batch], work: Work) -> Generator[Batch]:
    """Decode in worker processes, preprocess in threads, and encode in this thread meanwhile; batches in order.

    To preprocess, torch and often the weights must have been loaded. Until then, threads read on: small frames wait,
    and the first of them load what is missing in this thread.
    """
    ahead = THREADS + _FRAMES_AHEAD // work.frames  # videos
    loaded = Event()
    decode_one = partial(
        decode_video, work=work, may_wait=lambda size: not loaded.is_set() and size <= _BYTES_AHEAD // ahead
    )
    with ThreadPool(THREADS) as threads, Pool(work.decoding) as pool:
        decoded = threads.map_ahead(partial(decode_one, pool=pool), chain(*batches), ahead=ahead)
        for batch in batches:
            yield encode_batch([_preprocessed(next(decoded), work, loaded) for _ in batch], work)


def _preprocessed(pending: PendingVideo, work: Work, loaded: Event) -> PendingVideo:
    """Preprocess the frames of a video, if they waited; from then on, what that needs is loaded."""
    if pending.frames is not None:
        preprocess(pending, work.sampling, work.encoder)
        loaded.set()
    return pending


def nowhere(batches: Sequence[Batch], work: Work) -> Generator[Batch]:
    """Look up each video by its content: the embeddings of an imported encoder are stored already, or missing."""
    with ThreadPool(THREADS) as threads:
        look = partial(look_up, encoder=work.encoder.id, is_stored=work.is_stored)
        for batch in batches:
            yield list(threads.map(look, batch))


def decode_video(
    pending: PendingVideo, *, work: Work, pool: Pool, may_wait: Callable[[int], bool] = lambda _size: False
) -> PendingVideo:
    """Decode and preprocess one video; see `decode`."""
    return decode(pending, work.sampling, work.encoder, is_stored=work.is_stored, pool=pool, may_wait=may_wait)


def encode_batch(batch: Batch, work: Work) -> Batch:
    """Replace the pixels of each decoded video by its embeddings.

    Raises:
        UserError: the vectors are not finite, or the same for different frames.
    """
    import torch

    decoded = [pending for pending in batch if pending.pixels is not None]
    if decoded:
        pixels = torch.cat([cast("Tensor", pending.pixels) for pending in decoded])
        views = encode_views(pixels, work.encoder, frames=work.sampling.frames)  # [N * W, T, D]
        for pending, vectors in zip(decoded, views.unflatten(0, (len(decoded), -1)).numpy(), strict=True):
            pending.vectors, pending.pixels = vectors, None
    return batch


def encode_views(pixels: Tensor, encoder: Encoder, *, frames: int) -> Tensor:
    """Return the embeddings [N, T, D] of N views, or [N, 1, D] of an encoder of clips.

    Args:
        pixels: preprocessed frames [N * T, 3, S, S].
        encoder: of frames or of clips.
        frames: T.

    Raises:
        UserError: the vectors are not finite, or the same for different frames or clips.
    """
    if traits_of(encoder).clip_frames is None:
        vectors = encoder.encode_frames(pixels)  # [N * T, D]
        check_frames(encoder.id, pixels, vectors)
        return vectors.reshape(-1, frames, vectors.shape[1])
    clips = pixels.reshape(-1, frames, *pixels.shape[1:])  # [N, T, 3, S, S]
    vectors = cast(ClipEncoder, encoder).encode_clips(clips)  # [N, D]
    check_frames(encoder.id, clips, vectors, item="clip")
    return vectors[:, None]
