"""How an explanation is put into words: the same in the terminal, in pictures and in pages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from recognizer.evaluation.page import number
from recognizer.evaluation.predict import ClassTexts
from recognizer.evaluation.tables import made_with
from recognizer.explain.explain import LABEL, ExplainedClass, Explanation, TextEffect

PANELS = (
    ("share", "share of\nthe score"),
    ("above_mean", "above the\nmean class"),
    ("above_winner", "above the\nclass on rank 1"),
)  # numbers of a text: field, title
_QUOTED = 80  # characters
signed = partial(number, digits=3)
plain = partial(number, digits=3, plus=False)


def short(value: float) -> str:
    """Return a number with its sign, two digits after the point and none before it that is 0."""
    return number(value, 2).replace("0.", ".", 1) if round(value, 2) else "0"


def shortened(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters; one that is cut ends in `…`."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def colour_limit(explanations: Sequence[Explanation]) -> float:
    """Return the value at both ends of the colours: one in fifty is beyond it, so that a few do not pale the others."""
    texts = [text for explanation in explanations for explained in explanation.classes for text in explained.texts]
    values = sorted(abs(value) for text in texts for value in text.frames_above)
    return (values[len(values) * 49 // 50] if values else 0.0) or 1.0


def kind_of(effect: TextEffect) -> str:
    """Return what a text is: the label, a step by its number, or its kind."""
    return effect.kind if effect.kind == LABEL or effect.step is None else f"step {effect.step + 1}"


def head_of(explained: ExplainedClass) -> tuple[str, str]:
    """Return the heading of a class, and what is said beside it."""
    name = f"{explained.rank}. {explained.phrase}" + (" (asked for)" if explained.asked else "")
    said = [
        f"score {plain(explained.score)}",
        f"{signed(explained.above_mean)} to the mean class",
        *([] if explained.above_winner is None else [f"{signed(explained.above_winner)} to rank 1"]),
        f"rank by label only {explained.label_only_rank}",
    ]
    return name, " · ".join(said)


def why_not(explanation: Explanation) -> list[str]:
    """Return, for each class that was asked for and is not on rank 1, what each kind of its texts gains or costs it."""
    asked = [explained for explained in explanation.classes if explained.asked and explained.above_winner is not None]
    return [_why_not(explained, explanation.classes[0].phrase) for explained in asked]


def _why_not(explained: ExplainedClass, winner: str) -> str:
    kinds = dict.fromkeys(text.kind for text in explained.texts)
    by_kind = [[text for text in explained.texts if text.kind == kind] for kind in kinds]
    gap = plain(-(explained.above_winner or 0.0))
    return f"why not {explained.phrase}: {gap} behind {winner}: {', '.join(map(_of_kind, by_kind))}"


def _of_kind(texts: Sequence[TextEffect]) -> str:
    """Return what texts of one kind do together; where they cost, and are several, also the one that costs most.

    Single steps are not told of where their sum is a gain: method `align` gives all to the step with most frames.
    """
    total = sum(text.above_winner or 0.0 for text in texts)
    worst = min(texts, key=lambda text: text.above_winner or 0.0)
    quoted = f"\N{LEFT DOUBLE QUOTATION MARK}{shortened(worst.text, _QUOTED)}\N{RIGHT DOUBLE QUOTATION MARK}"
    most = f" (most by {quoted} {signed(worst.above_winner or 0.0)})" if len(texts) > 1 and total < 0 else ""
    return f"{texts[0].kind} {signed(total)}{most}"


def lines_above(texts: ClassTexts) -> list[str]:
    """Return what explanations were made with; for several views of each video, also which one is shown."""
    clips, crops = texts.settings.clips, texts.settings.crops
    if clips * crops == 1:
        return made_with(texts)
    views = [f"the first of {clips} clips"] * (clips > 1) + [f"the middle one of {crops} crops"] * (crops > 1)
    shown = f"Frames, their colours and their steps are of {', '.join(views)}; scores and shares are means over all"
    return [*made_with(texts), shown]
