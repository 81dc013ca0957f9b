"""Read the body of a chat completion, in all the forms in which servers are known to send it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from descriptor_gen.llms import FinishReason
from descriptor_gen.llms.reply_json import is_json
from descriptor_gen.llms.thoughts import holds_thoughts

Source = Literal["content", "tool call", "reasoning"]

_FINISH: Mapping[FinishReason, frozenset[str]] = {
    "length": frozenset({"length", "maxtokens", "maxoutputtokens", "maxlength", "modellength", "tokenlimit"}),
    "filter": frozenset(
        {"contentfilter", "contentfiltered", "safety", "recitation", "blocklist", "prohibitedcontent", "spii"}
    ),
    "refusal": frozenset({"refusal"}),
    "error": frozenset(
        {"error", "abort", "cancelled", "malformedfunctioncall", "insufficientsystemresource", "networkerror"}
    ),
}
"""Our finish reason -> the providers' words for it, their letters alone. Any other (stop, eos, null ...) is `stop`, and
the text decides whether it is valid."""

_ERRORS: Mapping[FinishReason, str] = {
    "filter": "stopped by the provider's content filter",
    "refusal": "refused",
    "error": "the provider failed while writing the reply",
}
_MOST_TOKENS = 10**9  # a larger count is no count
_PASSING = re.compile(
    r"rate.?limit|too many requests|overloaded|unavailable|time.?out|timed out|try again", re.IGNORECASE
)
_SHOWN = 200  # characters of an answer in a message


class AnswerError(Exception):
    """An error that a server sent as a success; with the attributes of an `openai.APIError`."""

    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.message, self.status_code = message, status_code
        self.code = self.type = self.param = None


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        error: why there is no reply; None if there is one.
        tokens_in: None if the server gives no usable count; likewise `tokens_out`.
        served_by: the model that the server reports.
        source: the field that holds the text. `reasoning` can be the answer only where a schema was sent: some servers
            put it there then.
        thinks: whether the model wrote thoughts besides the reply, which use up its tokens.
        status: the HTTP status that the error has by its body; None if there is no error or the body gives none.
    """

    text: str
    finish_reason: FinishReason
    error: str | None
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int = 0
    id: str | None = None
    served_by: str | None = None
    source: Source = "content"
    thinks: bool = False
    status: int | None = None


def failure(reason: str, text: str = "", *, status: int | None = None) -> Completion:
    """Return the completion of a call that gave no reply; `text` is what the server sent, if anything."""
    return Completion(text, "error", reason, status=status)


def read_completion(body: str) -> Completion:
    """Read the body of a successful response; an unreadable one is a failure that keeps the body."""
    try:
        document = _document(body.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        return failure(_not_a_completion(body, str(error)), body)
    if isinstance(document, dict) and document.get("error"):
        return _error(document["error"], body)
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        empty = choices == []
        problem = "it holds no reply (choices is empty)" if empty else "it has no choices"
        return failure(f"the server's answer is no chat completion: {problem}", body, status=502 if empty else None)
    first = next((choice for choice in choices if isinstance(choice, dict) and choice.get("index") == 0), choices[0])
    return _choice(document, first)


def _choice(document: Mapping[str, Any], choice: Mapping[str, Any]) -> Completion:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {"content": message or choice.get("text")}
    text, source = _text(message)
    refusal = _joined(message.get("refusal"))
    finish = "refusal" if refusal else _finish_reason(choice.get("finish_reason"))
    if finish == "stop":  # of the provider behind a router
        finish = _finish_reason(choice.get("native_finish_reason"))
    error = _ERRORS.get(finish)
    usage = document.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    tokens_in = _count(usage.get("prompt_tokens"))
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
    return Completion(
        text,
        finish,
        f"{error}: {refusal}" if error and refusal else error,
        tokens_in=tokens_in,
        tokens_out=_count(usage.get("completion_tokens")),
        tokens_cached=min(cached or 0, tokens_in or 0),
        id=_name(document.get("id")),
        served_by=_name(document.get("model")),
        source=source,
        thinks=_thinks(message, usage, text, source),
    )


def _thinks(message: Mapping[str, Any], usage: Mapping[str, Any], text: str, source: Source) -> bool:
    details = usage.get("completion_tokens_details")
    counted = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else 0
    apart = source != "reasoning" and any(_joined(message.get(name)) for name in ("reasoning_content", "reasoning"))
    return bool(counted) or apart or holds_thoughts(text)


def _text(message: Mapping[str, Any]) -> tuple[str, Source]:
    """Return the text of a message: its content, or the arguments of its only tool call if the content holds no object;
    else whole JSON that stands where the reasoning should."""
    text, arguments = _joined(message.get("content")), _arguments(message.get("tool_calls"))
    if arguments and "{" not in text:
        return arguments, "tool call"
    if text:
        return text, "content"
    for name in ("reasoning_content", "reasoning"):
        if is_json(text := _joined(message.get(name)).strip()):
            return text, "reasoning"
    return "", "content"


def _arguments(calls: Any) -> str:
    """Return the arguments of the only tool call; empty if there is none, or several."""
    call = calls[0] if isinstance(calls, list) and len(calls) == 1 else None
    function = call.get("function") if isinstance(call, dict) else None
    return _joined(function.get("arguments")) if isinstance(function, dict) else ""


def _joined(content: Any) -> str:
    """Return content as text: itself; the texts of its parts, without thoughts; or a value as JSON."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(isinstance(part, str) or _is_part(part) for part in content):
        return "".join(part if isinstance(part, str) else _part_text(part) for part in content)
    return _part_text(content) if _is_part(content) else json.dumps(content, ensure_ascii=False)


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _part_text(part: Mapping[str, Any]) -> str:
    text = part.get("text") if part["type"] in ("text", "output_text") else None
    return text if isinstance(text, str) else ""


def _finish_reason(word: Any) -> FinishReason:
    letters = re.sub("[^a-z]", "", word.lower()) if isinstance(word, str) else ""
    return next((reason for reason, words in _FINISH.items() if letters in words), "stop")


def _count(value: Any) -> int | None:
    """Return a number of tokens, also from a string or a float; None if it cannot be one."""
    try:
        count = int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else -1
        whole = not isinstance(value, float) or value == count
    except (ValueError, OverflowError):
        return None
    return count if whole and 0 <= count <= _MOST_TOKENS else None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _error(error: Any, body: str) -> Completion:
    """Return the failure of an error that came with a success; `status`, if another attempt may help or no call can."""
    reason = _reason(error)
    code = error.get("code") if isinstance(error, dict) else None
    code = _count(error.get("status")) if isinstance(error, dict) and _count(code) is None else _count(code)
    status = code if code and 400 <= code < 600 else 503 if _PASSING.search(reason) else None
    return failure(f"the server sent an error: {reason}", body, status=status)


def _reason(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else json.dumps(error)[:_SHOWN]


def _document(body: str) -> Any:
    """Return the value of a body, or the completion whose stream it is."""
    if re.match(r"\s*(data|event|id|retry|):", body):
        return _from_stream(body)
    return json.loads(body)


def _from_stream(body: str) -> dict[str, Any]:
    """Return the completion of a whole stream of server-sent events; it came though none was asked for.

    Raises:
        ValueError: the stream breaks off, or a chunk is not JSON.
    """
    data = [line.removeprefix("data:").strip() for line in body.splitlines() if line.startswith("data:")]
    chunks = [chunk for chunk in map(json.loads, (line for line in data if line and line != "[DONE]")) if chunk]
    if errors := [chunk for chunk in chunks if isinstance(chunk, dict) and chunk.get("error")]:
        return dict(errors[0])
    choices = list(_first_choices(chunks))
    finish = next((choice["finish_reason"] for choice in choices if choice.get("finish_reason")), None)
    if "[DONE]" not in data and not finish:
        raise ValueError("a stream of events that breaks off")
    deltas = [choice["delta"] for choice in choices if isinstance(choice.get("delta"), dict)]
    message = {
        name: "".join(_joined(delta.get(name)) for delta in deltas)
        for name in ("content", "refusal", "reasoning_content", "reasoning")
    }
    last = {
        name: value for chunk in chunks for name, value in chunk.items() if name in ("id", "model", "usage") and value
    }
    return {**last, "choices": [{"finish_reason": finish, "message": message}]}


def _first_choices(chunks: Iterable[Any]) -> Iterable[Mapping[str, Any]]:
    for chunk in chunks:
        choices: Sequence[Any] = chunk.get("choices") or () if isinstance(chunk, dict) else ()
        if choices and isinstance(choices[0], dict) and not choices[0].get("index"):
            yield choices[0]


def _not_a_completion(body: str, reason: str) -> str:
    if re.match(r"\s*<(!doctype|html)", body, re.IGNORECASE):
        title = re.search(r"<title>\s*(.{0,200}?)\s*</title>", body, re.IGNORECASE | re.DOTALL)
        shown = f" ({title[1]})" if title else ""
        return f"the server sent a web page{shown} and no chat completion. Check --base-url: it often ends in /v1"
    sent = " ".join(body.split())[:_SHOWN]
    return f"the server's answer is no chat completion: {reason}. It begins: {sent or 'nothing'}"
