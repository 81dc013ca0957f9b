"""Align the frames of a video with the steps of an action by dynamic time warping."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_Cell = tuple[int, int]  # a frame and a step


def warping_path(affinity: Tensor, steps: Tensor) -> Tensor:
    """Return the pairs (frame, step) of the warping path with the largest sum of affinities, bool [V, T, C, S].

    A path leads from the first frame and first step to the last of both. Each move goes on by one frame, by one step,
    or by one of both, so that every frame has a step and every step a frame. Ties prefer, from the end, the move by
    both, then by one frame, as in the code of ActAlign.

    Args:
        affinity: [V, T, C, S], of each frame with each step; values beyond a class's steps are not used.
        steps: int64 [C], number of steps of each class; classes without steps have an empty path.
    """
    import torch

    cells = list(product(range(affinity.shape[1]), range(affinity.shape[3])))
    moves = _best_moves(affinity, cells)
    on_path = torch.zeros_like(affinity, dtype=torch.bool)
    on_path[:, -1] = torch.arange(affinity.shape[3]) == (steps - 1)[:, None]
    for t, s in reversed(cells):
        for number, (before, step) in enumerate(_cells_before(t, s)):
            on_path[:, before, :, step] |= on_path[:, t, :, s] & (moves[t, s] == number)
    return on_path


def _best_moves(affinity: Tensor, cells: list[_Cell]) -> dict[_Cell, Tensor]:
    """Return, for each cell but the first, which of `_cells_before` the best path to it comes from, int64 [V, C]."""
    import torch

    sums: dict[_Cell, Tensor] = {}  # the largest sum [V, C] of a path to this cell
    moves: dict[_Cell, Tensor] = {}
    for t, s in cells:
        sums[t, s] = affinity[:, t, :, s]
        if before := _cells_before(t, s):
            largest, moves[t, s] = torch.stack([sums[cell] for cell in before]).max(dim=0)
            sums[t, s] = sums[t, s] + largest
    return moves


def _cells_before(t: int, s: int) -> list[_Cell]:
    """Return the cells from which one move leads to this one."""
    return [(frame, step) for frame, step in ((t - 1, s - 1), (t - 1, s), (t, s - 1)) if frame >= 0 and step >= 0]
