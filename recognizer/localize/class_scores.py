"""Scores [T, C] of each class for each frame of a video, and where they rise and fall."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from db.errors import UsageError
from recognizer.localize.settings import LocalizeSettings, Scale
from recognizer.localize.text_roles import Roles

if TYPE_CHECKING:
    from torch import Tensor


class Similarities(NamedTuple):
    """Similarities [T, C] of frames with the texts of each class, from cosines."""

    inside: Tensor  # the mean of the whole action and its best step
    opening: Tensor  # the mean of `inside` and the first step, minus the text before
    closing: Tensor  # the mean of `inside` and the last step, minus the text after


def similarities(frames: Tensor, roles: Roles) -> Similarities:
    """Compare frames [T, D] with the texts of each role; a class without steps uses the whole action instead."""
    import torch
    from torch.nn.functional import normalize

    frames = normalize(frames, dim=-1)
    inside = first = last = action = frames @ roles.action.T  # [T, C]
    present = roles.steps.any(dim=-1)  # [C, S]
    if present.any():
        steps = torch.einsum("td,csd->tcs", frames, roles.steps)  # [T, C, S]
        has_steps, number = present.any(dim=-1), torch.arange(present.shape[1])
        best = steps.masked_fill(~present, -torch.inf).amax(dim=-1)  # [T, C]

        def step(index: Tensor) -> Tensor:  # [C] -> [T, C]
            chosen = steps.gather(2, index.expand(len(steps), -1).unsqueeze(-1)).squeeze(-1)
            return torch.where(has_steps, chosen, action)

        inside = torch.where(has_steps, (action + best) / 2, action)
        first, last = step(present.int().argmax(dim=-1)), step((number * present).argmax(dim=-1))
    return Similarities(
        inside=inside,
        opening=(inside + first) / 2 - frames @ roles.before.T,
        closing=(inside + last) / 2 - frames @ roles.after.T,
    )


def _zscore(values: Tensor, dim: int) -> Tensor:
    mean, deviation = values.mean(dim=dim, keepdim=True), values.std(dim=dim, keepdim=True, correction=0)
    return (values - mean) / deviation.clamp(min=1e-6)


# cosines [T, C], temperature -> scores [T, C]; 0 is no evidence
SCALES: dict[Scale, Callable[[Tensor, float], Tensor]] = {
    "softmax": lambda cosines, temperature: (cosines / temperature).softmax(dim=1) - 1 / cosines.shape[1],
    "zscore": lambda cosines, _: _zscore(cosines, 1),
    "time": lambda cosines, _: _zscore(cosines, 0),
}


def class_scores(cosines: Tensor, *, fps: float, settings: LocalizeSettings) -> Tensor:
    """Return cosines [T, C] on the chosen scale, averaged over `settings.smooth` seconds around each frame.

    Raises:
        UsageError: there is only one class, and the scale compares classes.
    """
    if cosines.shape[1] == 1 and settings.scale != "time":
        raise UsageError(
            f"Scale {settings.scale} compares classes with each other, and there is only one. "
            "Compare it with itself over time: --set scale=time"
        )
    return moving_average(SCALES[settings.scale](cosines, settings.temperature), round(settings.smooth * fps) // 2)


def moving_average(values: Tensor, half: int) -> Tensor:
    """Return the mean of values [T, C] over frames t - half to t + half that exist."""
    import torch

    frame = torch.arange(len(values))
    return _means(values, frame - half, frame + half + 1)


def running_sums(values: Tensor) -> Tensor:
    """Return the cumulative sums [T + 1, C] of values [T, C], starting with 0; float64."""
    from torch.nn.functional import pad

    return pad(values.double().cumsum(dim=0), (0, 0, 1, 0))


def _means(values: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return the means [N, C] over the existing frames from start to end [N], end excluded; 0 if there are none."""
    start, end, sums = start.clamp(min=0), end.clamp(max=len(values)), running_sums(values)
    return ((sums[end] - sums[start]) / (end - start).clamp(min=1).unsqueeze(-1)).float()


def boundary_evidence(values: Tensor, *, width: int) -> Tensor:
    """Return how much values [T, C] rise at each boundary between frames: [T + 1, C].

    The mean over the `width` frames after a boundary minus the mean over those before it; 0 at both ends of the video.
    """
    import torch

    boundary = torch.arange(len(values) + 1)
    inner = ((boundary > 0) & (boundary < len(values))).unsqueeze(-1)
    return (_means(values, boundary, boundary + width) - _means(values, boundary - width, boundary)) * inner
