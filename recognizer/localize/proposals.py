"""Stretches of a video in which a class stands out: found, moved to where the action starts and ends, scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.localize.class_scores import running_sums

if TYPE_CHECKING:
    from torch import Tensor


def stretches_above(curves: Tensor, heights: tuple[float, ...]) -> Tensor:
    """Return stretches of frames in which a class is above a share of its highest value, each once.

    Args:
        curves: [T, C].
        heights: shares, 0 to 1.

    Returns:
        int64 [N, 3], sorted: class, first frame, the frame after the last. None of a class that is never above 0.
    """
    import torch
    from torch.nn.functional import pad

    peak = curves.amax(dim=0)  # [C]
    above = torch.stack([curves >= height * peak for height in heights]) & (peak > 0)  # [H, T, C]
    change = pad(above.transpose(1, 2).to(torch.int8), (1, 1)).diff(dim=-1)  # [H, C, T + 1]
    start, end = (change == 1).nonzero(), (change == -1).nonzero()  # [N, 3] each, in the same order
    stretches: Tensor = torch.unique(torch.cat([start[:, 1:], end[:, 2:]], dim=1), dim=0)
    return stretches


def move_ends(stretches: Tensor, *, starts: Tensor, ends: Tensor, search: int) -> Tensor:
    """Move both ends of stretches int64 [N, 3] to the strongest evidence within `search` frames.

    The start stays in the first half and the end in the second, so that a frame is left; of equal places the nearest
    is taken. An end of a stretch that is an end of the video stays: what is beyond, nobody knows.

    Args:
        stretches: class, first frame, the frame after the last.
        starts: evidence [T + 1, C] that an action starts at a place between frames.
        ends: evidence [T + 1, C] that it ends there.
        search: frames.
    """
    import torch

    label, start, end = stretches.unbind(dim=1)
    offset = torch.tensor(sorted(range(-search, search + 1), key=abs))  # [O], 0 first
    middle = ((start + end) // 2).unsqueeze(-1)
    last = torch.full_like(middle, len(starts) - 1)
    begin = (start.unsqueeze(-1) + offset).clamp(min=0).minimum(middle)  # [N, O]
    stop = (end.unsqueeze(-1) + offset).maximum(middle + 1).minimum(last)
    columns = label.unsqueeze(-1)
    best_begin = begin.gather(1, starts[begin, columns].argmax(dim=1, keepdim=True))
    best_stop = stop.gather(1, ends[stop, columns].argmax(dim=1, keepdim=True))
    best_begin = torch.where(start.unsqueeze(-1) > 0, best_begin, 0)
    best_stop = torch.where(end.unsqueeze(-1) < last, best_stop, last)
    return torch.cat([columns, best_begin, best_stop], dim=1)


def contrast_scores(curves: Tensor, stretches: Tensor, *, margin: float, contrast: float) -> Tensor:
    """Return the mean of the inside of each stretch, less `contrast` times that of its surroundings: [N].

    After the outer-inner contrast of AutoLoc (Shou et al., ECCV 2018). The surroundings are `margin` times the length
    on each side, at least one frame, as far as the video goes; outside of it there is nothing.
    """
    label, start, end = stretches.unbind(dim=1)
    sums = running_sums(curves)
    reach = ((end - start) * margin).round().long().clamp(min=1)
    left, right = (start - reach).clamp(min=0), (end + reach).clamp(max=len(curves))
    columns = label.unsqueeze(-1)

    def total(first: Tensor, after: Tensor) -> Tensor:
        return (sums[after] - sums[first]).gather(1, columns).squeeze(1)

    around = (total(left, start) + total(end, right)) / ((start - left) + (right - end)).clamp(min=1)
    inside = total(start, end) / (end - start)
    scores: Tensor = inside - contrast * around
    return scores.float()


def best_of_each(stretches: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return each of the stretches int64 [N, 3] once [M, 3], sorted, with the best of its scores [M]."""
    import torch

    once, place = torch.unique(stretches, dim=0, return_inverse=True)
    return once, scores.new_full((len(once),), -torch.inf).scatter_reduce(0, place, scores, reduce="amax")
