"""Read the JSON that is the answer in an LLM's raw reply. Time is linear in the length of the reply.

The answer is the last JSON object outside of thoughts, and it must fit. An object that breaks off, or that does not
fit, is never passed over for an earlier one: the earlier one may be a draft.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from descriptor_gen.llms.json_source import SourceError, last_object
from descriptor_gen.llms.repaired_json import repaired
from descriptor_gen.llms.thoughts import answer_of

UNREADABLE = (ValueError, RecursionError)
"""What `load_json` raises."""

_LONGEST_NUMBER = 30  # digits; Python refuses to read integers of more than 4300
_MOST_WRAPPERS = 4
_NO_ANSWER = re.compile(r"think|thought|reason|draft|analysis|scratch|example|previous|before", re.IGNORECASE)


class InvalidReplyError(Exception):
    """A reply has no answer, or none that fits; `read_as` says how far it could be read (`none`: not at all)."""

    def __init__(self, message: str, read_as: str = "none") -> None:
        super().__init__(message)
        self.read_as = read_as


@dataclass(frozen=True)
class Reading:
    """The answer in a reply.

    Attributes:
        read_as: where it was (`json`: the whole reply, `fence`: in a code fence, `braces`: between other text), then
            what was done to it (`repaired`, `unwrapped`).
    """

    document: Any
    read_as: str


def load_json(text: str) -> Any:
    """Return the value of a JSON text; an integer of more digits than any count has becomes a float."""
    return json.loads(text.removeprefix("\ufeff"), parse_int=_integer)


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


def is_json(reply: str) -> bool:
    """Return whether the whole reply is JSON."""
    try:
        load_json(reply)
    except UNREADABLE:
        return False
    return True


def read_json(reply: str, misfit: Callable[[Any], str | None]) -> Reading:
    """Return the answer in a reply.

    Args:
        misfit: says why a document cannot be the answer; None if it can.

    Raises:
        InvalidReplyError: there is none.
    """
    if not reply.strip():
        raise InvalidReplyError("empty", "empty")
    answer = answer_of(reply)
    for text, place in ((reply, "json"), (answer or "", "braces")):
        with suppress(*UNREADABLE):
            return _fitting(_loaded(text), place, misfit)
    if answer is None:
        raise InvalidReplyError("it ends within its thoughts, without an answer", "thoughts")
    return _read_last_object(answer, misfit)


def _read_last_object(answer: str, misfit: Callable[[Any], str | None]) -> Reading:
    try:
        source = last_object(answer)
        with suppress(*UNREADABLE):
            return _fitting(_loaded(source.text), source.place, misfit)
        return _fitting(repaired(source.without_comments), f"{source.place}, repaired", misfit)
    except SourceError as error:
        raise InvalidReplyError(str(error)) from error


def _loaded(text: str) -> Any:
    """Return the value of a JSON text in which every name of an object stands once.

    Raises:
        InvalidReplyError: a name stands twice; which one is meant?
        ValueError, RecursionError: it is not JSON.
    """
    return json.loads(text.removeprefix("\ufeff"), parse_int=_integer, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise InvalidReplyError("a name stands twice in one object")
    return document


def _fitting(document: Any, read_as: str, misfit: Callable[[Any], str | None]) -> Reading:
    """Return a document that fits: as it is, else without what it is wrapped in."""
    problem = misfit(document)
    if problem is None:
        return Reading(document, read_as)
    for inner in _unwrapped(document):
        if misfit(inner) is None:
            return Reading(inner, f"{read_as}, unwrapped")
    raise InvalidReplyError(problem, read_as)


def _unwrapped(document: Any) -> Iterator[Any]:
    """Yield what is inside of a text that is JSON, a list of one, or an object of one name; then what is in that."""
    for _ in range(_MOST_WRAPPERS):
        try:
            document = _inside(document)
        except UNREADABLE:
            return
        yield document


def _inside(document: Any) -> Any:
    """Return what is inside of a wrapper.

    Raises:
        ValueError, RecursionError: it is none.
    """
    if isinstance(document, str):
        return _loaded(document)
    if isinstance(document, list):
        [item] = document
        return item
    if isinstance(document, dict):
        [(name, value)] = document.items()
        if not _NO_ANSWER.search(name):
            return value
    raise ValueError
