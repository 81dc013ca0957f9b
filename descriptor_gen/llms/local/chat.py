"""Conversations as a model's chat template writes them: without thoughts, and with the system message in any case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from db.errors import UserError
from descriptor_gen.llms import Message, fold_system

_MARK = "descgen looks for this text"
_PROBE: tuple[Message, ...] = (
    {"role": "system", "content": _MARK},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hi"},
    {"role": "user", "content": "Hi"},
)
_OPEN_THOUGHTS = (
    (re.compile(r"<(think|thinking|thought|reasoning)>\s*\Z"), r"<\1>\n\n</\1>\n\n"),
    (re.compile(r"\[THINK\]\s*\Z"), "[THINK][/THINK]"),
    (re.compile(r"<\|start\|>assistant\Z"), "<|start|>assistant<|channel|>final<|message|>"),
)
"""How templates end that make a model begin with its thoughts, and the same with the thoughts ended."""


class ChatTemplate:
    """The chat template of a tokenizer.

    Attributes:
        folds_system: whether the text of a system message is put before the first question: the template refuses the
            role, or drops it without a word.
    """

    def __init__(self, tokenizer: Any, *, name: str) -> None:
        """Find out whether the template takes a system message; `name` is the model's, for errors."""
        self._tokenizer, self._name = tokenizer, name
        self.folds_system = False
        self.folds_system = not self._takes_system()

    def text(self, messages: Sequence[Message], *, ask: bool) -> str:
        """Return a conversation as text; with `ask`, up to where the reply begins, after any thoughts.

        Raises:
            UserError: the template refuses the conversation.
        """
        from jinja2 import TemplateError

        try:
            return self._write(messages, ask=ask)
        except TemplateError as error:
            raise UserError(f"The chat template of {self._name} refuses the conversation: {error}") from error

    def _takes_system(self) -> bool:
        from jinja2 import TemplateError

        try:
            return _MARK in self._write(_PROBE, ask=True)
        except TemplateError:
            return False

    def _write(self, messages: Sequence[Message], *, ask: bool) -> str:
        sent = [dict(message) for message in (fold_system(messages) if self.folds_system else messages)]
        options: dict[str, Any] = {"tokenize": False, "add_generation_prompt": ask, "enable_thinking": False}
        text = str(self._tokenizer.apply_chat_template(sent, **options))
        for is_open, ended in _OPEN_THOUGHTS if ask else ():
            text = is_open.sub(ended, text)
        return text
