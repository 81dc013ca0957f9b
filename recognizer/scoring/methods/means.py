"""`mean`: the cosine with the mean text. `ensemble`: the mean of the cosines, and its variants with fewer texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


def class_weights(ensemble: Ensemble) -> Tensor:
    """Return the zero-shot head [C, D] of method `mean`: the normalised mean of each class's texts."""
    from torch.nn.functional import normalize

    return normalize(ensemble.text_sums(), dim=-1)  # a sum and a mean point the same way


def _mean(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return videos.pooled.inner(class_weights(ensemble))


def _mean_attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    lengths: Tensor = ensemble.text_sums().norm(dim=1, keepdim=True)  # [C, 1]
    return videos.pooled.inner(ensemble.texts) / lengths


def _ensemble(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return videos.pooled.inner(ensemble.text_sums() / ensemble.text_counts())  # equal to the mean of the cosines


def _ensemble_attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return videos.pooled.inner(ensemble.texts) / ensemble.text_counts()


def _labels(ensemble: Ensemble) -> Tensor:
    labels = ensemble.present.clone()
    labels[:, 1:] = False
    return labels


def _all_but_first(ensemble: Ensemble) -> Tensor:
    """Return the texts [C, K] without the first descriptor that is present, unless it is the class's only text."""
    first = (ensemble.present[:, 1:].cumsum(dim=1) == 1) & ensemble.present[:, 1:]
    kept = ensemble.present.clone()
    kept[:, 1:] &= ~first | (ensemble.text_counts() < 2)
    return kept


METHODS = [
    Method("mean", "the mean text (TEAR's simple)", _mean, _mean_attribution),
    Method(
        "ensemble",
        "the mean over texts of their cosines (TEAR's ensemble as its paper has it)",
        _ensemble,
        _ensemble_attribution,
    ),
    Method(
        "ensemble-published",
        "ensemble as TEAR's released code computes it: without the first descriptor of each class",
        _ensemble,
        _ensemble_attribution,
        uses=_all_but_first,
    ),
    Method("label", "the label alone", _ensemble, _ensemble_attribution, uses_descriptors=False, uses=_labels),
]
