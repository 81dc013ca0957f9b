"""The methods that go by the order of an action's steps: `parts` and `align`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.ensemble import Ensemble
from recognizer.videos import Videos

if TYPE_CHECKING:
    from torch import Tensor


def parts(videos: Videos, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return the mean [V, C] over texts of cosines: a step's with its part of the video, any other's with the whole.

    A class of S steps has S equal parts. In TEAR's code (`video_split_mode: uniform`) the label takes a part too.
    """
    step = ensemble.steps()  # [C, K]
    steps = step.amax(dim=1) + 1  # [C]
    total = _others(videos, ensemble, step)  # [V, C]
    sums = _step_sums(ensemble, step)  # [C, S, D]
    for count in steps.unique().tolist():  # nearly always one number, or 0 too
        classes = steps == count
        pieces = videos.parts(count).flatten(1) if count else videos.pooled[:, :0]  # [V, count * D]
        total[:, classes] += pieces @ sums[classes, :count].flatten(1).T
    return total / ensemble.present.sum(dim=1)


def align(videos: Videos, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return the mean [V, C] over texts of cosines, where all steps count as their best alignment with the frames.

    Each of the step's texts adds the mean over frames of the cosine of a frame with the step that it is assigned to;
    any other text adds its cosine with the pooled video.
    """
    from torch import where
    from torch.nn.functional import normalize

    step = ensemble.steps()  # [C, K]
    wordings = (step >= 0).sum(dim=1)  # [C], texts that are steps
    total = _others(videos, ensemble, step)  # [V, C]
    if wordings.any():
        vectors = _step_sums(ensemble, step, mean=True)  # [C, S, D]
        frames = normalize(videos.frames, dim=-1)  # [V, T, D]
        similarity = (frames @ vectors.flatten(0, 1).T).unflatten(-1, vectors.shape[:2])  # [V, T, C, S]
        aligned = best_assignment(similarity, step.amax(dim=1) + 1)  # [V, C]
        total += where(wordings > 0, wordings * aligned, 0.0)
    return total / ensemble.present.sum(dim=1)


def best_assignment(similarity: Tensor, steps: Tensor) -> Tensor:
    """Return the largest mean over frames of the similarity with a frame's step, over all monotone assignments.

    Each frame belongs to one step, and never to an earlier one than the frame before it. Every step has a frame, but
    where there are more steps than frames: then any steps may be left out. By dynamic programming over T.

    Args:
        similarity: [V, T, C, S], of each frame with each step; any value beyond a class's steps.
        steps: int64 [C], how many steps a class has.

    Returns:
        [V, C]; -inf for classes without steps.
    """
    import torch
    from torch.nn.functional import pad

    frames, count = similarity.shape[1], similarity.shape[3]
    number = torch.arange(count)
    similarity = similarity.masked_fill(number >= steps[:, None], -torch.inf)
    may_skip = (steps > frames)[:, None]  # [C, 1]
    best = similarity[:, 0].masked_fill(~may_skip & (number > 0), -torch.inf)  # [V, C, S], frame 0 is of step s
    for t in range(1, frames):
        before = torch.maximum(best, pad(best[..., :-1], (1, 0), value=-torch.inf))  # of step s or of the one before
        if may_skip.any():
            before = torch.where(may_skip, best.cummax(dim=-1).values, before)
        best = similarity[:, t] + before
    last = best.gather(2, (steps - 1).clamp(min=0)[None, :, None].expand(len(best), -1, 1))  # [V, C, 1]
    return torch.where(may_skip, best.amax(dim=-1, keepdim=True), last).squeeze(-1) / frames


def _others(videos: Videos, ensemble: Ensemble, step: Tensor) -> Tensor:
    """Return the sum [V, C] of the cosines of the pooled video with the texts that are no steps, the label included."""
    of = ensemble.present & (step < 0)
    return videos.pooled @ (ensemble.texts * of.unsqueeze(-1)).sum(dim=1).T


def _step_sums(ensemble: Ensemble, step: Tensor, *, mean: bool = False) -> Tensor:
    """Return the sum (or mean) [C, S, D] of each step's texts; zero beyond a class's steps."""
    import torch
    from torch.nn.functional import one_hot

    member = one_hot(step.clamp(min=0)) * (step >= 0).unsqueeze(-1)  # [C, K, S]
    sums = torch.einsum("cks,ckd->csd", member.to(ensemble.texts), ensemble.texts)
    return sums / member.sum(dim=1).clamp(min=1).unsqueeze(-1) if mean else sums
