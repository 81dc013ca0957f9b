"""`ensemble`: the mean over a class's texts of their cosines, and its variants with fewer texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


def _score(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return videos.pooled.inner(ensemble.text_sums() / ensemble.text_counts())  # the product with the mean


def _attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return videos.pooled.inner(ensemble.texts) / ensemble.text_counts()


def _labels(ensemble: Ensemble) -> Tensor:
    labels = ensemble.present.clone()
    labels[:, 1:] = False
    return labels


METHODS = [
    Method("ensemble", "the mean over texts of their cosines (TEAR's ensemble)", _score, _attribution),
    Method(
        "ensemble-published",
        "ensemble as TEAR's code computes it: without the first descriptor of each class",
        _score,
        _attribution,
        uses=lambda ensemble: ensemble.without(1).present,
    ),
    Method("label", "the label alone", _score, _attribution, uses=_labels),
]
