"""What each text adds to a score: for every method, parts [V, C, K] whose sum over the texts is the score [V, C].

A part is in the units of the score. For methods that are means over texts it is the text's own term; for `mean` the
projection of the text; for `max` all of it is the best text's; for `soft` a text has its share of the sum that the
logarithm is taken of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import LOGIT_SCALE, cosines, method_of, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.temporal import best_path, step_similarity

if TYPE_CHECKING:
    from torch import Tensor


def shares(videos: VideoBatch, ensemble: Ensemble, *, method: str = "mean", temperature: float = 1.0) -> Tensor:
    """Return what each text adds to each class's score, [V, C, K]; zero where there is no text, or it is not used.

    Args:
        videos: V videos; as the result is large, few of them.
        ensemble: the texts of C classes.
        method: one of `METHODS`.
        temperature: of `soft`.

    Raises:
        UsageError: there is no method of that name.
    """
    if not ensemble.present[:, 1:].any():
        return _of_label(videos, ensemble, temperature)  # as every method does of labels alone
    return _SHARES[method_of(method).name](videos, ensemble, temperature)


def used_texts(ensemble: Ensemble, method: str) -> Tensor:
    """Return which texts a method looks at, bool [C, K]: all but for `label` and `ensemble-published`."""
    used = ensemble.without_first().present if method == "ensemble-published" else ensemble.present.clone()
    if method == "label":
        used[:, 1:] = False
    return used


def frame_cosines(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the cosine [V, T, C, K] of each frame with each text; zero where there is none."""
    from torch.nn.functional import normalize

    frames = normalize(videos.frames, dim=-1)  # [V, T, D]
    found: Tensor = (frames @ ensemble.texts.flatten(0, 1).T).unflatten(-1, ensemble.present.shape)
    return found


def step_of_frames(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the step that method `align` assigns to each frame, int64 [V, T, C]; -1 for classes without steps."""
    from torch import where

    count = ensemble.steps().amax(dim=1) + 1  # [C]
    if not count.any():
        return ensemble.kind.new_full((*videos.frames.shape[:2], len(count)), -1)
    path = best_path(step_similarity(videos, ensemble), count)  # [V, T, C]
    of_frames: Tensor = where(count > 0, path, -1)
    return of_frames


def _of_label(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    found = _present(cosines(videos, ensemble), ensemble)
    found[:, :, 1:] = 0
    return found


def _of_mean(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    vectors = (ensemble.texts * ensemble.present.unsqueeze(-1)).sum(dim=1)  # [C, D]
    lengths: Tensor = vectors.norm(dim=1, keepdim=True)  # [C, 1]
    return _present(cosines(videos, ensemble), ensemble) / lengths


def _of_ensemble(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return _present(cosines(videos, ensemble), ensemble) / _count(ensemble)


def _of_published(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    return _of_ensemble(videos, ensemble.without_first(), temperature)


def _of_parts(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """As `ensemble`, the steps of a class of S steps by the cosine with their one of S parts of the video."""
    found, step = cosines(videos, ensemble), ensemble.steps()  # [V, C, K], [C, K]
    count = step.amax(dim=1) + 1  # [C]
    for parts in count[count > 0].unique().tolist():  # nearly always one number
        pieces = videos.parts(parts)  # [V, S, D]
        with_each = (pieces @ ensemble.texts.flatten(0, 1).T).unflatten(-1, step.shape)  # [V, S, C, K]
        of_own = with_each.gather(1, step.clamp(0, parts - 1).expand(len(found), 1, -1, -1)).squeeze(1)
        is_one = (step >= 0) & (count == parts).unsqueeze(-1)
        found = of_own.where(is_one, found)
    return _present(found, ensemble) / _count(ensemble)


def _of_align(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    """As `ensemble`, the steps by their frames: wordings / T of the cosine of each frame with its step's mean text."""
    step = ensemble.steps()  # [C, K]
    assigned = step_of_frames(videos, ensemble).unsqueeze(-1) == step  # [V, T, C, K]
    of_frames = (frame_cosines(videos, ensemble) * assigned).sum(dim=1) / videos.frames.shape[1]  # [V, C, K]
    wordings = (step >= 0).sum(dim=1, keepdim=True)  # [C, 1]
    of_step = (step.unsqueeze(2) == step.unsqueeze(1)).sum(dim=2)  # [C, K], wordings of the same step
    found = (of_frames * wordings / of_step).where(step >= 0, cosines(videos, ensemble))
    return _present(found, ensemble) / _count(ensemble)


def _of_max(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    import torch

    found = cosines(videos, ensemble).masked_fill(~ensemble.present, -torch.inf)
    best = found.argmax(dim=2, keepdim=True)
    return torch.zeros_like(found).scatter(2, best, found.gather(2, best))


def _of_soft(videos: VideoBatch, ensemble: Ensemble, temperature: float) -> Tensor:
    import torch

    logits = cosines(videos, ensemble) * (LOGIT_SCALE / temperature)
    weights = logits.masked_fill(~ensemble.present, -torch.inf).softmax(dim=2)
    return weights * scores(videos, ensemble, method="soft", temperature=temperature).unsqueeze(-1)


def _present(values: Tensor, ensemble: Ensemble) -> Tensor:
    return values.masked_fill(~ensemble.present, 0)


def _count(ensemble: Ensemble) -> Tensor:
    return ensemble.present.sum(dim=1, keepdim=True)  # [C, 1]


_SHARES: dict[str, Callable[[VideoBatch, Ensemble, float], Tensor]] = {
    "label": _of_label,
    "mean": _of_mean,
    "ensemble": _of_ensemble,
    "ensemble-published": _of_published,
    "parts": _of_parts,
    "align": _of_align,
    "max": _of_max,
    "soft": _of_soft,
}
