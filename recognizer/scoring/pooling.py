"""The input of scoring methods: the frames of videos, and one pooled vector for each video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


Pooling = Literal["avg", "max"]
POOLINGS: dict[Pooling, Callable[[Tensor], Tensor]] = {  # [V, T, D] -> [V, D], as in TEAR
    "avg": lambda frames: frames.mean(dim=1),
    "max": lambda frames: frames.amax(dim=1),
}


@dataclass(frozen=True)
class VideoBatch:
    """V videos, or V views of videos.

    Attributes:
        frames: [V, T, D], as the encoder gives them (not normalised), or each of unit norm (`of`).
        pooled: [V, D], unit norm: the frames pooled, then normalised.
        pooling: `avg` is the mean over frames, `max` the largest value of each of the D dimensions.
    """

    frames: Tensor
    pooled: Tensor
    pooling: Pooling

    @classmethod
    def of(cls, frames: Tensor, *, pooling: Pooling = "avg", unit_frames: bool = False) -> VideoBatch:
        """Return videos of frames [V, T, D]; with `unit_frames` each frame is brought to unit norm before pooling."""
        frames = _unit(frames) if unit_frames else frames
        return cls(frames, _pooled(frames, pooling), pooling)

    def select(self, rows: slice | list[int]) -> VideoBatch:
        """Return some of the videos."""
        return VideoBatch(self.frames[rows], self.pooled[rows], self.pooling)

    def split(self, rows: int) -> Iterator[VideoBatch]:
        """Yield the videos, `rows` of them at a time."""
        for start in range(0, max(len(self.frames), 1), rows):
            yield self.select(slice(start, start + rows))

    def unit_frames(self) -> Tensor:
        """Return the frames, each of unit norm, [V, T, D]."""
        return _unit(self.frames)

    def parts(self, count: int) -> Tensor:
        """Return `count` equal parts of each video, each pooled: [V, count, D], unit norm.

        Part s is frames floor(s T / count) up to floor((s + 1) T / count), and at least one.
        """
        import torch

        frames = self.frames.shape[1]
        starts = [part * frames // count for part in range(count + 1)]
        pieces = [slice(start, max(start + 1, end)) for start, end in pairwise(starts)]
        return torch.stack([_pooled(self.frames[:, piece], self.pooling) for piece in pieces], dim=1)


def _pooled(frames: Tensor, pooling: Pooling) -> Tensor:
    return _unit(POOLINGS[pooling](frames))


def _unit(vectors: Tensor) -> Tensor:
    from torch.nn.functional import normalize

    return normalize(vectors, dim=-1)
