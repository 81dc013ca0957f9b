"""Non-maximum suppression over time: of segments of one class that overlap, the best stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


Suppression = Literal["hard", "soft", "none"]

# overlap with a better segment [N], parameter -> factor [N] on the score
DECAYS: dict[Suppression, Callable[[Tensor, float], Tensor]] = {
    "hard": lambda overlap, most: (overlap <= most).to(overlap),
    "soft": lambda overlap, sigma: (-(overlap**2) / sigma).exp(),  # Gaussian; Bodla et al., ICCV 2017
    "none": lambda overlap, _: (overlap >= 0).to(overlap),
}


def suppress(
    labels: Tensor, times: Tensor, scores: Tensor, *, method: Suppression, parameter: float, keep: int
) -> tuple[Tensor, Tensor]:
    """Take segments in order of score, and lower the scores of those of the same class that overlap what was taken.

    Args:
        labels: int64 [N].
        times: [N, 2], start and end, in any unit.
        scores: [N], above 0; of equal ones the first is taken first.
        method: hard drops segments that overlap a better one by more than `parameter` (intersection over union);
            soft multiplies their scores by exp(-overlap^2 / parameter); none leaves them.
        parameter: see `method`.
        keep: how many to take at most.

    Returns:
        Indices int64 [M] of those taken, best first, and their scores [M] as they then were.
    """
    import torch

    same = labels[:, None] == labels
    overlap = time_overlap(times) * same  # [N, N]
    left = scores.clone()
    taken: list[int] = []
    values: list[float] = []
    while len(taken) < min(keep, len(scores)) and left.max() > 0:
        best = int(left.argmax())
        taken.append(best)
        values.append(float(left[best]))
        left = torch.where(same[best], left * DECAYS[method](overlap[best], parameter), left)
        left[best] = 0
    return torch.tensor(taken, dtype=torch.int64), torch.tensor(values)


def time_overlap(times: Tensor) -> Tensor:
    """Return the intersection over union in time [N, N] of segments [N, 2], each longer than nothing."""
    import torch

    start = torch.maximum(times[:, None, 0], times[None, :, 0])
    end = torch.minimum(times[:, None, 1], times[None, :, 1])
    both = (end - start).clamp(min=0)
    length = times[:, 1] - times[:, 0]
    return both / (length[:, None] + length - both)
