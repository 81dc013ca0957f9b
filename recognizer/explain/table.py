"""Explanations in the terminal: each class with its score, and below it the attributions of its texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.evaluation.html import shortened, signed
from recognizer.explain.explain import ExplainedClass, Explanation, TextEffect
from recognizer.explain.wording import kind_of, unsigned, why_not

_COLUMNS = (
    "",
    "class, and its texts",
    ">score, and attributions",
    ">above mean class",
    ">above rank 1",
    ">rank by label only",
)
_LONGEST = 140  # characters of a text; --json and pages show it whole


def explanation_report(explanations: Sequence[Explanation], *, made_with: Sequence[str]) -> RenderableType:
    """Return the classes of each video and their texts, below lines on the settings."""
    parts: list[RenderableType] = [Text(line) for line in made_with]
    for explanation in explanations:
        parts += [Text(), Text(explanation.video, style="bold")]
        if explanation.unreadable:
            parts.append(Text(f"unreadable: {explanation.unreadable}"))
            continue
        if explanation.truncated:
            parts.append(Text(f"truncated: {explanation.truncated}"))
        rows = [row for explained in explanation.classes for row in _rows(explained)]
        parts += [table(*_COLUMNS, rows=rows[1:]), *(Text(line) for line in why_not(explanation))]
    return Group(*parts)


def _rows(explained: ExplainedClass) -> Iterator[tuple[object, ...]]:
    """Yield an empty row, the class, and its texts."""
    yield ()
    name = f"{explained.phrase} (asked for)" if explained.asked else explained.phrase
    yield (explained.rank, name, *_numbers(explained.score, explained), explained.label_only_rank)
    for text in explained.texts:
        numbers = _numbers(text.attribution, text) if text.used else ("not used",)
        yield (f"  {kind_of(text)}", f"  {shortened(text.text, _LONGEST)}", *numbers)


def _numbers(value: float, item: ExplainedClass | TextEffect) -> tuple[str, ...]:
    return unsigned(value), signed(item.above_mean), "" if item.above_winner is None else signed(item.above_winner)
