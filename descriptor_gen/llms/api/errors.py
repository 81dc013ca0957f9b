"""Classify failed attempts: does this call fail, do all calls fail, or does a retry help?"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from db.storable import storable
from descriptor_gen.llms.api.dialect import about_template

FaultKind = Literal["request", "fatal", "limit", "ambiguous", "transient", "call"]
"""The form of the request may be refused; every call would fail; rate limit; no answer, but the call may have been made
and billed; a temporary fault; only this call fails."""

_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")
_NO_MEMORY = (
    *("out of memory", "not enough memory", "insufficient memory", "system memory", "unable to allocate"),
    *("failed to load model", "error loading model", "insufficient system resources", "not enough resources"),
)
_NO_KEY = ("api key not valid", "invalid api key", "incorrect api key", "api_key_invalid")  # some say so with a 400
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value")
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")  # by name, since the classes are of httpx or httpx2
_SHOWN = 500  # characters of a reason in a message


def fault_kind(error: Any) -> FaultKind:
    """Return the kind of an `openai.APIError`, or of another error with its attributes."""
    return next(kind for matches, kind in _KINDS if matches(error, getattr(error, "status_code", None)))


def is_unsupported(error: Any) -> bool:
    """Return whether the model does not support something that the request holds."""
    return error.code in _UNSUPPORTED


def _fatal(error: Any, status: int | None) -> bool:
    no_credit = status == 429 and (error.code in _NO_CREDIT or error.type in _NO_CREDIT)
    reason = reason_of(error).lower() if status is not None and (status == 400 or status >= 500) else ""
    hopeless = any(words in reason for words in (*_NO_MEMORY, *_NO_KEY))
    return status in (401, 402, 403, 404) or no_credit or hopeless


def _request(error: Any, status: int | None) -> bool:
    """Return whether the form of the request may be refused; of a chat template, some servers say so with a 500."""
    return status in (400, 422, 501) or (status == 500 and about_template(reason_of(error)))


def _limit(error: Any, status: int | None) -> bool:
    return status == 429 or (status == 503 and retry_after(error, unix_time=0.0) is not None)


def _ambiguous(error: Any, status: int | None) -> bool:
    return status is None and type(getattr(error, "__cause__", None)).__name__ not in _NOT_SENT


_KINDS: tuple[tuple[Callable[[Any, int | None], bool], FaultKind], ...] = (
    (_fatal, "fatal"),
    (_request, "request"),
    (_limit, "limit"),
    (_ambiguous, "ambiguous"),
    (lambda error, status: status is None or status in (408, 409) or status >= 500, "transient"),
    (lambda error, status: True, "call"),
)


def retry_after(error: Any, *, unix_time: float) -> float | None:
    """Return how many seconds from `unix_time` (now) the server asks to wait; None if it does not ask."""
    headers = error.response.headers if hasattr(error, "response") else {}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _seconds(headers.get(name, ""), unix_time)
        if seconds is not None:
            return max(0.0, seconds * unit)
    return None


def _seconds(value: str, unix_time: float) -> float | None:
    """Read a number of seconds, or a date."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - unix_time
        except ValueError:
            return None
    return seconds if math.isfinite(seconds) else None


def describe(error: Any, *, timeout_seconds: float) -> str:
    """Return what went wrong, in words."""
    cause = type(error.__cause__).__name__
    if cause == "ConnectTimeout":
        return "no connection in time"
    if "Timeout" in cause:
        return f"no answer within {timeout_seconds:g} seconds"
    return str(storable(str(error.__cause__))) if error.__cause__ else reason_of(error)


def reason_of(error: Any) -> str:
    """Return the server's words, in whatever form it sent them, with the HTTP status."""
    status, body = getattr(error, "status_code", None), getattr(error, "body", None)
    shown = _shortened(_words(body) or str(error.message))
    return shown if status is None or str(status) in shown else f"{status}: {shown}"


def words_of(body: Any) -> str:
    """Return the sentence in the body of an error, or else the body itself; empty if there is none."""
    return _shortened(_words(body) or (json.dumps(body) if body else ""))


def _shortened(words: str) -> str:
    return str(storable(" ".join(words.split())))[:_SHOWN]


def _words(body: Any) -> str:
    """Return the sentence in the body of an error: a text, or a list or object that holds one."""
    if isinstance(body, str):
        return _words_of_json(body)
    if isinstance(body, list):
        return "; ".join(filter(None, map(_words, body[:5])))
    if not isinstance(body, dict):
        return ""
    fields = (body.get(name) for name in ("error", "message", "msg", "detail", "error_msg", "reason"))
    sentence = next(filter(None, map(_words, fields)), json.dumps(body)[:_SHOWN] if body else "")
    return ": ".join(filter(None, (_place(body.get("loc")), sentence, _upstream(body.get("metadata")))))


def _words_of_json(text: str) -> str:
    """Return a text, or the sentence in it if it is an object in JSON, as proxies send it on."""
    try:
        inside = json.loads(text) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        inside = None
    return _words(inside) or text


def _place(loc: Any) -> str:
    """Return the name of the field that a validation error of FastAPI is about."""
    return ".".join(str(part) for part in loc if part != "body") if isinstance(loc, list) else ""


def _upstream(metadata: Any) -> str:
    """Return what the provider behind a router (OpenRouter) said."""
    return _words(metadata.get("raw")) if isinstance(metadata, dict) else ""
