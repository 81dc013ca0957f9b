"""`dtw`: the frames and the steps of an action, both in order, aligned by dynamic time warping.

ActAlign (Aghdam and Hu, 2025, arXiv 2506.22967).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.temporal import step_similarity
from recognizer.scoring.warping import warping_path

if TYPE_CHECKING:
    from torch import Tensor


def _dtw(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    return (_attribution(videos, ensemble, temperature) * ensemble.present).sum(dim=2)


def _attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Give a step its part of the sum of affinities on the path, shared equally among its wordings.

    A class without steps is scored as by `ensemble`.
    """
    cosines, step = videos.pooled.inner(ensemble.texts) / ensemble.text_counts(), ensemble.steps()  # [V, C, K], [C, K]
    if not (step >= 0).any():
        return cosines
    similarity, path = _aligned(videos, ensemble)  # [V, T, C, S]
    affinity = _affinity(similarity, ensemble) * path
    means = affinity.sum(dim=1) / path.sum(dim=(1, 3)).clamp(min=1).unsqueeze(-1)  # [V, C, S]
    if ensemble.logit_bias:
        means = means * (_as_cosine(similarity, path, ensemble) / means.sum(dim=2)).unsqueeze(-1)
    wordings = (step.unsqueeze(2) == step.unsqueeze(1)).sum(dim=2)  # [C, K], of the same step
    of_text = means.gather(2, step.clamp(min=0).expand(len(means), -1, -1)) / wordings  # [V, C, K]
    return of_text.to(cosines).where(step >= 0, cosines)


def _aligned(videos: VideoBatch, ensemble: Ensemble) -> tuple[Tensor, Tensor]:
    """Return the cosines of frames and steps, float64 [V, T, C, S], and which of them are on the path, bool."""
    similarity = step_similarity(videos, ensemble).double()
    return similarity, warping_path(_affinity(similarity, ensemble), ensemble.steps().amax(dim=1) + 1)


def _affinity(similarity: Tensor, ensemble: Ensemble) -> Tensor:
    """Return sigmoid(scale * cosine + bias) if the encoder was trained with a bias, else the cosine itself."""
    return _logits(similarity, ensemble).sigmoid() if ensemble.logit_bias else similarity


def _logits(similarity: Tensor, ensemble: Ensemble) -> Tensor:
    return similarity * ensemble.logit_scale + ensemble.logit_bias


def _as_cosine(similarity: Tensor, path: Tensor, ensemble: Ensemble) -> Tensor:
    """Return the cosine [V, C] whose affinity is the mean affinity A on the path: (log(A / (1 - A)) - bias) / scale.

    It is computed from the logarithms of A and 1 - A, since A can be so near to 1 that the difference would be lost.
    """
    import torch
    from torch.nn.functional import logsigmoid

    logits = _logits(similarity, ensemble)
    log_sums = [logsigmoid(x).masked_fill(~path, -torch.inf).logsumexp(dim=(1, 3)) for x in (logits, -logits)]
    score = (log_sums[0] - log_sums[1] - ensemble.logit_bias) / ensemble.logit_scale
    return score.where(path.any(dim=3).any(dim=1), 0.0)


def _steps_of_frames(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the step of each frame on the path, of several the most similar, int64 [V, T, C]; -1 without steps."""
    import torch

    steps = ensemble.steps().amax(dim=1)  # [C]
    if not (steps >= 0).any():
        return ensemble.kind.new_full((*videos.frames.shape[:2], len(steps)), -1)
    similarity, path = _aligned(videos, ensemble)
    return similarity.masked_fill(~path, -torch.inf).argmax(dim=3).where(steps >= 0, -1)


def _steps_or_all(ensemble: Ensemble) -> Tensor:
    """Return the steps of each class, bool [C, K]; all texts of a class that has none."""
    steps = ensemble.steps() >= 0
    return steps.where(steps.any(dim=1, keepdim=True), ensemble.present)


def _note(logit_bias: float | None) -> str:
    if logit_bias is None:
        return "dtw of sigmoid(scale * cosine + bias) if the encoder was trained with a bias, else of cosines"
    if logit_bias:
        return "dtw of sigmoid(scale * cosine + bias), as in ActAlign"
    return "dtw of cosines, not ActAlign's sigmoid: the encoder was trained without a bias"


METHODS = [
    Method(
        "dtw",
        "the steps alone, in order, with the frames by dynamic time warping (ActAlign)",
        _dtw,
        _attribution,
        uses=_steps_or_all,
        frame_steps=_steps_of_frames,
        needs_frames=True,
        note=_note,
    )
]
