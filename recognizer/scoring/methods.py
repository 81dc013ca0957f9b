"""Methods: videos [V, T, D] and an ensemble [C, K, D] to scores [V, C]. Tensor expressions, no loop over V or C.

Every method is the cosine with the label where the ensemble holds labels alone, so that one baseline stands beside all
of them. docs/protocols.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import UsageError
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.temporal import align, parts

if TYPE_CHECKING:
    from torch import Tensor


LOGIT_SCALE = 100.0  # of CLIP's published models, and of TEAR: logits are 100 * cosine / temperature
_FLOATS = 2**25  # at once, in the largest tensor of a method, [V, T, C, K]


def scores(videos: VideoBatch, ensemble: Ensemble, *, method: str = "mean", temperature: float = 1.0) -> Tensor:
    """Return the scores [V, C], in the units of cosines, of videos by a method; so many videos at once as fit.

    Args:
        videos: V videos.
        ensemble: the texts of C classes.
        method: one of `METHODS`.
        temperature: of `soft`; the other methods have none.

    Raises:
        UsageError: there is no method of that name.
    """
    import torch

    score = method_of(method).score
    rows = max(1, _FLOATS // (ensemble.present.numel() * videos.frames.shape[1]))
    return torch.cat([score(part, ensemble, temperature) for part in videos.split(rows)])


def label(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return the cosines [V, C] with the labels alone."""
    return videos.pooled @ ensemble.texts[:, 0].T


def mean(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return the cosines [V, C] with the mean text of each class; "simple" in TEAR (arXiv 2408.16412)."""
    return videos.pooled @ class_weights(ensemble).T


def class_weights(ensemble: Ensemble) -> Tensor:
    """Return the zero-shot head [C, D] of method `mean`: the normalised mean of each class's texts."""
    from torch.nn.functional import normalize

    return normalize(_mean_text(ensemble), dim=-1)


def ensemble_mean(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return the means [V, C] over a class's texts of their cosines; "ensemble" in TEAR, as its paper has it."""
    return videos.pooled @ _mean_text(ensemble).T  # the mean of cosines is the product with the mean


def ensemble_published(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    """Return what TEAR's published code computes for "ensemble": the first descriptor of each class is never used."""
    return ensemble_mean(videos, ensemble.without_first(), temperature)


def best_text(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """Return the largest cosine [V, C] with any text of a class."""
    import torch

    return cosines(videos, ensemble).masked_fill(~ensemble.present, -torch.inf).amax(dim=2)


def soft(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    """Return the log of the mean [V, C] over a class's texts of exp(logit), back in the units of cosines.

    The softmax of its logits over classes is the softmax over all texts, averaged within each class. It tends to `max`
    as the temperature falls, and to `ensemble` as it rises.
    """
    import torch

    logits = cosines(videos, ensemble) * (LOGIT_SCALE / temperature)  # [V, C, K]
    sums = logits.masked_fill(~ensemble.present, -torch.inf).logsumexp(dim=2)  # [V, C]
    in_cosines: Tensor = (sums - ensemble.present.sum(dim=1).log()) * (temperature / LOGIT_SCALE)
    return in_cosines


def _mean_text(ensemble: Ensemble) -> Tensor:
    total = (ensemble.texts * ensemble.present.unsqueeze(-1)).sum(dim=1)  # [C, D]
    return total / ensemble.present.sum(dim=1, keepdim=True)


def cosines(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the cosines [V, C, K] of pooled videos with all texts; of no meaning where none is present."""
    return (videos.pooled @ ensemble.texts.flatten(0, 1).T).reshape(-1, *ensemble.present.shape)


@dataclass(frozen=True)
class Method:
    """One way to score: (videos, ensemble, temperature) to [V, C]; `about` is a line for people."""

    name: str
    about: str
    score: Callable[[VideoBatch, Ensemble, float], Tensor]


METHODS = {
    method.name: method
    for method in (
        Method("mean", "the mean text (TEAR's simple)", mean),
        Method("ensemble", "the mean over texts of their cosines (TEAR's ensemble)", ensemble_mean),
        Method("parts", "as ensemble, each step with its equal part of the video", parts),
        Method("align", "as ensemble, the steps in order, each with the frames that suit it best", align),
        Method("max", "the best text", best_text),
        Method("soft", "between max and ensemble, by --temperature", soft),
        Method("label", "the label alone", label),
        Method("ensemble-published", "ensemble as TEAR's code computes it: without the first text", ensemble_published),
    )
}


def method_of(name: str) -> Method:
    """Return a method by name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in METHODS:
        raise UsageError(f"Unknown method {name!r}. Known: {', '.join(METHODS)}")
    return METHODS[name]


def log_probabilities(scores: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return the log of the softmax over classes of 100 * score / temperature, [V, C]; it ranks as the scores do."""
    return (scores * (LOGIT_SCALE / temperature)).log_softmax(dim=-1)
