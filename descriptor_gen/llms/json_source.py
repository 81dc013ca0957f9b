"""Find the last JSON object in a text, in one pass. Its punctuation may be wrong; its brackets must match."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DEEPEST = 20  # brackets inside each other
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019"}  # opening -> closing
_BRACKETS = {"{": "}", "[": "]"}
_OPENING = "".join(_QUOTES)

# An object, or a list of objects, whose first name follows; braces in prose such as {this} are none. A bracket or fence
# at the very end is an answer that breaks off there.
_OBJECT = re.compile(
    rf"(?:\[\s*)?\{{(?=\s*(?:[{_OPENING}}}\\]|[\w-]{{1,100}}\s*:|\Z))|(?:\[|```json)\s*\Z", re.IGNORECASE
)
_MARK = re.compile(rf"[\[\]{{}}]|(?<!\w)[{_OPENING}]|//[^\n]*|/\*[^*]*\*/")
# A string ends at a quote that something of JSON follows; other quotes belong to its text.
_STRING = {
    opening: re.compile(rf"(?:\\.|[^\\])*?{closing}(?=\s*(?:[,:}}\]/]|\Z))", re.DOTALL)
    for opening, closing in _QUOTES.items()
}
_FENCE = re.compile(r"```\w*\s*\Z")
_LONGEST_FENCE = 20  # characters
_NEXT_TURN = re.compile(r"^\W*(?:user|human|action|question)\W*:", re.IGNORECASE | re.MULTILINE)


class SourceError(ValueError):
    """There is no JSON object that could be read; the message says why."""


@dataclass(frozen=True)
class JsonSource:
    """An object as a reply writes it.

    Attributes:
        place: `fence`, or `braces` if it is in no code fence.
    """

    text: str
    without_comments: str
    place: str


def last_object(text: str) -> JsonSource:
    """Return the last object of a text.

    Raises:
        SourceError: there is none, it breaks off, or it may belong to a further turn that the model made up.
    """
    plain, start, end = "", 0, 0
    while begin := _OBJECT.search(text, end):
        if plain and _NEXT_TURN.search(text, end, begin.start()):
            raise SourceError("it goes on with a further turn after its JSON")
        start = begin.start()
        plain, end = _value(text, start)
    if not plain:
        raise SourceError("not JSON: there is no JSON object in it")
    in_fence = _FENCE.search(text, max(0, start - _LONGEST_FENCE), start)
    return JsonSource(text[start:end], plain, "fence" if in_fence else "braces")


def _value(text: str, start: int) -> tuple[str, int]:
    """Return the source of the value that begins at a bracket, without comments, and where it ends.

    Raises:
        SourceError: a bracket or string is not closed, brackets do not match, or too many are inside each other.
    """
    position, opened, parts = start, list[str](), list[str]()
    while mark := _MARK.search(text, position):
        if mark.group().startswith("/"):
            parts.append(text[position : mark.start()])
            position = mark.end()
            continue
        end = _end_of_string(text, mark) if mark.group() in _STRING else mark.end()
        _count(mark.group(), opened)
        parts.append(text[position:end])
        position = end
        if not opened:
            return "".join(parts), position
    raise SourceError("not JSON: it breaks off")


def _end_of_string(text: str, quote: re.Match[str]) -> int:
    string = _STRING[quote.group()].match(text, quote.end())
    if not string:
        raise SourceError("not JSON: it breaks off")
    return string.end()


def _count(mark: str, opened: list[str]) -> None:
    """Add the bracket that closes an opening one, or take off the one that is closed; other marks do nothing."""
    if mark in _BRACKETS:
        opened.append(_BRACKETS[mark])
        if len(opened) > _DEEPEST:
            raise SourceError("not JSON: too many brackets inside each other")
    elif mark in _BRACKETS.values() and opened.pop() != mark:
        raise SourceError("not JSON: its brackets do not match")
