"""`rerank`: the best classes by the label alone are decided among themselves by texts that tell them apart.

Follow-up differential descriptions (FuDD; Esfandiarpoor and Bach, ICLR 2024, arXiv 2309.07593), section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor

CANDIDATES = 10  # classes that are decided by their texts, as in the paper
CONTRAST = "contrast"  # the kind of texts that tell a class from the classes it is confused with


def _rerank(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    return _attribution(videos, ensemble, temperature).sum(dim=2)


def _attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return what each text adds, [V, C, K]: in a candidate, its part of the score of `mean` and a shift of the label.

    The shift is the same for all candidates of a video, and puts the worst of them where the worst was by the label.
    """
    import torch
    from torch.nn.functional import one_hot

    cosines = videos.pooled.inner(ensemble.texts)  # [V, C, K]
    first = ensemble.present.int().argmax(dim=1)  # [C], the label, unless it is left out
    by_label = cosines.gather(2, first.expand(len(cosines), -1).unsqueeze(-1)).squeeze(-1)  # [V, C]
    best = by_label.topk(min(CANDIDATES, by_label.shape[1]), dim=1)
    candidate = torch.zeros_like(by_label, dtype=torch.bool).scatter(1, best.indices, value=True)
    lengths: Tensor = ensemble.text_sums().norm(dim=1, keepdim=True)  # [C, 1]
    added = cosines * ensemble.present / lengths
    worst = added.sum(dim=2).masked_fill(~candidate, torch.inf).amin(dim=1, keepdim=True)  # [V, 1]
    of_label = torch.where(candidate, best.values[:, -1:] - worst, by_label).unsqueeze(-1)  # [V, C, 1]
    return added * candidate.unsqueeze(-1) + of_label * one_hot(first, cosines.shape[2])


def _label_and_contrasts(ensemble: Ensemble) -> Tensor:
    """Return the label and the contrast texts of each class, bool [C, K]; all texts of a class that has none."""
    kind = ensemble.kinds.index(CONTRAST) if CONTRAST in ensemble.kinds else len(ensemble.kinds)
    contrasts = ensemble.present & (ensemble.kind == kind)
    chosen = contrasts.clone()
    chosen[:, 0] = ensemble.present[:, 0]
    return chosen.where(contrasts.any(dim=1, keepdim=True), ensemble.present)


METHODS = [
    Method(
        "rerank",
        f"the best {CANDIDATES} classes by label, decided by their contrast texts (FuDD)",
        _rerank,
        _attribution,
        uses=_label_and_contrasts,
        classes_apart=False,
    )
]
