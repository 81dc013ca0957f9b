"""Explanations as one HTML page that needs nothing beside it: no network, no script, no other file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recognizer.evaluation.page import template_environment
from recognizer.explain.explain import Explanation
from recognizer.explain.wording import colour_limit, kind_of, plain, short, shortened, signed, why_not
from recognizer.video.thumbnails import data_uri

_STRONGEST = 0.75  # opacity of a cell's colour; the number in it stays legible on light and on dark


def explanation_page(explanations: Sequence[Explanation], *, title: str, said: Sequence[str]) -> str:
    """Return the page.

    Args:
        explanations: of all videos; those that could not be read stand there with the reason.
        title: of the page.
        said: lines below it: what the numbers were made with.
    """
    template = _environment().get_template("explain.html")
    limit = colour_limit(explanations)
    page: str = template.render(explanations=explanations, title=title, said=said, limit=limit)
    return page


def _environment() -> Any:
    made = template_environment("recognizer.explain")
    words = {
        "plain": plain,
        "signed": signed,
        "short": short,
        "shortened": shortened,
        "kind": kind_of,
        "why_not": why_not,
    }
    made.filters.update(words, opacity=_opacity, picture=data_uri)
    return made


def _opacity(value: float, limit: float) -> str:
    return f"{_STRONGEST * min(1.0, abs(value) / limit):.2f}"
