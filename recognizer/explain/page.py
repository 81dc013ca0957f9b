"""Explanations as one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from markupsafe import Markup

from recognizer.evaluation.html import fill_template, shortened, signed
from recognizer.explain.explain import Explanation
from recognizer.explain.wording import colour_limit, kind_of, unsigned, why_not
from recognizer.video.thumbnails import data_uri, side_by_side

_STRONGEST = 0.75  # opacity of a cell's colour; the number in it stays legible on light and on dark
_SHADES = 10  # of each of the two colours; a class of CSS each, which is shorter than a style in every cell
_FEW = 20  # videos; the pictures of more are smaller, so that the page of 100 can be sent around
_HEIGHT, _SMALL = 112, 60  # pixels of a frame. All frames of a video are one picture: each file repeats its headers


def explanation_page(explanations: Sequence[Explanation], *, title: str, made_with: Sequence[str]) -> str:
    """Return the page.

    Args:
        explanations: of all videos; unreadable ones are shown with the reason.
        title: of the page.
        made_with: lines below the title: the settings.
    """
    height = _HEIGHT if len(explanations) <= _FEW else _SMALL
    filters: dict[str, Callable[..., Any]] = {
        "unsigned": unsigned, "signed": signed, "short": _short, "shortened": shortened, "kind": kind_of,
        "why_not": why_not, "shade": _shade, "name": _name,
    }  # fmt: skip
    return fill_template(
        "recognizer.explain",
        "explain.html",
        filters,
        explanations=explanations,
        pictures=[_picture(explanation, height) if explanation.frames else None for explanation in explanations],
        shades=[(shade, f"{_STRONGEST * shade / _SHADES:.3g}") for shade in range(1, _SHADES + 1)],
        title=title,
        made_with=made_with,
        limit=colour_limit(explanations),
    )


def _short(value: float) -> str:
    """Return a cosine with its sign and two digits, without the 0 before the point: `+.05`."""
    return signed(value, 2).replace("0.", ".", 1) if round(value, 2) else "0"


def _shade(value: float, limit: float, on_path: bool) -> Markup:
    """Return the class attribute of a cell: its colour, u1 to u10 above zero, d1 to d10 below; `p`: on the path."""
    shade = round(_SHADES * min(1.0, abs(value) / limit))
    classes = [f"{'u' if value > 0 else 'd'}{shade}"] * bool(shade) + ["p"] * on_path
    quoted = f'"{" ".join(classes)}"' if len(classes) > 1 else "".join(classes)
    return Markup(f" class={quoted}" if quoted else "")  # noqa: S704 - our own words


def _picture(explanation: Explanation, height: int) -> dict[str, Any]:
    """Return the frames of a video as one picture, and the size of one frame in it."""
    pixels = side_by_side([frame.picture for frame in explanation.frames], height=height)  # [H, T * W, 3]
    size = {"width": pixels.shape[1] // len(explanation.frames), "height": pixels.shape[0]}
    return {"uri": data_uri(pixels, quality=45, form="webp"), "whole": pixels.shape[1], **size}


def _name(video: str) -> str:
    """Return the name of a video: the last part of its path."""
    return PurePath(video).name
