"""What a failed attempt means: for this call, for all of them, or only for now."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Literal

Kind = Literal["format", "everyone", "limit", "lost", "passing", "call"]
"""Of a fault: the response format is refused; every call would fail; too fast; no answer, though it may have been
made; over soon; only this call."""

_FORMAT_WORDS = ("response_format", "json_schema", "json_object", "structured output", "guided_json", "grammar")
_NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached")
_UNSUPPORTED = ("unsupported_parameter", "unsupported_value")
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")  # causes, by name: they are of httpx or httpx2


def kind_of(error: Any) -> Kind:
    """Return what an `openai.APIError` means."""
    return next(kind for fits, kind in _KINDS if fits(error, getattr(error, "status_code", None)))


def unsupported(error: Any) -> bool:
    """Return whether the model has not the parameter that the error names."""
    return error.code in _UNSUPPORTED or "unsupported parameter" in str(error).lower()


def _format(error: Any, status: int | None) -> bool:
    said = f"{error.param} {error}".lower()
    return status in (400, 422, 501) and any(word in said for word in _FORMAT_WORDS)


def _everyone(error: Any, status: int | None) -> bool:
    no_credit = status == 429 and (error.code in _NO_CREDIT or error.type in _NO_CREDIT)
    return status in (401, 403, 404) or no_credit or (status == 400 and unsupported(error))


def _unanswered(error: Any, status: int | None) -> bool:
    return status is None and type(error.__cause__).__name__ not in _NOT_SENT


_KINDS: tuple[tuple[Callable[[Any, int | None], bool], Kind], ...] = (
    (_format, "format"),
    (_everyone, "everyone"),
    (lambda error, status: status == 429, "limit"),
    (lambda error, status: status == 503 and retry_after(error) is not None, "limit"),
    (_unanswered, "lost"),
    (lambda error, status: status is None or status in (408, 409) or status >= 500, "passing"),
    (lambda error, status: True, "call"),
)


def retry_after(error: Any) -> float | None:
    """Return the seconds that the server asks to wait; None where it does not say."""
    headers = error.response.headers if hasattr(error, "response") else {}
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _seconds(headers.get(name, ""))
        if seconds is not None:
            return max(0.0, seconds * unit)
    return None


def _seconds(value: str) -> float | None:
    try:
        seconds = float(value)
    except ValueError:
        return _until(value)
    return seconds if math.isfinite(seconds) else None


def _until(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return None


def described(error: Any, *, timeout_seconds: float) -> str:
    """Return what went wrong, in words."""
    cause = type(error.__cause__).__name__
    if cause == "ConnectTimeout":
        return "no connection in time"
    if "Timeout" in cause:
        return f"no answer within {timeout_seconds:g} seconds"
    return str(error.__cause__ or error.message)
