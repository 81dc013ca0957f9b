"""Find the JSON that is the final answer in an LLM's raw reply.

A value is taken only if it is certainly the answer. In order:

1. The whole reply is JSON: this value.
2. Else reasoning is removed (`outside_reasoning`), and the last JSON object in the rest decides. If it does not fit, or
   another one begins behind it and is not complete, the reply is invalid: an earlier value may be a draft.
3. Only if there is no such value, the package json-repair reads the object: quotes, commas, comments. It must be
   closed, so that nothing that is missing is made up.

In each case the value may be JSON in a string, the only item of a list, or the only field of an object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, NoReturn

Location = Literal["json", "text", "repaired"]
"""Where the value is: the whole reply; between other text or in a code fence; read by json-repair."""

Problem = Callable[[Any], str | None]
"""Says why a value is not an answer; None if it is one."""

UNREADABLE = (ValueError, RecursionError)  # of json: syntax, numbers of thousands of digits, deep nesting
_WRAPPERS = 4  # values are unwrapped at most this often
_MOST_BROKEN = 50  # objects that cannot be read before the search ends, so that its time is bounded
_LONGEST_REPAIR = 20_000  # characters; json-repair is slow
_START = re.compile(
    r"""\{(?=\s*["'}]|\s*\w+\s*:)|\[(?=\s*\{)"""
)  # of an object or a list of them, not of {this} or [1]
_NO_VALUE = re.compile(r"[\[:,]\s*-?(?:NaN|Infinity|undefined)\b")
_NAMES = r"(?:think|thinking|thought|thoughts|reason|reasoning|reflection|analysis|scratchpad)"
_TAG = re.compile(
    rf"<\s*(?P<a>/?)\s*(?:\w+:)?{_NAMES}\s*>|\[(?P<b>/?){_NAMES}\]|◁(?P<c>/?){_NAMES}▷"
    rf"|<\|(?:begin|start|(?P<d>end))_?(?:of_)?_?{_NAMES}\|>",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+).*?<\|message\|>", re.DOTALL)  # of OpenAI's harmony format
_TOKEN = re.compile(r"<\|\w+\|>")
_LOST_CHANNELS = re.compile(r"\Aanalysis(?=[A-Z\s])")  # the same after a server removed the special tokens
_LOST_FINAL = "assistantfinal"


class UnreadableReplyError(ValueError):
    """The reply holds no answer; the message says why."""


def is_json(text: str) -> bool:
    """Return whether the whole text is JSON."""
    try:
        _parse(text)
    except UNREADABLE:
        return False
    return True


def read_json(reply: str, problem: Problem) -> tuple[Any, Location]:
    """Return the value that is the reply's final answer, and where it is.

    Raises:
        UnreadableReplyError: there is none.
    """
    try:
        whole = _parse(reply)
    except UNREADABLE as error:
        return _read_between(outside_reasoning(reply), problem, f"not JSON: {error}" if reply.strip() else "empty")
    return _unwrap(whole, problem), "json"


def outside_reasoning(reply: str) -> str:
    """Return a reply without the thoughts of a reasoning model.

    Thoughts stand between tags such as <think> and </think>. Without an opening tag, everything before the closing one
    is thought; without a closing tag, everything behind the opening one. In OpenAI's harmony format, everything but the
    last `final` channel is.
    """
    if channels := list(_CHANNEL.finditer(reply)):
        final = [channel for channel in channels if channel[1].lower() == "final"]
        return _TOKEN.split(reply[final[-1].end() :])[0] if final else ""
    if _LOST_CHANNELS.match(reply):
        return reply.rpartition(_LOST_FINAL)[2] if _LOST_FINAL in reply else ""
    return _outside_tags(reply)


def _outside_tags(reply: str) -> str:
    parts, depth, start = list[str](), 0, 0
    for tag in _TAG.finditer(reply):
        if not any(tag.groups()):
            parts += [reply[start : tag.start()]] if depth == 0 else []
            depth += 1
        elif depth == 0:
            parts.clear()
        else:
            depth -= 1
        start = tag.end()
    return "".join(parts) + (reply[start:] if depth == 0 else "")


def _read_between(text: str, problem: Problem, reason: str) -> tuple[Any, Location]:
    """Return the last object in a text, and how it was read; `reason`: why the whole reply cannot be read."""
    found, broken = None, None
    for start, value, stop in _objects(text):
        if stop is None:
            broken = start if broken is None else broken
        else:
            found, broken = (value,), None
    if broken is not None:
        return _repaired(text[broken:], problem, reason), "repaired"
    if not found:
        only_thoughts = "only reasoning, no answer after it"
        raise UnreadableReplyError(reason if text.strip() or reason == "empty" else only_thoughts)
    return _unwrap(found[0], problem), "text"


def _objects(text: str) -> Iterator[tuple[int, Any, int | None]]:
    """Yield where each object or list of a text begins, its value, and where it ends; None if it cannot be read.

    Raises:
        UnreadableReplyError: too many cannot be read.
    """
    position, failures = 0, 0
    while start := _START.search(text, position):
        try:
            value, position = _DECODER.raw_decode(text, start.start())
        except UNREADABLE:
            failures, position = failures + 1, start.end()
            yield start.start(), None, None
        else:
            yield start.start(), value, position
        if failures > _MOST_BROKEN:
            raise UnreadableReplyError(f"not JSON: more than {_MOST_BROKEN} braces that open nothing readable")


def _repaired(text: str, problem: Problem, reason: str) -> Any:
    """Return the value of an object that is closed but not quite JSON."""
    import json_repair

    closing = max(text.rfind("}"), text.rfind("]")) + 1
    if not closing or _START.search(text, closing) or len(text) > _LONGEST_REPAIR:
        raise UnreadableReplyError(reason)
    if text[closing:].lstrip().startswith(('"', "'", ",", ":")) or _NO_VALUE.search(text):
        raise UnreadableReplyError(reason)  # the brace belongs to a text that goes on; or a word would become a text
    try:
        return _unwrap(json_repair.loads(text[:closing], skip_json_loads=True), problem)
    except (*UNREADABLE, IndexError) as error:
        raise UnreadableReplyError(f"{reason}; repaired, it is {error}") from error


def _unwrap(value: Any, problem: Problem) -> Any:
    """Return the value, or what it wraps, that fits."""
    first = problem(value)
    for _ in range(_WRAPPERS):
        if problem(value) is None:
            return value
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "[", '"'):
            try:
                value = _parse(value)
            except UNREADABLE:
                break
        elif isinstance(value, list | dict) and len(value) == 1:
            value = value[0] if isinstance(value, list) else next(iter(value.values()))
        else:
            break
    raise UnreadableReplyError(first)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _parse(text: str) -> Any:
    """Return the value of a text that is JSON as a whole, with or without a byte order mark."""
    return _DECODER.decode(text.removeprefix("\ufeff"))
