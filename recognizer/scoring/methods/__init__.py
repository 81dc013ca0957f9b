"""Scoring methods: videos [V, T, D] and an ensemble [C, K, D] to scores [V, C]. docs/protocols.md has the formulas.

To add a method, add a module with a list `METHODS` to this folder.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from db.errors import UsageError, unknown
from encoders.protocol import LOGIT_SCALE
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor

_modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
METHODS: dict[str, Method] = {
    method.name: method
    for method in sorted((m for module in _modules for m in getattr(module, "METHODS", [])), key=lambda m: m.name)
}
BASELINE = "label"  # the method that all others are compared with


def method_of(name: str) -> Method:
    """Return a method by name.

    Raises:
        UsageError: there is no method of that name.
    """
    if name not in METHODS:
        raise UsageError(unknown("method", name, METHODS))
    return METHODS[name]


def scores(
    videos: VideoBatch,
    ensemble: Ensemble,
    *,
    method: str = "mean",
    temperature: float = 1.0,
    max_floats: float = 2**25,
) -> Tensor:
    """Return the scores [V, C] of videos, in the units of cosines.

    With labels alone they are the same for every method that does not pool the frames in its own way.

    Args:
        videos: V videos.
        ensemble: the texts of C classes.
        method: one of `METHODS`.
        temperature: used by `soft` alone.
        max_floats: size of the largest intermediate tensor [V, T, C, K]; more videos are scored in several parts.

    Raises:
        UsageError: there is no method of that name.
    """
    import torch

    chosen = method_of(method)
    used = replace(ensemble, present=chosen.uses(ensemble))
    rows = max(1, int(max_floats // (ensemble.present.numel() * videos.frames.shape[1])))
    parts = [chosen.score(part, used, temperature) for part in videos.split(rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def attribution(videos: VideoBatch, ensemble: Ensemble, *, method: str = "mean", temperature: float = 1.0) -> Tensor:
    """Return what each text adds to the score of its class, [V, C, K]; the sum over K is the score.

    Zero where there is no text or the method does not use it. The result is large: give it few videos. Arguments and
    errors as in `scores`.
    """
    chosen = method_of(method)
    used = replace(ensemble, present=chosen.uses(ensemble))
    return chosen.attribution(videos, used, temperature).masked_fill(~used.present, 0)


def log_probabilities(scores: Tensor, *, logit_scale: float = LOGIT_SCALE, temperature: float = 1.0) -> Tensor:
    """Return the log of softmax(scale * score / temperature) over classes, [V, C]; the ranking is that of the scores.

    A bias of the logits, as SigLIP has one, is the same for all classes and does not change the softmax.
    """
    return (scores * (logit_scale / temperature)).log_softmax(dim=-1)
