"""From the body of a chat completion to what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from descriptor_gen.llms import FinishReason

_FINISH: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filter",
    "refusal": "refusal",
    "error": "error",
}
"""Ours, by the provider's; any other (stop, eos, null ...) is `stop`: then the text decides."""

_ERRORS: Mapping[FinishReason, str] = {
    "filter": "stopped by the provider's content filter",
    "refusal": "refused",
    "error": "the provider failed while it wrote",
}


@dataclass(frozen=True)
class Answer:
    """One answer, complete; `error` says why it is no reply. Counts are None where the server gives none."""

    text: str
    finish_reason: FinishReason
    error: str | None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int = 0
    id: str | None = None
    served_by: str | None = None


def read_answer(body: str) -> Answer:
    """Return what the body of a successful response says; one that cannot be read is an answer all the same."""
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content") or "", message.get("refusal")
        finish = "refusal" if refusal else _FINISH.get(choice.get("finish_reason"), "stop")
        return Answer(text, finish, _error(finish, refusal), **_usage(document), **_origin(document))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return Answer(body, "error", f"the server's answer is no chat completion: {error!r}")


def _error(finish: FinishReason, refusal: str | None) -> str | None:
    said = _ERRORS.get(finish)
    return f"{said}: {refusal}" if said and refusal else said


def _usage(document: dict[str, Any]) -> dict[str, Any]:
    usage = document.get("usage") or {}
    details = usage.get("prompt_tokens_details") or {}
    return {
        "tokens_in": usage.get("prompt_tokens"),
        "tokens_out": usage.get("completion_tokens"),
        "tokens_cached": details.get("cached_tokens") or 0,
    }


def _origin(document: dict[str, Any]) -> dict[str, Any]:
    return {"id": document.get("id"), "served_by": document.get("model")}
