"""Test helpers that need no model, server or waiting: `FakeLLM`, `registered` and `ManualClock` (docs/llms.md)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from db.records import LLMIdentity
from descriptor_gen.llms import Reply, Request
from descriptor_gen.llms.registry import OwnLLM, register, unregister


@contextmanager
def registered(llm: OwnLLM, *names: str) -> Iterator[None]:
    """Register a model, or a function that opens one, under some names while the block runs."""
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
    "name": "someone with a ball",
    "features": ["someone in a red shirt", "a rope along the wall", "both arms raised high"],
}
"""A valid value for fields of templates; for any other field the template's first example has one."""


class FakeLLM:
    """A language model that returns the enqueued replies, then valid ones.

    Attributes:
        history: the requests so far.
    """

    def __init__(self, *, batch_size: int = 16, model: str = "fake") -> None:
        self.identity = LLMIdentity("fake", model, "1")
        self.parameters: Mapping[str, Any] = {"do_sample": False}
        self.environment: Mapping[str, Any] = {"device": "none"}
        self.batch_size = batch_size
        self.history: list[Request] = []
        self._queue: list[str | Exception] = []

    def enqueue(self, *replies: str | Exception) -> None:
        """Set the next replies. `<error>` is a failed call, `<cut off>` a reply that hit the token limit; an
        exception is raised from `generate`.
        """
        self._queue.extend(replies)

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for start in range(0, len(requests), self.batch_size):
            batch = requests[start : start + self.batch_size]
            self.history.extend(batch)
            yield [self._reply(request) for request in batch]

    def _reply(self, request: Request) -> Reply:
        text = self._queue.pop(0) if self._queue else valid_reply(request)
        if isinstance(text, Exception):
            raise text
        if text == "<error>":
            return Reply(request, "", "error", None, None, 0.1, error="server on fire")
        if text == "<cut off>":
            return Reply(request, '{"steps": ["some', "length", 100, request.max_tokens, 0.1)
        return Reply(request, text, "stop", 100, 20, 0.1)


def valid_reply(request: Request) -> str:
    """Return a reply that fits the request's schema, whatever the kind."""
    fields = request.output_schema["properties"]
    example = {} if fields.keys() <= ANSWERS.keys() else _first_example(request)
    return json.dumps({name: ANSWERS.get(name, example.get(name)) for name in fields})


def _first_example(request: Request) -> Mapping[str, Any]:
    replies = (message["content"] for message in request.messages if message["role"] == "assistant")
    example: Mapping[str, Any] = json.loads(next(replies))
    return example


class ManualClock:
    """A `Clock` on which waiting takes no real time: when every thread waits, it jumps to the next time one wakes up.

    So the start times of calls are exact, however busy the computer is. The threads are the one that runs the LLM and
    those started by `start`; the clock stands still while any of them works. A test server may wait to simulate
    latency: its wait counts as that of the client's thread, which is blocked in the meantime.
    """

    _POLL_SECONDS = 0.001  # of real time

    def __init__(self, *, unix_time: float = 1_750_000_000.0) -> None:
        """Start at 0, which is `unix_time` in seconds since 1970."""
        self._now, self._unix_start = 0.0, unix_time
        self._threads = 1
        self._waits: dict[object, tuple[threading.Event, float]] = {}  # the event and the moment that end each wait
        self._lock = threading.Lock()

    def now(self) -> float:
        return self._now

    def unix_time(self) -> float:
        return self._unix_start + self._now

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        wait, deadline = object(), float("inf") if seconds is None else self._now + seconds
        with self._lock:
            self._waits[wait] = (event, deadline)
        try:
            while not event.is_set() and self._now < deadline:
                self._jump_if_all_wait()
                event.wait(self._POLL_SECONDS)
            return event.is_set()
        finally:
            with self._lock:
                del self._waits[wait]

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds of this clock."""
        self.wait(threading.Event(), seconds)

    def start(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._threads += 1

        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._threads -= 1

        threading.Thread(target=run, daemon=True).start()

    def _jump_if_all_wait(self) -> None:
        with self._lock:
            asleep = [end for event, end in self._waits.values() if end > self._now and not event.is_set()]
            if len(asleep) >= self._threads and min(asleep) < float("inf"):
                self._now = min(asleep)
