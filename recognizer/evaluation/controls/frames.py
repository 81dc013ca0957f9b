"""Videos whose frames are out of order, or one frame alone: what order and motion are worth to a method."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


def reversed_frames(frames: Tensor, seed: int) -> Tensor:
    """Return frames [V, T, D] from last to first."""
    return frames.flip(1)


def shuffled_frames(frames: Tensor, seed: int) -> Tensor:
    """Return frames [V, T, D] in random order, another one for each video."""
    import torch

    order = torch.rand(frames.shape[:2], generator=torch.Generator().manual_seed(seed)).argsort(dim=1)
    return frames.gather(1, order.unsqueeze(-1).expand_as(frames))


def one_frame(frames: Tensor, seed: int) -> Tensor:
    """Return the middle frame of frames [V, T, D] in every place."""
    middle = frames.shape[1] // 2
    return frames[:, middle : middle + 1].expand_as(frames)


FRAMES: dict[str, tuple[str, Callable[[Tensor, int], Tensor]]] = {
    "reversed": ("frames from last to first", reversed_frames),
    "shuffled": ("frames in random order", shuffled_frames),
    "one frame": ("the middle frame in place of all", one_frame),
}


def changed(batch: VideoBatch, name: str, seed: int) -> VideoBatch:
    """Return the videos of a batch with their frames changed by a name in `FRAMES`, pooled as before."""
    return VideoBatch.of(FRAMES[name][1](batch.frames, seed), pooling=batch.pooling)
