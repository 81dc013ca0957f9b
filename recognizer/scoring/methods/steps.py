"""`parts` and `align`: as `ensemble`, but each step of an action with its part of the video."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.temporal import best_assignment, step_similarity, steps_of_frames

if TYPE_CHECKING:
    from torch import Tensor


def _parts(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    return (_parts_attribution(videos, ensemble, temperature) * ensemble.present).sum(dim=2)


def _parts_attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Compare step s of a class of S steps with part s of S equal parts of the video, other texts with all of it.

    In TEAR's code (`video_split_mode: uniform`) the label has a part too.
    """
    cosines, step = videos.pooled.inner(ensemble.texts), ensemble.steps()  # [V, C, K], [C, K]
    steps = step.amax(dim=1, keepdim=True) + 1  # [C, 1]
    for count in steps[steps > 0].unique().tolist():  # nearly always one number
        parts = videos.parts(count)  # [V, S, D]
        for number in range(count):
            texts = (steps == count) & (step == number)  # [C, K]
            cosines[:, texts] = parts[:, number].inner(ensemble.texts[texts])
    return cosines / ensemble.text_counts()


def _align(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Score the steps by their best assignment to the frames, other texts by their cosine with the whole video."""
    step = ensemble.steps()  # [C, K]
    total = videos.pooled.inner(replace(ensemble, present=ensemble.present & (step < 0)).text_sums())  # [V, C]
    wordings = (step >= 0).sum(dim=1)  # [C], texts that are steps
    if wordings.any():
        aligned = best_assignment(step_similarity(videos, ensemble), step.amax(dim=1) + 1)  # [V, C]
        total += (wordings * aligned).where(wordings > 0, 0.0)
    return total / ensemble.text_counts().T


def _align_attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Give a step n_S / T times the sum of its cosines with the frames assigned to it, shared among its wordings.

    n_S is the number of the class's texts that are steps.
    """
    step = ensemble.steps()  # [C, K]
    assigned = steps_of_frames(videos, ensemble).unsqueeze(-1) == step  # [V, T, C, K]
    cosines = (videos.unit_frames().inner(ensemble.texts) * assigned).sum(dim=1)  # [V, C, K]
    texts = (step >= 0).sum(dim=1, keepdim=True)  # [C, 1]
    wordings = (step.unsqueeze(2) == step.unsqueeze(1)).sum(dim=2)  # [C, K], of the same step
    aligned = cosines * texts / wordings / videos.frames.shape[1]
    return aligned.where(step >= 0, videos.pooled.inner(ensemble.texts)) / ensemble.text_counts()


METHODS = [
    Method(
        "parts",
        "as ensemble, each step with its equal part of the video",
        _parts,
        _parts_attribution,
        needs_frames=True,
    ),
    Method(
        "align",
        "as ensemble, the steps in order, each with the frames that suit it best",
        _align,
        _align_attribution,
        needs_frames=True,
    ),
]
