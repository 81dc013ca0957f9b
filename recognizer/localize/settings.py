"""All choices between the embeddings of a long video and the segments found in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from db.errors import UsageError
from recognizer.localize.nms import Suppression

Scale = Literal["softmax", "zscore", "time"]


@dataclass(frozen=True)
class LocalizeSettings:
    """All choices between embeddings and segments.

    Attributes:
        scale: what a frame's cosines become. softmax: a share of all classes, less an even share (1 / C), which says
            nothing; zscore: standard deviations above the mean over classes; time: standard deviations above the
            class's own mean over the video (the only one that can do with a single class).
        temperature: cosines are divided by it before the softmax; 0.01 in CLIP and TEAR.
        smooth: seconds over which curves are averaged.
        heights: stretches are looked for above these shares of a class's highest value in the video.
        edge: seconds on each side of a place that are compared to tell whether an action starts or ends there.
        search: seconds that a start or an end may move to such a place; 0 leaves them.
        shortest: seconds; shorter segments are left out.
        margin: how far a segment's surroundings reach on each side, as a share of its length.
        contrast: how much of the mean of the surroundings is taken off the mean of the inside.
        nms: what becomes of overlapping segments of one class, see `suppress`.
        overlap: the intersection over union that hard suppression allows.
        sigma: the width of soft suppression.
        proposals: the best of so many segments of a video are suppressed against each other.
        keep: the best so many are kept of a video.
    """

    scale: Scale = "softmax"
    temperature: float = 0.01
    smooth: float = 1.0
    heights: tuple[float, ...] = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    edge: float = 1.0
    search: float = 1.0
    shortest: float = 0.5
    margin: float = 0.25
    contrast: float = 1.0
    nms: Suppression = "hard"
    overlap: float = 0.4
    sigma: float = 0.5
    proposals: int = 2000
    keep: int = 200


def with_values(settings: LocalizeSettings, assignments: Sequence[str]) -> LocalizeSettings:
    """Return settings changed as `name=value` says, with commas between the numbers of a list.

    Raises:
        UsageError: no setting of that name, or not a value that it can have.
    """
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    changed: dict[str, Any] = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in known:
            listed = ", ".join(f"{name}={_shown(value)}" for name, value in known.items())
            raise UsageError(f"Unknown setting {name!r}. Known, with their values: {listed}")
        changed[name] = _value(name, text)
    return replace(settings, **changed)


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _value(name: str, text: str) -> Any:
    if name in _CHOICES:
        if text not in _CHOICES[name]:
            raise UsageError(f"{name} is one of {', '.join(_CHOICES[name])}, not {text!r}")
        return text
    parse, allowed, what = _NUMBERS[name]
    try:
        value = parse(text)
    except ValueError:
        value = None
    if value is None or not allowed(value):
        raise UsageError(f"{name} is {what}, not {text!r}")
    return value


def _list(text: str) -> tuple[float, ...]:
    return tuple(sorted({float(part) for part in text.split(",")}))


_CHOICES: Mapping[str, tuple[str, ...]] = {"scale": get_args(Scale), "nms": get_args(Suppression)}
_POSITIVE = (float, lambda value: 0 < value < float("inf"), "a number above 0")
_NOT_NEGATIVE = (float, lambda value: 0 <= value < float("inf"), "a number, 0 or above")
_SHARE = (float, lambda value: 0 <= value <= 1, "a number from 0 to 1")
_COUNT = (int, lambda value: value >= 1, "a whole number, 1 or above")
_NUMBERS: Mapping[str, tuple[Callable[[str], Any], Callable[[Any], bool], str]] = {
    "temperature": _POSITIVE,
    "smooth": _NOT_NEGATIVE,
    "heights": (_list, lambda values: all(0 < value <= 1 for value in values), "numbers above 0 up to 1, with commas"),
    "edge": _POSITIVE,
    "search": _NOT_NEGATIVE,
    "shortest": _NOT_NEGATIVE,
    "margin": _NOT_NEGATIVE,
    "contrast": _NOT_NEGATIVE,
    "overlap": _SHARE,
    "sigma": _POSITIVE,
    "proposals": _COUNT,
    "keep": _COUNT,
}
