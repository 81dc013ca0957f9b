"""`max`: the best text of a class. `soft`: between the best text and the mean of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


def _cosines(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the cosine of each text with the pooled video, [V, C, K]; -inf where there is no text."""
    import torch

    return videos.pooled.inner(ensemble.texts).masked_fill(~ensemble.present, -torch.inf)


def _max(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return _cosines(videos, ensemble).amax(dim=2)


def _max_attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Give the whole score to the best text."""
    cosines = _cosines(videos, ensemble)
    best, slot = cosines.max(dim=2, keepdim=True)
    return cosines.new_zeros(cosines.shape).scatter(2, slot, best)


def _soft(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    """Return the log of the mean over a class's texts of exp(logit), back in the units of cosines.

    The softmax of its logits over classes is the softmax over all texts, averaged within each class. It tends to `max`
    as the temperature falls, and to `ensemble` as it rises.
    """
    logits = _cosines(videos, ensemble) * (ensemble.logit_scale / temperature)  # [V, C, K]
    return (logits.logsumexp(dim=2) - ensemble.text_counts().log().T) * (temperature / ensemble.logit_scale)


def _soft_attribution(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    """Divide the score among the texts in proportion to their terms in the sum inside the logarithm."""
    weights = (_cosines(videos, ensemble) * (ensemble.logit_scale / temperature)).softmax(dim=2)
    return weights * _soft(videos, ensemble, temperature).unsqueeze(-1)


METHODS = [
    Method("max", "the best text", _max, _max_attribution),
    Method("soft", "between max and ensemble, by --temperature", _soft, _soft_attribution),
]
