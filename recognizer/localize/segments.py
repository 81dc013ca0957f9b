"""Where in a long video which action is: features [T, D] and the texts of C classes to segments with scores.

The idea is TEAR's (arXiv 2408.16412): texts about the situation before and after an action say where it starts and
ends. Its published code has the similarities of frames with both, and not what it makes segments of them by (the
function is called and is not there); docs/localize.md says what is known. What is here is our own:

1. `class_curves`: how much each frame looks like each class, beside the other classes.
2. `stretches_above`: stretches in which a class's curve is high, at several heights. `contrast_scores`: a stretch
   scores by how much its inside is above its surroundings.
3. `boundary_evidence`: where "before" and the first step part, and the last step and "after". Each end of a stretch
   moves to the best such place near it.
4. `suppress`: of segments that overlap, the best stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recognizer.localize.class_scores import boundary_evidence, class_curves, similarities
from recognizer.localize.mean_ap import Segment
from recognizer.localize.nms import suppress
from recognizer.localize.proposals import best_of_each, contrast_scores, move_ends, stretches_above
from recognizer.localize.settings import LocalizeSettings
from recognizer.localize.text_roles import Roles

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
    similar = similarities(frames, roles)
    curves = class_curves(similar.inside, fps=fps, settings=settings)  # [T, C]
    stretches = stretches_above(curves, settings.heights)  # [N, 3]
    scores = contrast_scores(curves, stretches, margin=settings.margin, contrast=settings.contrast)  # [N]
    edge, search = (max(1, round(settings.edge * fps)), round(settings.search * fps))
    moved = move_ends(
        stretches,
        starts=boundary_evidence(similar.opening, width=edge),
        ends=-boundary_evidence(similar.closing, width=edge),
        search=search,
    )
    once, best = best_of_each(moved, scores)
    segments, left_out = _chosen(once, best, fps=fps, settings=settings)
    return Localized(segments, curves, {"the same after their ends moved": len(moved) - len(once), **left_out})


def _chosen(
    moved: Tensor, scores: Tensor, *, fps: float, settings: LocalizeSettings
) -> tuple[tuple[Segment, ...], dict[str, int]]:
    """Return the segments among stretches [N, 3], best first, and how many of the others are none for which reason."""
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
        f"shorter than {settings.shortest:g} s": int((~long_enough).sum()),
        "not above their surroundings": int((long_enough & ~better).sum()),
        f"beyond the best {settings.proposals}": len(order) - len(first),
        f"overlapping a better one, or beyond {settings.keep}": len(first) - len(taken),
    }
    return segments, left_out
