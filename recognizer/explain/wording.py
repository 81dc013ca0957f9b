"""The wording of explanations, shared by the terminal, pictures and pages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from recognizer.evaluation.html import shortened, signed
from recognizer.evaluation.predict import ClassTexts
from recognizer.evaluation.tables import made_with
from recognizer.explain.explain import LABEL, ExplainedClass, Explanation, TextEffect

PANELS = (
    ("attribution", "attribution\nto the score"),
    ("above_mean", "above the\nmean class"),
    ("above_winner", "above the\nclass on rank 1"),
)  # numbers of a text: field, title
_QUOTED = 80  # characters
unsigned = partial(signed, plus=False)  # three digits, a sign only below zero


def colour_limit(explanations: Sequence[Explanation]) -> float:
    """Return the value at the ends of the colour scale: the 98th percentile, so that outliers do not dominate."""
    texts = [text for explanation in explanations for explained in explanation.classes for text in explained.texts]
    values = sorted(abs(value) for text in texts for value in text.frames_above)
    return (values[len(values) * 49 // 50] if values else 0.0) or 1.0


def kind_of(effect: TextEffect) -> str:
    """Return the kind of a text; for a step its number, such as `step 2`."""
    return effect.kind if effect.kind == LABEL or effect.step is None else f"step {effect.step + 1}"


def heading(explained: ExplainedClass) -> tuple[str, str]:
    """Return the name of a class with its rank, and its numbers."""
    name = f"{explained.rank}. {explained.phrase}" + (" (asked for)" if explained.asked else "")
    numbers = [
        f"score {unsigned(explained.score)}",
        f"{signed(explained.above_mean)} to the mean class",
        *([] if explained.above_winner is None else [f"{signed(explained.above_winner)} to rank 1"]),
        f"rank by label only {explained.label_only_rank}",
    ]
    return name, " · ".join(numbers)


def why_not(explanation: Explanation) -> list[str]:
    """Return what each kind of text gains or costs, a line for each class that the user named and is not on rank 1."""
    lines = []
    for explained in explanation.classes:
        if explained.asked and explained.above_winner is not None:
            kinds = dict.fromkeys(text.kind for text in explained.texts)
            effects = [_effect_of_kind([text for text in explained.texts if text.kind == kind]) for kind in kinds]
            gap, winner = unsigned(-explained.above_winner), explanation.classes[0].phrase
            lines.append(f"why not {explained.phrase}: {gap} behind {winner}: {', '.join(effects)}")
    return lines


def _effect_of_kind(texts: Sequence[TextEffect]) -> str:
    """Return the sum over texts of one kind; if it is a cost, also the text that costs most.

    For a gain no text is quoted: method `align` gives most of it to the step with the most frames.
    """
    total = sum(text.above_winner or 0.0 for text in texts)
    worst = min(texts, key=lambda text: text.above_winner or 0.0)
    quoted = f"\N{LEFT DOUBLE QUOTATION MARK}{shortened(worst.text, _QUOTED)}\N{RIGHT DOUBLE QUOTATION MARK}"
    most = f" (most by {quoted} {signed(worst.above_winner or 0.0)})" if len(texts) > 1 and total < 0 else ""
    return f"{texts[0].kind} {signed(total)}{most}"


def lines_above(texts: ClassTexts) -> list[str]:
    """Return lines on the settings; with several views per video, also which one is shown."""
    clips, crops = texts.settings.clips, texts.settings.crops
    if clips * crops == 1:
        return made_with(texts)
    views = [f"the first of {clips} clips"] * (clips > 1) + [f"the middle one of {crops} crops"] * (crops > 1)
    shown = (
        f"Frames, their colours and their steps are of {', '.join(views)}; scores and attributions are means over all"
    )
    return [*made_with(texts), shown]
