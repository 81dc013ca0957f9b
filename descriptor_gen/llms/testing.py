"""A language model for tests: it says what it is told. `registered` lets commands open it by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from db.records import LLMIdentity
from descriptor_gen.llms import LLM, Reply, Request
from descriptor_gen.llms.registry import register, unregister


@contextmanager
def registered(llm: LLM, *names: str) -> Iterator[None]:
    """Let names stand for a model while the block runs."""
    for name in names:
        register(name, llm)
    try:
        yield
    finally:
        for name in names:
            unregister(name)


ANSWERS: dict[str, Any] = {
    "steps": ["someone begins it slowly", "someone moves on with it", "someone ends it at last"],
    "setting": "a wide green field",
    "objects": ["a ball", "a wooden bat"],
    "description": "someone does it in the open while others look on",
    "before": "someone gets ready for it",
    "after": "someone rests from it",
    "features": ["someone in a red shirt", "a rope along the wall", "both arms raised high"],
}


class FakeLLM:
    """A language model that answers what was enqueued, else something valid for the schema; it keeps its history."""

    def __init__(self, *, batch_size: int = 16, model: str = "fake") -> None:
        self.identity = LLMIdentity("fake", model, "1")
        self.parameters: dict[str, Any] = {"do_sample": False}
        self.environment: dict[str, Any] = {"device": "none"}
        self.batch_size = batch_size
        self.history: list[Request] = []
        self._queue: list[str | Exception | Reply] = []

    def enqueue(self, *replies: str | Exception) -> None:
        """Answer the next requests with these texts; an exception is raised as the whole batch's."""
        self._queue.extend(replies)

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for start in range(0, len(requests), self.batch_size):
            batch = requests[start : start + self.batch_size]
            self.history.extend(batch)
            yield [self._reply(request) for request in batch]

    def _reply(self, request: Request) -> Reply:
        queued = self._queue.pop(0) if self._queue else None
        if isinstance(queued, Exception):
            raise queued
        text = valid_reply(request) if queued is None else str(queued)
        if text == "<error>":
            return Reply(request, "", "error", None, None, 0.1, error="server on fire")
        if text == "<cut off>":
            return Reply(request, '{"steps": ["some', "length", 100, request.max_tokens, 0.1)
        return Reply(request, text, "stop", 100, 20, 0.1)


def valid_reply(request: Request) -> str:
    """Return a reply of the request's schema."""
    return json.dumps({name: ANSWERS[name] for name in request.output_schema["properties"]})
