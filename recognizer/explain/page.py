"""Explanations as one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from recognizer.evaluation.html import fill_template, shortened, signed
from recognizer.explain.explain import Explanation
from recognizer.explain.wording import colour_limit, kind_of, unsigned, why_not
from recognizer.video.thumbnails import data_uri

_STRONGEST = 0.75  # opacity of a cell's colour; the number in it stays legible on light and on dark


def explanation_page(explanations: Sequence[Explanation], *, title: str, made_with: Sequence[str]) -> str:
    """Return the page.

    Args:
        explanations: of all videos; unreadable ones are shown with the reason.
        title: of the page.
        made_with: lines below the title: the settings.
    """
    filters: dict[str, Callable[..., Any]] = {
        "unsigned": unsigned, "signed": signed, "short": _short, "shortened": shortened, "kind": kind_of,
        "why_not": why_not, "opacity": _opacity, "picture": data_uri,
    }  # fmt: skip
    return fill_template(
        "recognizer.explain",
        "explain.html",
        filters,
        explanations=explanations,
        title=title,
        made_with=made_with,
        limit=colour_limit(explanations),
    )


def _short(value: float) -> str:
    """Return a cosine with its sign and two digits, without the 0 before the point: `+.05`."""
    return signed(value, 2).replace("0.", ".", 1) if round(value, 2) else "0"


def _opacity(value: float, limit: float) -> str:
    return f"{_STRONGEST * min(1.0, abs(value) / limit):.2f}"
