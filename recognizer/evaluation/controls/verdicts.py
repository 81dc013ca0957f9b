"""What controls say, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recognizer.evaluation.controls.results import ClassControl, Control

LEVEL = 0.05  # of p


def verdicts(texts: Sequence[Control], frames: Sequence[Control]) -> Iterator[str]:
    """Yield a sentence about each control: the run is better or worse, or cannot be told from it."""
    for each in texts:
        yield f"These texts {_compared(each)} {each.about}: {_numbers(each)}"
    for each in frames:
        if each.name != "shuffled":  # says the same as reversed, with less power
            yield f"By {each.part}, the frames as they are {_compared(each)} {each.about}: {_numbers(each)}"


def verdicts_by_kind(kinds: Sequence[Control]) -> dict[str, str]:
    """Return a sentence about the texts of each kind, which were exchanged alone."""
    return {
        each.part: f"Texts of kind {each.part} {_compared(each)} those of other classes: {_numbers(each)}"
        for each in kinds
    }


def verdicts_by_class(classes: Sequence[ClassControl]) -> dict[str, str]:
    """Return a sentence about the texts of each class that has videos, by the name of the class."""
    return {each.name: _of_class(each, len(classes)) for each in classes}


def _of_class(control: ClassControl, classes: int) -> str:
    side = (control.p < LEVEL) - (control.p_worse < LEVEL)
    videos = f"{control.videos} video{'s' if control.videos > 1 else ''}"
    shares = (
        f"{100 * control.real:.0f}% of {videos} right, {100 * control.swapped:.0f}% with the texts of other classes"
    )
    p = f"p = {control.p_worse if side < 0 else control.p:.3f}"
    chance = f" (of {classes} classes, about {LEVEL * classes:.1f} by chance)" if side else ""
    return f"The texts of this class {_PHRASES[side]} those of other classes: {shares}, {p}{chance}"


def _side(control: Control) -> int:
    """Return 1 if the run is better, -1 if it is worse, 0 if that cannot be told.

    Where there is a p, it has to agree with the interval: p is about these videos, the interval about videos like them.
    """
    low, high, p = control.difference.low, control.difference.high, control.p
    return (low > 0 and (p is None or p < LEVEL)) - (high < 0 and (p is None or p > 1 - LEVEL))


_PHRASES = {1: "are better than", 0: "cannot be told from", -1: "are worse than"}


def _compared(control: Control) -> str:
    return _PHRASES[_side(control)]


def _numbers(control: Control) -> str:
    """Return the difference in points with its interval, and p if there is one."""
    low, high = control.difference.low, control.difference.high
    p = f", p = {control.p:.3f}" if control.p is not None else ""
    return f"{100 * control.difference.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points of top-1{p}"
