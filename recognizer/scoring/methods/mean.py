"""`mean`: the cosine with the mean text of a class; "simple" in TEAR (arXiv 2408.16412)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


def class_weights(ensemble: Ensemble) -> Tensor:
    """Return the zero-shot head [C, D]: the normalised mean of each class's texts."""
    from torch.nn.functional import normalize

    return normalize(ensemble.text_sums(), dim=-1)  # a sum and a mean point the same way


def _score(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return videos.pooled.inner(class_weights(ensemble))


def _attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    lengths: Tensor = ensemble.text_sums().norm(dim=1, keepdim=True)  # [C, 1]
    return videos.pooled.inner(ensemble.texts) / lengths


METHODS = [Method("mean", "the mean text (TEAR's simple)", _score, _attribution)]
