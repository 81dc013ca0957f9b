"""Plain text as HTML: paragraphs and lists, everything in them escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from markupsafe import Markup

_ITEM = re.compile(r"\s*(?:([-*•])|\d{1,3}[.)])\s+(.*)")


def prose(text: str) -> Markup:
    """Return a text as HTML.

    Blank lines end a paragraph. Lines that begin with `-` or `*` are a list, those with `1.` a numbered one.
    """
    groups = groupby(text.splitlines(), key=_form)
    return Markup("\n").join(_FORMS[form](list(lines)) for form, lines in groups if form != "blank")


def _form(line: str) -> str:
    item = _ITEM.match(line)
    return "blank" if not line.strip() else "line" if not item else "bullets" if item[1] else "numbers"


def _paragraph(lines: Sequence[str]) -> Markup:
    return Markup("<p>{}</p>").format(Markup("<br>").join(line.strip() for line in lines))


def _items(lines: Sequence[str]) -> Markup:
    return Markup("").join(Markup("<li>{}</li>").format(item[2]) for line in lines if (item := _ITEM.match(line)))


_FORMS: Mapping[str, Callable[[Sequence[str]], Markup]] = {
    "line": _paragraph,
    "bullets": lambda lines: Markup("<ul>{}</ul>").format(_items(lines)),
    "numbers": lambda lines: Markup("<ol>{}</ol>").format(_items(lines)),
}
