"""Explanations in the terminal: each class with its score, below it what each of its texts adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.explain.explain import ExplainedClass, Explanation, TextEffect
from recognizer.explain.wording import kind_of, plain, shortened, signed, why_not

_COLUMNS = (
    "",
    "class, and its texts",
    ">score, and shares",
    ">above mean class",
    ">above rank 1",
    ">rank by label only",
)
_LONGEST = 140  # characters of a text; --json and pages have the whole


def explanation_report(explanations: Sequence[Explanation], *, said: Sequence[str]) -> RenderableType:
    """Return the classes of each video and their texts; `said` are lines above: what it was made with."""
    parts: list[RenderableType] = [Text(line) for line in said]
    for explanation in explanations:
        parts += [Text(), Text(explanation.video, style="bold"), *_body(explanation)]
    return Group(*parts)


def _body(explanation: Explanation) -> list[RenderableType]:
    if explanation.unreadable:
        return [Text(f"unreadable: {explanation.unreadable}")]
    rows = [row for explained in explanation.classes for row in _rows(explained)]
    return [table(*_COLUMNS, rows=rows[1:]), *(Text(line) for line in why_not(explanation))]


def _rows(explained: ExplainedClass) -> Iterator[tuple[object, ...]]:
    """Yield an empty row, the class, and its texts."""
    yield ()
    name = f"{explained.phrase} (asked for)" if explained.asked else explained.phrase
    yield (explained.rank, name, *_numbers(explained.score, explained), explained.label_only_rank)
    for text in explained.texts:
        numbers = _numbers(text.share, text) if text.used else ("not used",)
        yield (f"  {kind_of(text)}", f"  {shortened(text.text, _LONGEST)}", *numbers)


def _numbers(value: float, of: ExplainedClass | TextEffect) -> tuple[str, ...]:
    return plain(value), signed(of.above_mean), "" if of.above_winner is None else signed(of.above_winner)
