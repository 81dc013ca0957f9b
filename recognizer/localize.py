"""Where in a long video which action is: features [T, D] and the texts of C classes to segments with scores.

The idea is TEAR's (arXiv 2408.16412): texts about the situation before and after an action say where it starts and
ends. Its published code has the similarities of frames with both, and not what it makes segments of them by (the
function is called and is not there); docs/localize.md says what is known. What is here is our own:

1. `class_curves`: how much each frame looks like each class, beside the other classes.
2. `stretches_above`: stretches in which a class's curve is high, at several heights.
3. `boundary_evidence`: where "before" and the first step part, and the last step and "after". Each end of a stretch
   moves to the best such place near it.
4. A segment scores by how much its inside is above its surroundings; of overlapping ones the best stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recognizer.curves import boundary_evidence, class_curves, similarities
from recognizer.detection import Segment
from recognizer.localize_settings import LocalizeSettings
from recognizer.roles import Roles
from recognizer.stretches import contrast_scores, move_ends, stretches_above
from recognizer.suppression import suppress

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Localized:
    """What was found in one video.

    Attributes:
        segments: best first; times in seconds.
        curves: [T, C], the scores of frames that segments were made from.
        left_out: what became of the stretches that are no segments, by reason.
    """

    segments: tuple[Segment, ...]
    curves: Tensor
    left_out: Mapping[str, int]


def localize(frames: Tensor, roles: Roles, *, fps: float, settings: LocalizeSettings) -> Localized:
    """Find the actions in a video.

    Args:
        frames: [T, D], not normalised; frame t stands for the time from t / fps to (t + 1) / fps seconds.
        roles: the texts of C classes.
        fps: frames a second.
        settings: all choices.

    Raises:
        UsageError: one class is to be compared with the others, and there are none.
    """
    import torch

    similar = similarities(frames, roles)
    curves = class_curves(similar.inside, fps=fps, settings=settings)  # [T, C]
    stretches = stretches_above(curves, settings.heights)  # [N, 3]
    edge, search = (max(1, round(settings.edge * fps)), round(settings.search * fps))
    moved = torch.unique(
        move_ends(
            stretches,
            starts=boundary_evidence(similar.opening, width=edge),
            ends=-boundary_evidence(similar.closing, width=edge),
            search=search,
        ),
        dim=0,
    )
    scores = contrast_scores(curves, moved, margin=settings.margin, contrast=settings.contrast)
    return _chosen(curves, stretches, moved, scores, fps=fps, settings=settings)


def _chosen(
    curves: Tensor, stretches: Tensor, moved: Tensor, scores: Tensor, *, fps: float, settings: LocalizeSettings
) -> Localized:
    """Return the segments among stretches [N, 3], and why the others are none."""
    long_enough = (moved[:, 2] - moved[:, 1]) >= settings.shortest * fps - 1e-6
    better = scores > 0
    order = scores.masked_fill(~(long_enough & better), 0).argsort(descending=True, stable=True)
    order = order[: int((long_enough & better).sum())]
    first = order[: settings.proposals]
    parameter = {"hard": settings.overlap, "soft": settings.sigma, "none": 0.0}[settings.nms]
    taken, values = suppress(
        moved[first, 0], moved[first, 1:] / fps, scores[first],
        method=settings.nms, parameter=parameter, keep=settings.keep,
    )  # fmt: skip
    segments = tuple(
        Segment(label, start / fps, end / fps, value)
        for (label, start, end), value in zip(moved[first[taken]].tolist(), values.tolist(), strict=True)
    )
    left_out = {
        "the same after their ends moved": len(stretches) - len(moved),
        f"shorter than {settings.shortest:g} s": int((~long_enough).sum()),
        "not above their surroundings": int((long_enough & ~better).sum()),
        f"beyond the best {settings.proposals}": len(order) - len(first),
        f"overlapping a better one, or beyond {settings.keep}": len(first) - len(taken),
    }
    return Localized(segments, curves, left_out)
