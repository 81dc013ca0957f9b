"""The methods that go by the order of an action's steps: `parts` and `align`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


def parts(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
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


def align(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return the mean [V, C] over texts of cosines, where all steps count as their best alignment with the frames.

    Each of the step's texts adds the mean over frames of the cosine of a frame with the step that it is assigned to;
    any other text adds its cosine with the pooled video.
    """
    from torch import where

    step = ensemble.steps()  # [C, K]
    wordings = (step >= 0).sum(dim=1)  # [C], texts that are steps
    total = _others(videos, ensemble, step)  # [V, C]
    if wordings.any():
        aligned = best_assignment(step_similarity(videos, ensemble), step.amax(dim=1) + 1)  # [V, C]
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
    best = _sums(similarity, steps)[-1]  # [V, C, S]
    last = _ends(best, steps, may_skip=_may_skip(similarity, steps))
    return best.gather(2, last.unsqueeze(-1)).squeeze(-1) / similarity.shape[1]


def best_path(similarity: Tensor, steps: Tensor) -> Tensor:
    """Return the step of each frame in the best assignment, int64 [V, T, C]; arguments as in `best_assignment`.

    Of several best ones, that which changes to a step as late as it can; of no meaning for classes without steps.
    """
    import torch

    may_skip = _may_skip(similarity, steps)
    sums = _sums(similarity, steps)
    path = [_ends(sums[-1], steps, may_skip=may_skip)]  # of the last frame, and back
    number = torch.arange(similarity.shape[3])
    for best in reversed(sums[:-1]):  # [V, C, S]
        after = path[-1].unsqueeze(-1)  # [V, C, 1]
        reachable = (number <= after) & (may_skip | (number >= after - 1))
        path.append(best.masked_fill(~reachable, -torch.inf).argmax(dim=-1))
    return torch.stack(path[::-1], dim=1)


def step_similarity(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the cosine [V, T, C, S] of each frame with the mean text of each step."""
    from torch.nn.functional import normalize

    vectors = _step_sums(ensemble, ensemble.steps(), mean=True)  # [C, S, D]
    frames = normalize(videos.frames, dim=-1)  # [V, T, D]
    found: Tensor = (frames @ vectors.flatten(0, 1).T).unflatten(-1, vectors.shape[:2])
    return found


def _may_skip(similarity: Tensor, steps: Tensor) -> Tensor:
    return (steps > similarity.shape[1])[:, None]  # [C, 1]


def _sums(similarity: Tensor, steps: Tensor) -> list[Tensor]:
    """Return, after each frame, the largest sum [V, C, S] of the assignments in which that frame is of step s."""
    import torch
    from torch.nn.functional import pad

    number = torch.arange(similarity.shape[3])
    similarity = similarity.masked_fill(number >= steps[:, None], -torch.inf)
    may_skip = _may_skip(similarity, steps)
    sums = [similarity[:, 0].masked_fill(~may_skip & (number > 0), -torch.inf)]
    for t in range(1, similarity.shape[1]):
        best = sums[-1]
        before = torch.maximum(best, pad(best[..., :-1], (1, 0), value=-torch.inf))  # of step s or of the one before
        if may_skip.any():
            before = torch.where(may_skip, best.cummax(dim=-1).values, before)
        sums.append(similarity[:, t] + before)
    return sums


def _ends(best: Tensor, steps: Tensor, *, may_skip: Tensor) -> Tensor:
    """Return the step of the last frame, int64 [V, C]: the class's last, or the best where steps may be left out."""
    import torch

    last = (steps - 1).clamp(min=0).expand(best.shape[:2])
    return torch.where(may_skip.squeeze(-1), best.argmax(dim=-1), last)


def _others(videos: VideoBatch, ensemble: Ensemble, step: Tensor) -> Tensor:
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
