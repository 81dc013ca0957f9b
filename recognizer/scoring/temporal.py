"""Assign the frames of a video to the steps of an action, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


def steps_of_frames(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the step of each frame in the best assignment, int64 [V, T, C]; -1 for classes without steps."""
    steps = ensemble.steps().amax(dim=1) + 1  # [C]
    if not steps.any():
        return ensemble.kind.new_full((*videos.frames.shape[:2], len(steps)), -1)
    return best_path(step_similarity(videos, ensemble), steps).where(steps > 0, -1)


def step_similarity(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the cosine of each frame with the mean text of each step, [V, T, C, S]."""
    import torch
    from torch.nn.functional import one_hot

    step = ensemble.steps()
    member = (one_hot(step.clamp(min=0)) * (step >= 0).unsqueeze(-1)).to(ensemble.texts)  # [C, K, S]
    means = torch.einsum("cks,ckd->csd", member / member.sum(dim=1, keepdim=True).clamp(min=1), ensemble.texts)
    return videos.unit_frames().inner(means)


def best_assignment(similarity: Tensor, steps: Tensor) -> Tensor:
    """Return the score of the best monotone assignment: the mean over frames of the similarity with their step.

    Steps never go back from one frame to the next, and every step has a frame. Only a class with more steps than
    frames may skip steps. Computed by dynamic programming over T.

    Args:
        similarity: [V, T, C, S], of each frame with each step; values beyond a class's steps are not read.
        steps: int64 [C], number of steps of each class.

    Returns:
        [V, C]; -inf for classes without steps.
    """
    best = _best_sums(similarity, steps)[-1]  # [V, C, S]
    last = _last_steps(best, steps, _may_skip(similarity, steps))
    return best.gather(2, last.unsqueeze(-1)).squeeze(-1) / similarity.shape[1]


def best_path(similarity: Tensor, steps: Tensor) -> Tensor:
    """Return the step of each frame in the best assignment, int64 [V, T, C]; arguments as in `best_assignment`.

    Ties: the path that switches step latest. Undefined for classes without steps.
    """
    import torch

    may_skip = _may_skip(similarity, steps)
    sums = _best_sums(similarity, steps)
    path = [_last_steps(sums[-1], steps, may_skip)]  # from the last frame back to the first
    number = torch.arange(similarity.shape[3])
    for best in reversed(sums[:-1]):  # [V, C, S]
        after = path[-1].unsqueeze(-1)  # [V, C, 1]
        reachable = (number <= after) & (may_skip | (number >= after - 1))
        path.append(best.masked_fill(~reachable, -torch.inf).argmax(dim=-1))
    return torch.stack(path[::-1], dim=1)


def _may_skip(similarity: Tensor, steps: Tensor) -> Tensor:
    """Return whether a class has more steps than there are frames, bool [C, 1]."""
    return (steps > similarity.shape[1])[:, None]


def _best_sums(similarity: Tensor, steps: Tensor) -> list[Tensor]:
    """Return, for each frame, the largest sum [V, C, S] over the frames so far if this frame has step s."""
    import torch
    from torch.nn.functional import pad

    number = torch.arange(similarity.shape[3])
    similarity = similarity.masked_fill(number >= steps[:, None], -torch.inf)
    may_skip = _may_skip(similarity, steps)
    sums = [similarity[:, 0].masked_fill(~may_skip & (number > 0), -torch.inf)]
    for t in range(1, similarity.shape[1]):
        best = sums[-1]
        before = torch.maximum(best, pad(best[..., :-1], (1, 0), value=-torch.inf))  # at step s, or at the one before
        if may_skip.any():
            before = torch.where(may_skip, best.cummax(dim=-1).values, before)
        sums.append(similarity[:, t] + before)
    return sums


def _last_steps(best: Tensor, steps: Tensor, may_skip: Tensor) -> Tensor:
    """Return the step of the last frame, int64 [V, C]: the class's last, or the best one if steps may be skipped."""
    last = (steps - 1).clamp(min=0).expand(best.shape[:2])
    return best.argmax(dim=-1).where(may_skip.squeeze(-1), last)
