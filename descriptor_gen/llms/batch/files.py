"""Batch files: calls as lines of JSON, and the lines of the results. Nothing here talks to a server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from descriptor_gen.llms import Message, Request
from descriptor_gen.llms.api.completion import Completion, read_completion
from descriptor_gen.llms.api.dialect import Form, form_of_body
from descriptor_gen.llms.api.errors import words_of
from descriptor_gen.llms.options import BatchOptions

_ENDPOINT = "/v1/chat/completions"


def endpoint(base_url: str) -> str:
    """Return the address of chat completions in a batch: OpenAI's, or that of Azure, without the version."""
    return _ENDPOINT.removeprefix("/v1") if ".azure.com" in base_url else _ENDPOINT


@dataclass(frozen=True)
class BatchCall:
    """One call of a batch: its form, and its messages where they may differ from the request's."""

    messages: tuple[Message, ...] | None
    form: Form


@dataclass(frozen=True)
class CallError:
    """Why a call of a batch has no answer; with the attributes of an error of the package openai."""

    message: str
    status_code: int | None = None
    code: str | None = None
    type: str | None = None
    param: str | None = None

    def __str__(self) -> str:
        parts = dict.fromkeys(str(part) for part in (self.status_code, self.code, self.message) if part)
        return ": ".join(parts)  # vLLM gives the status as code too


def call_line(key: str, body: Mapping[str, Any], *, url: str = _ENDPOINT) -> bytes:
    """Return the line of one call. A key has 64 characters, the most that the strictest servers allow."""
    call = {"custom_id": key, "method": "POST", "url": url, "body": body}
    return json.dumps(call, ensure_ascii=False).encode() + b"\n"


def split(requests: Sequence[Request], size: Callable[[Request], int], limits: BatchOptions) -> Iterator[list[Request]]:
    """Yield the requests of each file; `size` returns the bytes of a request's line."""
    file: list[Request] = []
    room = limits.bytes_per_file
    for request in requests:
        needed = size(request)
        if file and (len(file) == limits.calls_per_file or needed > room):
            yield file
            file, room = [], limits.bytes_per_file
        file.append(request)
        room -= needed
    if file:
        yield file


def read_lines(content: bytes) -> list[dict[str, Any]]:
    """Return the lines of a file that name a call. Others are skipped, so their calls count as unanswered."""
    lines = map(read_line, content.split(b"\n"))  # splitlines would split at characters that JSON allows in strings
    return [line for line in lines if line is not None]


def read_line(text: bytes) -> dict[str, Any] | None:
    """Return the object of a line, with a text as `custom_id`; None if the line is damaged."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) and isinstance(line.get("custom_id"), str) else None


def read_call(line: Mapping[str, Any]) -> BatchCall:
    """Read a line of an input file, whatever it holds."""
    body = line.get("body")
    body = body if isinstance(body, dict) else {}
    messages = body.get("messages")
    messages = [message for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
    return BatchCall(tuple(messages), form_of_body({**body, "messages": messages}))


def read_result(line: Mapping[str, Any]) -> Completion | CallError:
    """Read a line of an output or error file, whatever it holds."""
    try:
        return _read_result(line)
    except RecursionError:
        return CallError("too many brackets inside each other")


def _read_result(line: Mapping[str, Any]) -> Completion | CallError:
    response = line.get("response")
    response = response if isinstance(response, dict) else {"body": response}
    status, body = _status(response.get("status_code")), response.get("body")
    if status == 200 and (body or not line.get("error")):
        return read_completion(json.dumps(body))
    error = _innermost(body) or _innermost(line.get("error"))
    fields = error if isinstance(error, dict) else {}
    named = {name: str(fields[name]) for name in ("code", "type", "param") if isinstance(fields.get(name), str | int)}
    failed = None if status == 200 else status
    return CallError(words_of(error) or "no reason was given", failed, **named)


def _innermost(error: Any) -> Any:
    """Return an error without what it is wrapped in: vLLM's run-batch has it as `{"error": {"error": {...}}}`."""
    while isinstance(error, dict) and error.get("error"):
        error = error["error"]
    return error


def _status(value: Any) -> int | None:
    """Return an HTTP status, also from a text or a float; None if it cannot be one."""
    digits = re.fullmatch(r"([1-5]\d\d)(\.0)?", str(value), re.ASCII)
    return int(digits[1]) if digits else None
