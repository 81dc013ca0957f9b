"""Which words two texts differ in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from markupsafe import Markup

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
Part = tuple[str, bool]
"""A piece of a text, and whether the other text lacks it."""


def differences(before: str, after: str) -> tuple[list[Part], list[Part]]:
    """Return the pieces of both texts, in order; neighbours that are alike in both are one piece."""
    first, second = _WORDS.findall(before), _WORDS.findall(after)
    parts: tuple[list[Part], list[Part]] = ([], [])
    for tag, start, end, from_, to in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        for side, words in zip(parts, (first[start:end], second[from_:to]), strict=True):
            if words:
                side.append(("".join(words), tag != "equal"))
    return parts


def marked(parts: Sequence[Part], tag: str) -> Markup:
    """Return pieces as HTML, those that the other text lacks inside `tag`; everything in them is escaped."""
    return Markup("").join(_inside(piece, tag) if differs and piece.strip() else piece for piece, differs in parts)


def _inside(piece: str, tag: str) -> Markup:
    words = piece.strip()
    before, after = piece.split(words)[0], piece.split(words)[-1]
    return Markup("{1}<{0}>{2}</{0}>{3}").format(Markup(tag), before, words, after)  # noqa: S704 - a tag of ours


def lacking(parts: Sequence[Part]) -> list[str]:
    """Return the pieces that the other text lacks, without the white space around them."""
    return [piece.strip() for piece, differs in parts if differs and piece.strip()]
