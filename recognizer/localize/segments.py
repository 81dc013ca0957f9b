"""From features [T, D] of a video and the texts of C classes to segments with scores.

1. `class_scores`: how similar each frame is to each class, compared with the other classes.
2. `propose`: proposals are the runs of frames above several thresholds. `contrast_scores` scores each by its inside
   minus its surroundings.
3. `boundary_evidence` and `move_ends`: each end moves to the nearby boundary where frames change most from "before" to
   the first step, or from the last step to "after".
4. `suppress`: of overlapping segments, the best is kept.

Using texts about the situation before and after an action to locate its start and end is TEAR's idea (arXiv
2408.16412). TEAR's segmentation code is not published (docs/localize.md); this implementation is our own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recognizer.localize.class_scores import boundary_evidence, class_scores, running_sums, similarities
from recognizer.localize.mean_ap import Segment, temporal_iou
from recognizer.localize.settings import LocalizeSettings, Suppression
from recognizer.localize.text_roles import Roles

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Segmentation:
    """The segments of one video."""

    segments: tuple[Segment, ...]  # best first; times in seconds
    scores: Tensor  # class scores of the frames [T, C]
    left_out: Mapping[str, int]  # number of proposals that did not become segments, by reason


def find_segments(frames: Tensor, roles: Roles, *, fps: float, settings: LocalizeSettings) -> Segmentation:
    """Find the actions in a video.

    Args:
        frames: [T, D], not normalised; frame t stands for the time from t / fps to (t + 1) / fps seconds.
        roles: of C classes.
        fps: frames a second.

    Raises:
        UsageError: there is only one class, and the scale compares classes.
    """
    similar = similarities(frames, roles)
    scores = class_scores(similar.inside, fps=fps, settings=settings)  # [T, C]
    proposals = propose(scores, settings.thresholds)  # [N, 3]
    contrast = contrast_scores(scores, proposals, margin=settings.margin, contrast=settings.contrast)  # [N]
    edge, search = (max(1, round(settings.edge * fps)), round(settings.search * fps))
    moved = move_ends(
        proposals,
        starts=boundary_evidence(similar.opening, width=edge),
        ends=-boundary_evidence(similar.closing, width=edge),
        search=search,
    )
    distinct, best = merge_duplicates(moved, contrast)
    segments, left_out = _select(distinct, best, fps=fps, settings=settings)
    return Segmentation(segments, scores, {"the same after their ends moved": len(moved) - len(distinct), **left_out})


def _select(
    proposals: Tensor, scores: Tensor, *, fps: float, settings: LocalizeSettings
) -> tuple[tuple[Segment, ...], dict[str, int]]:
    """Return the segments among proposals [N, 3], best first, and the number of other proposals by reason."""
    long_enough = (proposals[:, 2] - proposals[:, 1]) >= settings.shortest * fps - 1e-6
    good = long_enough & (scores > 0)
    order = scores.masked_fill(~good, 0).argsort(descending=True, stable=True)[: int(good.sum())]
    first = order[: settings.proposals]
    parameter = {"hard": settings.nms_iou, "soft": settings.sigma, "none": 0.0}[settings.nms]
    labels, times = proposals[first, 0], proposals[first, 1:] / fps
    kept, values = suppress(labels, times, scores[first], method=settings.nms, parameter=parameter, keep=settings.keep)
    segments = tuple(
        Segment(label, start / fps, end / fps, value)
        for (label, start, end), value in zip(proposals[first[kept]].tolist(), values.tolist(), strict=True)
    )
    left_out = {
        f"shorter than {settings.shortest:g} s": int((~long_enough).sum()),
        "not above their surroundings": int((long_enough & ~good).sum()),
        f"beyond the best {settings.proposals}": len(order) - len(first),
        f"overlapping a better one, or beyond {settings.keep}": len(first) - len(kept),
    }
    return segments, left_out


def propose(scores: Tensor, thresholds: tuple[float, ...]) -> Tensor:
    """Return the runs of consecutive frames in which a class is above a fraction of its highest score, each once.

    Args:
        scores: [T, C].
        thresholds: fractions, 0 to 1.

    Returns:
        int64 [N, 3], sorted: class, first frame, the frame after the last. Classes never above 0 have none.
    """
    import torch
    from torch.nn.functional import pad

    peak = scores.amax(dim=0)  # [C]
    above = torch.stack([scores >= threshold * peak for threshold in thresholds]) & (peak > 0)  # [H, T, C]
    change = pad(above.transpose(1, 2).to(torch.int8), (1, 1)).diff(dim=-1)  # [H, C, T + 1]
    start, end = (change == 1).nonzero(), (change == -1).nonzero()  # [N, 3] each, in the same order
    proposals: Tensor = torch.unique(torch.cat([start[:, 1:], end[:, 2:]], dim=1), dim=0)
    return proposals


def contrast_scores(scores: Tensor, proposals: Tensor, *, margin: float, contrast: float) -> Tensor:
    """Return the mean score [N] inside each proposal [N, 3], minus `contrast` times that of its surroundings.

    After the outer-inner contrast of AutoLoc (Shou et al., ECCV 2018). The surroundings are `margin` times the length
    on each side, at least one frame, within the video.
    """
    label, start, end = proposals.unbind(dim=1)
    sums = running_sums(scores)
    reach = ((end - start) * margin).round().long().clamp(min=1)
    left, right = (start - reach).clamp(min=0), (end + reach).clamp(max=len(scores))

    def total(first: Tensor, after: Tensor) -> Tensor:
        return sums[after, label] - sums[first, label]

    around = (total(left, start) + total(end, right)) / ((start - left) + (right - end)).clamp(min=1)
    result: Tensor = total(start, end) / (end - start) - contrast * around
    return result.float()


def move_ends(proposals: Tensor, *, starts: Tensor, ends: Tensor, search: int) -> Tensor:
    """Move both ends of proposals int64 [N, 3] to the strongest evidence within `search` frames.

    The start stays in the first half and the end in the second, so that a frame remains. Ties: the nearest boundary.
    Ends at the ends of the video stay.

    Args:
        proposals: class, first frame, the frame after the last.
        starts: evidence [T + 1, C] that an action starts at a boundary between frames.
        ends: evidence [T + 1, C] that it ends at that boundary.
        search: frames.
    """
    import torch

    label, start, end = proposals.T.unsqueeze(-1)  # [N, 1] each
    offset = torch.tensor(sorted(range(-search, search + 1), key=abs))  # [O], 0 first
    middle, last = (start + end) // 2, torch.full_like(start, len(starts) - 1)
    new_starts = (start + offset).clamp(min=0).minimum(middle)  # [N, O]
    new_ends = (end + offset).maximum(middle + 1).minimum(last)
    new_start = new_starts.gather(1, starts[new_starts, label].argmax(dim=1, keepdim=True))
    new_end = new_ends.gather(1, ends[new_ends, label].argmax(dim=1, keepdim=True))
    return torch.cat([label, torch.where(start > 0, new_start, 0), torch.where(end < last, new_end, last)], dim=1)


def merge_duplicates(proposals: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct proposals int64 [M, 3], sorted, and the best score of each [M]."""
    import torch

    distinct, index = torch.unique(proposals, dim=0, return_inverse=True)
    best = scores.new_full((len(distinct),), -torch.inf).scatter_reduce(0, index, scores, reduce="amax")
    return distinct, best


# intersection over union with a better segment [N], parameter -> factor [N] on the score
_DECAYS: dict[Suppression, Callable[[Tensor, float], Tensor]] = {
    "hard": lambda iou, nms_iou: (iou <= nms_iou).to(iou),
    "soft": lambda iou, sigma: (-(iou**2) / sigma).exp(),  # Gaussian; Bodla et al., ICCV 2017
    "none": lambda iou, _: (iou >= 0).to(iou),
}


def suppress(
    labels: Tensor, times: Tensor, scores: Tensor, *, method: Suppression, parameter: float, keep: int
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression: take segments by score, and lower the scores of overlapping ones of the same class.

    Args:
        labels: int64 [N].
        times: [N, 2], start and end, in any unit.
        scores: [N], above 0. Ties: the first is taken first.
        method: hard drops segments whose intersection over union with a better one is above `parameter`; soft
            multiplies their scores by exp(-iou^2 / parameter); none leaves them.
        parameter: see `method`.
        keep: largest number to take.

    Returns:
        Indices int64 [M] of those taken, best first, and their lowered scores [M].
    """
    import torch

    same = labels[:, None] == labels
    iou = torch.from_numpy(temporal_iou(times.numpy(), times.numpy())) * same  # [N, N]
    remaining = scores.clone()
    taken: list[int] = []
    values: list[float] = []
    while len(taken) < min(keep, len(scores)) and remaining.max() > 0:
        best = int(remaining.argmax())
        taken.append(best)
        values.append(float(remaining[best]))
        remaining = torch.where(same[best], remaining * _DECAYS[method](iou[best], parameter), remaining)
        remaining[best] = 0
    return torch.tensor(taken, dtype=torch.int64), torch.tensor(values)
