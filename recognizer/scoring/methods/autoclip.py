"""`autoclip`: as `ensemble`, with weights of the texts that are fitted to each video without labels.

AutoCLIP (Metzen, Saranrittichai and Mummadi, TMLR 2024, arXiv 2309.16414), sections 3.2 and 3.4.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor

BETA = (
    0.85  # entropy of the weights, as a fraction of that of equal weights; the same for all datasets, as in the paper
)
_LARGEST_STEP = 1e7  # as in the authors' code
_HALVINGS = 80  # of the interval of step sizes


def _autoclip(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    return _attribution(videos, ensemble, temperature).sum(dim=2)


def _attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return the weight of each text times its cosine, [V, C, K]; the weights of a class's texts sum to 1."""
    cosines = videos.pooled.inner(ensemble.texts).double()  # [V, C, K]
    group = _groups(ensemble)
    ascent = _gradient(cosines, ensemble, group)  # [V, G]
    weights = (ascent * _step_sizes(ascent)).softmax(dim=1)[:, group] * ensemble.present  # [V, C, K]
    return (cosines * weights / weights.sum(dim=2, keepdim=True)).to(ensemble.texts)


def _groups(ensemble: Ensemble) -> Tensor:
    """Return the group of each text, from 0, int64 [C, K]: the texts of one kind and position share a weight.

    They are what the paper calls a prompt template: the same kind of text about each class.
    """
    code = ensemble.kind * (ensemble.position.amax() + 2) + ensemble.position  # the label has kind and position -1
    numbers: Tensor = code[ensemble.present].unique(return_inverse=True)[1]
    return code.new_zeros(code.shape).masked_scatter(ensemble.present, numbers)


def _gradient(cosines: Tensor, ensemble: Ensemble, group: Tensor) -> Tensor:
    """Return the gradient, by the logits of the weights, of logsumexp over classes at equal weights, [V, G].

    With s_c = sum_k w_k x_ck / sum_k w_k over the n_c texts of class c, and w = softmax of the logits, it is
    sum over classes c and texts k in the group of softmax(s)_c (x_ck - s_c) / n_c.
    """
    present = ensemble.present
    share = present.double() / ensemble.text_counts()  # [C, K]
    scores = (cosines * share).sum(dim=2, keepdim=True)  # [V, C, 1]
    terms = scores.softmax(dim=1) * (cosines - scores) * share  # [V, C, K]
    zeros = cosines.new_zeros(len(cosines), int(group.max()) + 1)
    return zeros.index_add(1, group[present], terms[:, present])


def _step_sizes(ascent: Tensor) -> Tensor:
    """Return the step size [V, 1] after which the entropy of the weights is `BETA` times that of equal weights.

    The entropy falls with the step size, which is found by bisection. Directions without a difference stay equal
    weights; where the best groups are tied, the entropy may end above the target.
    """
    import torch

    target = BETA * math.log(ascent.shape[1])
    low, high = ascent.new_zeros(len(ascent), 1), ascent.new_full((len(ascent), 1), _LARGEST_STEP)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        weights = (ascent * middle).softmax(dim=1)
        above = torch.special.entr(weights).sum(dim=1, keepdim=True) > target
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return low


METHODS = [
    Method(
        "autoclip",
        "as ensemble, the texts weighted for each video (AutoCLIP)",
        _autoclip,
        _attribution,
        classes_apart=False,
    )
]
