"""How much the frames of a video look like each class over time, and where that changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from db.errors import UsageError
from recognizer.localize.settings import LocalizeSettings, Scale
from recognizer.localize.text_roles import Roles

if TYPE_CHECKING:
    from torch import Tensor


class Similarities(NamedTuple):
    """Cosines [T, C] of frames with texts of each role."""

    inside: Tensor  # the mean of the whole action and its best step
    opening: Tensor  # the mean of that and the first step, less what is seen before
    closing: Tensor  # the mean of that and the last step, less what is seen after


def similarities(frames: Tensor, roles: Roles) -> Similarities:
    """Return how much frames [T, D] look like the texts of each role; roles that a class lacks add nothing."""
    import torch
    from torch.nn.functional import normalize

    frames = normalize(frames, dim=-1)
    inside = action = frames @ roles.action.T  # [T, C]
    first = last = action
    present = roles.steps.any(dim=-1)  # [C, S]
    if present.any():
        steps = torch.einsum("td,csd->tcs", frames, roles.steps)  # [T, C, S]
        has, number = present.any(dim=-1), torch.arange(present.shape[1])
        best = steps.masked_fill(~present, -torch.inf).amax(dim=-1)  # [T, C]
        inside = torch.where(has, (action + best) / 2, action)
        first = torch.where(has, _step(steps, present.int().argmax(dim=-1)), action)
        last = torch.where(has, _step(steps, (number * present).argmax(dim=-1)), action)
    return Similarities(
        inside=inside,
        opening=(inside + first) / 2 - frames @ roles.before.T,
        closing=(inside + last) / 2 - frames @ roles.after.T,
    )


def _step(steps: Tensor, number: Tensor) -> Tensor:
    """Return of steps [T, C, S] that with the number [C] of each class: [T, C]."""
    return steps.gather(2, number.expand(len(steps), -1).unsqueeze(-1)).squeeze(-1)


def _softmax(cosines: Tensor, temperature: float) -> Tensor:
    return (cosines / temperature).softmax(dim=1) - 1 / cosines.shape[1]


def _standard(values: Tensor, dim: int) -> Tensor:
    mean, deviation = values.mean(dim=dim, keepdim=True), values.std(dim=dim, keepdim=True, correction=0)
    return (values - mean) / deviation.clamp(min=1e-6)


SCALES: dict[Scale, Callable[[Tensor, float], Tensor]] = {  # cosines [T, C], temperature -> [T, C]; 0 is no sign of it
    "softmax": _softmax,
    "zscore": lambda cosines, _: _standard(cosines, 1),
    "time": lambda cosines, _: _standard(cosines, 0),
}


def class_curves(cosines: Tensor, *, fps: float, settings: LocalizeSettings) -> Tensor:
    """Return cosines [T, C] on the chosen scale, each the mean over `settings.smooth` seconds around its frame.

    Raises:
        UsageError: there is one class, and the scale compares classes.
    """
    if cosines.shape[1] == 1 and settings.scale != "time":
        raise UsageError(
            f"Scale {settings.scale} compares classes with each other, and there is one. "
            "Compare it with itself over time: --set scale=time"
        )
    half = round(settings.smooth * fps) // 2
    return moving_average(SCALES[settings.scale](cosines, settings.temperature), half)


def moving_average(values: Tensor, half: int) -> Tensor:
    """Return the mean over frames t - half to t + half, those of them that exist, of values [T, C]."""
    import torch

    place = torch.arange(len(values))
    start, end = (place - half).clamp(min=0), (place + half + 1).clamp(max=len(values))
    return _means(running_sums(values), start, end)


def running_sums(values: Tensor) -> Tensor:
    """Return the sums [T + 1, C] of the values before each place between frames; in double precision."""
    from torch.nn.functional import pad

    return pad(values.double().cumsum(dim=0), (0, 0, 1, 0))


def _means(sums: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return the means [N, C] over frames start to end [N], the end not included; 0 where there are none."""
    return ((sums[end] - sums[start]) / (end - start).clamp(min=1).unsqueeze(-1)).float()


def boundary_evidence(values: Tensor, *, width: int) -> Tensor:
    """Return how much values [T, C] rise at each place between frames [T + 1, C].

    That is the mean over the `width` frames after it less the mean over those before it, fewer near the ends of the
    video, and 0 at the very ends. A text that a video's frames are all alike near to adds nothing.
    """
    import torch

    place = torch.arange(len(values) + 1)
    sums = running_sums(values)
    after = _means(sums, place, (place + width).clamp(max=len(values)))
    before = _means(sums, (place - width).clamp(min=0), place)
    inner = ((place > 0) & (place < len(values))).unsqueeze(-1)
    return (after - before) * inner
