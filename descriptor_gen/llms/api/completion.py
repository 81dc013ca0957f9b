"""Read the body of a chat completion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from descriptor_gen.llms import FinishReason

_FINISH: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "content_filter": "filter",
    "refusal": "refusal",
    "error": "error",
}
"""Provider's finish reason -> ours. Any other (stop, eos, null ...) is `stop`: the text decides whether it is valid."""

_ERRORS: Mapping[FinishReason, str] = {
    "filter": "stopped by the provider's content filter",
    "refusal": "refused",
    "error": "the provider failed while writing the reply",
}


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        error: why there is no reply; None if there is one.
        tokens_in: None if the server gives no count; likewise `tokens_out`.
        served_by: the model that the server reports.
    """

    text: str
    finish_reason: FinishReason
    error: str | None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int = 0
    id: str | None = None
    served_by: str | None = None


def failure(reason: str, text: str = "") -> Completion:
    """Return the completion of a call that gave no reply; `text` is what the server sent, if anything."""
    return Completion(text, "error", reason)


def read_completion(body: str) -> Completion:
    """Read the body of a successful response; an unreadable one is a failure that keeps the body."""
    try:
        document = json.loads(body)
        choice = document["choices"][0]
        text, refusal = choice["message"].get("content") or "", choice["message"].get("refusal")
        finish = "refusal" if refusal else _FINISH.get(choice.get("finish_reason"), "stop")
        error = _ERRORS.get(finish)
        usage = document.get("usage") or {}
        return Completion(
            text,
            finish,
            f"{error}: {refusal}" if error and refusal else error,
            tokens_in=usage.get("prompt_tokens"),
            tokens_out=usage.get("completion_tokens"),
            tokens_cached=(usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
            id=document.get("id"),
            served_by=document.get("model"),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error_:
        return failure(f"the server's answer is no chat completion: {error_!r}", body)
