"""All choices between the embeddings of a long video and its segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from db.errors import UsageError

Scale = Literal["softmax", "zscore", "time"]
Suppression = Literal["hard", "soft", "none"]
Rule = tuple[Callable[[str], Any], Callable[[Any], bool], str]  # parse a text, check the value, the allowed values


def _one_of(choices: Sequence[str]) -> Rule:
    return str, lambda value: value in choices, f"one of {', '.join(choices)}"


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(sorted({float(part) for part in text.split(",")}))


_POSITIVE: Rule = (float, lambda value: 0 < value < float("inf"), "a number above 0")
_NOT_NEGATIVE: Rule = (float, lambda value: 0 <= value < float("inf"), "a number, 0 or above")
_FRACTION: Rule = (float, lambda value: 0 <= value <= 1, "a number from 0 to 1")
_FRACTIONS: Rule = (_numbers, lambda values: all(0 < v <= 1 for v in values), "numbers above 0 up to 1, with commas")
_COUNT: Rule = (int, lambda value: value >= 1, "a whole number, 1 or above")


@dataclass(frozen=True)
class LocalizeSettings:
    """All choices between embeddings and segments.

    Attributes:
        scale: how a frame's cosines become class scores. softmax: the softmax over classes minus 1 / C, so that 0 is
            no evidence; zscore: standard deviations above the mean over classes; time: standard deviations above the
            class's own mean over the video (the only one that works with a single class).
        temperature: of the softmax; 0.01 in CLIP and TEAR.
        smooth: seconds over which class scores are averaged.
        thresholds: proposals are the runs of frames above these fractions of a class's highest score in the video.
        edge: seconds on each side of a boundary that are compared to detect the start or end of an action.
        search: seconds that a start or an end may move to a better boundary; 0 leaves them.
        shortest: seconds; shorter proposals are dropped.
        margin: length of the surroundings on each side, as a fraction of the proposal's length.
        contrast: factor on the mean of the surroundings, which is subtracted from the mean of the inside.
        nms: how overlapping segments of one class are suppressed, see `suppress`.
        nms_iou: the intersection over union that hard suppression allows.
        sigma: the width of soft suppression.
        proposals: number of best proposals per video that enter suppression.
        keep: number of best segments per video that are kept.
    """

    scale: Scale = field(default="softmax", metadata={"rule": _one_of(get_args(Scale))})
    temperature: float = field(default=0.01, metadata={"rule": _POSITIVE})
    smooth: float = field(default=1.0, metadata={"rule": _NOT_NEGATIVE})
    thresholds: tuple[float, ...] = field(default=(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), metadata={"rule": _FRACTIONS})
    edge: float = field(default=1.0, metadata={"rule": _POSITIVE})
    search: float = field(default=1.0, metadata={"rule": _NOT_NEGATIVE})
    shortest: float = field(default=0.5, metadata={"rule": _NOT_NEGATIVE})
    margin: float = field(default=0.25, metadata={"rule": _NOT_NEGATIVE})
    contrast: float = field(default=1.0, metadata={"rule": _NOT_NEGATIVE})
    nms: Suppression = field(default="hard", metadata={"rule": _one_of(get_args(Suppression))})
    nms_iou: float = field(default=0.4, metadata={"rule": _FRACTION})
    sigma: float = field(default=0.5, metadata={"rule": _POSITIVE})
    proposals: int = field(default=2000, metadata={"rule": _COUNT})
    keep: int = field(default=200, metadata={"rule": _COUNT})


def with_values(settings: LocalizeSettings, assignments: Sequence[str]) -> LocalizeSettings:
    """Return settings changed by assignments `name=value`, with commas between the numbers of a list.

    Raises:
        UsageError: unknown setting, or a value that is not allowed.
    """
    rules: dict[str, Rule] = {each.name: each.metadata["rule"] for each in fields(settings)}
    changed: dict[str, Any] = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in rules:
            known = ", ".join(f"{name}={_text(getattr(settings, name))}" for name in rules)
            raise UsageError(f"Unknown setting {name!r}. Known, with their values: {known}")
        changed[name] = _value(name, text, rules[name])
    return replace(settings, **changed)


def _value(name: str, text: str, rule: Rule) -> Any:
    parse, allows, description = rule
    try:
        value = parse(text)
    except ValueError:
        value = None
    if value is None or not allows(value):
        raise UsageError(f"{name} is {description}, not {text!r}")
    return value


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
