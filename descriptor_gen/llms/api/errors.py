"""Classify failed attempts: does this call fail, do all calls fail, or does a retry help?"""

from __future__ import annotations

import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Literal

FaultKind = Literal["format", "fatal", "limit", "ambiguous", "transient", "call"]
"""The response format is refused; every call would fail; rate limit; no answer, but the call may have been made and
billed; a temporary fault; only this call fails."""

_FORMAT_WORDS = ("response_format", "json_schema", "json_object", "structured output", "guided_json", "grammar")
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value")
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")  # by name, since the classes are of httpx or httpx2


def fault_kind(error: Any) -> FaultKind:
    """Return the kind of an `openai.APIError`."""
    return next(kind for matches, kind in _KINDS if matches(error, getattr(error, "status_code", None)))


def is_unsupported(error: Any) -> bool:
    """Return whether the model does not support the parameter that the error names."""
    return error.code in _UNSUPPORTED or "unsupported parameter" in str(error).lower()


def _format(error: Any, status: int | None) -> bool:
    message = f"{error.param} {error}".lower()
    return status in (400, 422, 501) and any(word in message for word in _FORMAT_WORDS)


def _fatal(error: Any, status: int | None) -> bool:
    no_credit = status == 429 and (error.code in _NO_CREDIT or error.type in _NO_CREDIT)
    return status in (401, 403, 404) or no_credit or (status == 400 and is_unsupported(error))


def _limit(error: Any, status: int | None) -> bool:
    return status == 429 or (status == 503 and retry_after(error, unix_time=0.0) is not None)


def _ambiguous(error: Any, status: int | None) -> bool:
    return status is None and type(error.__cause__).__name__ not in _NOT_SENT


_KINDS: tuple[tuple[Callable[[Any, int | None], bool], FaultKind], ...] = (
    (_format, "format"),
    (_fatal, "fatal"),
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
    return str(error.__cause__ or error.message)
