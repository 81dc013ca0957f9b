"""How a server wants to be asked, found out by trying and shared by all calls of a run.

Servers of one protocol differ: in the JSON that they can be held to, the keywords of a schema, the name of the token
limit, system messages. None of that is part of a cache key: it changes the form of a request, not what is asked.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from descriptor_gen.llms import Request, fold_system

_STRIKES = 3  # after this many replies without JSON, and none with, the server is taken to ignore the mode
_REFUSING = (
    *("not supported", "unsupported", "not support", "unknown", "unrecognized", "unexpected", "not permitted"),
    *("not allowed", "not enabled", "extra inputs", "instead", "deprecated", "invalid", "alternate", "only"),
)
_SYSTEM = re.compile(r"(system|developer).*(role|instruction|message|prompt)|role.*(system|developer)", re.DOTALL)
_TEMPLATE = re.compile(r"roles must alternate|roles are supported|system role not supported|jinja")
_FORMAT_WORDS = ("response_format", "json_schema", "json_object", "structured output", "guided_json", "grammar")
_KEYWORDS = ("additionalProperties", "minItems", "maxItems", "pattern", "minLength", "maxLength")  # checked here anyway


@dataclass(frozen=True)
class Form:
    """The form of a request.

    Attributes:
        mode: how the server is held to JSON, a key of `_MODES`.
        limit: the name of the token limit.
        folds_system: whether the system message is put before the first user message.
        without: keywords left out of the schema.
    """

    mode: str = "json_schema"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    folds_system: bool = False
    without: frozenset[str] = frozenset()

    @property
    def recorded(self) -> dict[str, Any]:
        """What is recorded of it with a reply; None: nothing."""
        return {
            "response_format": self.mode,
            "schema_without": sorted(self.without) or None,
            "system_message": "in the first question" if self.folds_system else None,
        }

    def arguments(self, request: Request, *, reasoning_tokens: int = 0) -> dict[str, Any]:
        """Return the arguments of a chat completion call that this form decides."""
        messages = fold_system(request.messages) if self.folds_system else request.messages
        return {
            "messages": [dict(message) for message in messages],
            str(self.limit): request.max_tokens + reasoning_tokens,
            **_MODES[self.mode](self, request),
        }


def _schema(form: Form, request: Request) -> dict[str, Any]:
    schema = {"name": "descriptors", "schema": _without(request.output_schema, form.without), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


_MODES: Mapping[str, Callable[[Form, Request], dict[str, Any]]] = {
    "json_schema": _schema,
    "json_object": lambda form, request: {"response_format": {"type": "json_object"}},
    "none": lambda form, request: {},
}
"""Mode -> what it adds to the body of a call; from the strictest mode to the one that every server supports."""


def _without(schema: Any, keywords: frozenset[str]) -> Any:
    """Return a schema without some keywords; a property may have the name of one."""
    if not isinstance(schema, Mapping):
        return schema
    kept = {name: _without(value, keywords) for name, value in schema.items() if name not in keywords}
    if isinstance(properties := schema.get("properties"), Mapping):
        kept["properties"] = {name: _without(inner, keywords) for name, inner in properties.items()}
    return kept


def is_refusal(reason: str) -> bool:
    """Return whether a server's words say that it does not take something."""
    return any(word in reason.lower() for word in _REFUSING)


def about_template(reason: str) -> bool:
    """Return whether a server's words are about the roles that its chat template takes."""
    return bool(_TEMPLATE.search(reason.lower()))


def _about_format(words: str) -> bool:
    return any(word in words.lower() for word in _FORMAT_WORDS)


def form_of_body(body: Mapping[str, Any]) -> Form:
    """Return the form of a request from its body, as far as it shows there: not the keywords that were left out."""
    asked = body.get("response_format")
    return Form(
        mode=str(asked.get("type", "none")) if isinstance(asked, dict) else "none",
        limit="max_completion_tokens" if "max_completion_tokens" in body else "max_tokens",
        folds_system=all(message.get("role") != "system" for message in body.get("messages") or ()),
    )


class Dialect:
    """Finds the form of all calls of a run.

    Attributes:
        form: the best one not known to fail.
    """

    def __init__(self, form: Form = Form()) -> None:
        """Begin with a form."""
        self.form = form
        self._refused = set[Form]()
        self._strikes = 0
        self._confirmed = False  # a reply came that was JSON
        self._guessed_from: str | None = None  # the mode before a refusal without a reason that names it
        self._guesses = True
        self._lock = threading.Lock()

    def learn(self, reason: str, param: str | None, sent: Form) -> bool:
        """Change the form after a refusal; return whether another attempt can help.

        Args:
            reason: the server's words.
            param: the parameter that it names, if any.
            sent: the form of the refused request; another call may have changed it since.
        """
        with self._lock:
            if sent != self.form:
                return True
            self._refused.add(sent)
            changes = (form for form in _changes(sent, reason, param or "") if form not in self._refused)
            changed = next(changes, None) or self._next_mode(sent, reason, param or "")
            self.form = changed or self.form
            return changed is not None

    def _next_mode(self, sent: Form, reason: str, param: str) -> Form | None:
        """Return the form with the next mode if the refusal is about the mode, or could be.

        A server that names no reason is asked in each mode; if all are refused, the mode was not the reason.
        """
        if _about_format(f"{param} {reason}"):
            return _step_down(sent)
        if self._confirmed or not self._guesses:
            return None
        self._guessed_from = self._guessed_from or sent.mode
        if changed := _step_down(sent):
            return changed
        self._guesses, self.form = False, replace(sent, mode=self._guessed_from)
        return None

    def answered(self, mode: str, *, is_json: bool) -> None:
        """Record a reply; after several replies without JSON, the next mode is used."""
        with self._lock:
            if mode != self.form.mode or self._confirmed:
                return
            self._confirmed = is_json
            self._strikes += not is_json
            if self._strikes >= _STRIKES:
                self.form = _step_down(self.form) or self.form
                self._strikes, self._confirmed = 0, False


def _step_down(form: Form) -> Form | None:
    modes = list(_MODES)
    following = modes[modes.index(form.mode) + 1 :]
    return replace(form, mode=following[0]) if following else None


def _changes(form: Form, reason: str, param: str) -> Iterator[Form]:
    """Yield the forms that do without what a refusal names."""
    words = f"{param} {reason}".lower()
    if is_refusal(words):
        if re.search(rf"\b{form.limit}\b", words):
            new = form.limit == "max_tokens"
            yield replace(form, limit="max_completion_tokens" if new else "max_tokens")
        if not form.folds_system and (_SYSTEM.search(words) or about_template(words)):
            yield replace(form, folds_system=True)
    named = {word for word in _KEYWORDS if word in reason or word in param} - form.without
    if named and form.mode == "json_schema":
        yield replace(form, without=form.without | named)
