"""Batch files: calls as lines of JSON, and what the lines that come back say. Nothing here talks to a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from descriptor_gen.llms import Message, Request
from descriptor_gen.llms.api.completion import Answer, read_answer
from descriptor_gen.llms.api.response_format import mode_of

ENDPOINT = "/v1/chat/completions"


@dataclass(frozen=True)
class Limits:
    """What one file may hold; OpenAI's limits, in calls and bytes."""

    calls: int = 50_000
    size: int = 200_000_000


@dataclass(frozen=True)
class Asked:
    """What one line of a file asks; `messages` is None where they are those of the request, as far as is known."""

    messages: tuple[Message, ...] | None
    mode: str


@dataclass(frozen=True)
class Refusal:
    """Why a line came back without an answer; the attributes are those of an error of the package openai."""

    message: str
    status_code: int | None = None
    code: str | None = None
    type: str | None = None
    param: str | None = None

    def __str__(self) -> str:
        return ": ".join(str(part) for part in (self.status_code, self.code, self.message) if part)


def line(key: str, body: Mapping[str, Any]) -> bytes:
    """Return the line of one call. The key, 64 characters, is as long as the strictest of servers allow."""
    call = {"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}
    return json.dumps(call, ensure_ascii=False).encode() + b"\n"


def split(
    requests: Sequence[Request], size: Callable[[Request], int], limits: Limits | None = None
) -> Iterator[list[Request]]:
    """Yield the requests of one file after the other; `size` is that of a request's line in bytes."""
    limits = limits or Limits()
    file: list[Request] = []
    room = limits.size
    for request in requests:
        needed = size(request)
        if file and (len(file) == limits.calls or needed > room):
            yield file
            file, room = [], limits.size
        file.append(request)
        room -= needed
    if file:
        yield file


def rows(content: bytes) -> list[dict[str, Any]]:
    """Return the lines of a file; one that is damaged is left out, and its call then counts as not answered."""
    found = (_row(text) for text in content.split(b"\n"))  # splitlines would cut at signs that JSON allows in texts
    return [row for row in found if row is not None]


def _row(text: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def asked_by(row: Mapping[str, Any]) -> Asked:
    """Return what a line of an input file asked."""
    body = row.get("body") or {}
    return Asked(tuple(body.get("messages") or ()), mode_of(body))


def answer_of(row: Mapping[str, Any]) -> Answer | Refusal:
    """Return what a line of an output or error file says."""
    response = row.get("response") or {}
    status, body = response.get("status_code"), response.get("body")
    if status == 200:
        return read_answer(json.dumps(body))
    said = (body.get("error") if isinstance(body, dict) else body) or row.get("error") or {}
    if not isinstance(said, dict):
        return Refusal(str(said), status)
    fields = {name: None if said.get(name) is None else str(said[name]) for name in ("code", "type", "param")}
    return Refusal(str(said.get("message") or "no reason was given"), status, **fields)
