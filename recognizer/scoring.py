"""Methods: features [V, T, D] and an ensemble [C, K, D] to scores [V, C]. Tensor expressions, no loop over either."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from db.errors import UsageError
from recognizer.ensemble import Ensemble

if TYPE_CHECKING:
    from torch import Tensor


def mean(frames: Tensor, ensemble: Ensemble) -> Tensor:
    """Return the cosines [V, C] of the mean frame and the mean text; "simple" in TEAR (arXiv 2408.16412).

    Args:
        frames: [V, T, D], not normalised; their mean is.
        ensemble: the texts of C classes.
    """
    from torch.nn.functional import normalize

    videos = normalize(frames.mean(dim=1), dim=-1)  # [V, D]
    return videos @ class_weights(ensemble).T  # [V, C]


def class_weights(ensemble: Ensemble) -> Tensor:
    """Return the zero-shot head [C, D] of method `mean`: the normalised mean of each class's texts."""
    from torch.nn.functional import normalize

    weight = ensemble.present / ensemble.present.sum(dim=1, keepdim=True)  # [C, K]
    return normalize((ensemble.texts * weight.unsqueeze(-1)).sum(dim=1), dim=-1)


METHODS: dict[str, Callable[[Tensor, Ensemble], Tensor]] = {"mean": mean}


def method_of(name: str) -> Callable[[Tensor, Ensemble], Tensor]:
    """Return a method by name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in METHODS:
        raise UsageError(f"Unknown method {name!r}. Known: {', '.join(METHODS)}")
    return METHODS[name]
