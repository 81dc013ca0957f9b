"""Language models behind one narrow protocol. A model loads at its first request, not before.

To test code that uses one, see `descriptor_gen.llms.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from db.records import LLMIdentity
from descriptor_gen.llms.options import Prices

OFFLINE = "Without any download or account: --llm smollm2"  # what an error proposes where a model cannot be had

Message = Mapping[Literal["role", "content"], str]
FinishReason = Literal["stop", "length", "refusal", "filter", "error"]
StopReason = Literal["interrupt", "budget", "handed in", "unanswered"]
"""Why calls have no reply: Ctrl-C; the budget is spent; Ctrl-C while submitted batches continue at the provider; the
files of a batch do not hold it."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen: greedily at temperature 0, else drawn by the seed and the request's sample index."""

    temperature: float = 0.0
    seed: int = 0


GREEDY = Sampling()


@dataclass(frozen=True)
class Request:
    """One independent conversation that asks for one JSON document.

    Attributes:
        messages: system, then user and assistant in turn, ending with user.
        output_schema: JSON schema of the reply.
        sample: index among several replies to the same messages.
        max_tokens: the reply is cut off after this many tokens.
        key: cache key of the reply. It stays the same when messages about an invalid reply are added. Empty if
            nothing is cached.
    """

    messages: tuple[Message, ...]
    output_schema: Mapping[str, Any]
    max_tokens: int
    sample: int = 0
    key: str = ""


@dataclass(frozen=True)
class Reply:
    """The outcome of one request.

    Attributes:
        request: the request it answers.
        text: the raw reply; for a failed call, what the server sent, or empty.
        finish_reason: why the text ends.
        tokens_in: of the request; None if the server gave no count. Likewise `tokens_out`, of the reply.
        seconds: duration of this call, or its share of a batch's.
        error: why there is no reply: the call failed, or the reply was refused or filtered; None if there is one.
        environment: how this reply was made, besides the LLM's own environment; `cost_usd` if the prices are known.
        messages: what was sent, if an earlier run sent other messages than the request's; None: the request's.
        is_stored: whether an earlier run stored it: it counts, and is not stored twice.
    """

    request: Request
    text: str
    finish_reason: FinishReason
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    error: str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[Message, ...] | None = None
    is_stored: bool = False


class StoppedEarlyError(Exception):
    """Some calls were not made. All replies were yielded before.

    Attributes:
        least_budget: in USD, the smallest that allows one of the calls left; 0 unless the budget stopped them.
    """

    def __init__(self, reason: StopReason, *, least_budget: float = 0.0) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason
        self.least_budget = least_budget


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return a conversation without a system message; its text stands before that of the first user message."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    rest = [message for message in messages if message["role"] != "system"]
    if not system or not rest:
        return tuple(messages)
    return ({"role": "user", "content": "\n\n".join([*system, rest[0]["content"]])}, *rest[1:])


class ParameterRefusedError(Exception):
    """The server refuses a parameter, and the LLM has dropped it: `LLM.parameters` and all cache keys have changed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class LLM(Protocol):
    """A language model.

    Attributes:
        identity: provider, model and revision; with `parameters` and the request it determines the reply.
        parameters: decoding parameters beyond the request's own.
        environment: how replies were made (dtype, device, library versions): recorded, not part of the key.
    """

    identity: LLMIdentity
    parameters: Mapping[str, Any]
    environment: Mapping[str, Any]

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies in groups, in any order; each group is stored before the next is asked for.

        Raises:
            UserError: the model cannot be loaded or reached at all. One failed call is a `Reply` with an error.
            StoppedEarlyError: the budget is spent, or `stop` was called.
            ParameterRefusedError: plan the calls that are left again, with the new `parameters`.
        """
        ...


@runtime_checkable
class Priced(Protocol):
    """An LLM whose calls cost money; `prices` is None if they are unknown."""

    prices: Prices | None


@runtime_checkable
class Checked(Protocol):
    """An LLM that can say before the first call that every call would fail, such as without an API key."""

    def check(self) -> None:
        """Raise a UserError if no call can be made; no call is made."""
        ...


@runtime_checkable
class Stoppable(Protocol):
    """An LLM whose calls are short and cost money, so that a stop waits for those in flight."""

    def stop(self) -> None:
        """Make no more calls. Safe to call from a signal handler."""
        ...


@runtime_checkable
class Guarded(Protocol):
    """An LLM that asks right before each call, attempts after a failure included, whether it may still be made.

    Attributes:
        still_mine: returns those of the requests that no other builder has taken over; the others get no reply.
            Called from any thread.
    """

    still_mine: Callable[[Sequence[Request]], Sequence[Request]]


@runtime_checkable
class Deferred(Protocol):
    """An LLM that submits calls and fetches the replies later, including replies to calls of an earlier run.

    Attributes:
        calls_at_a_time: how many requests to pass to `generate` at most; a build passes the others later.
        waiting: number of finished replies that are not fetched yet.
        notify: called with a line of text on each event.
    """

    calls_at_a_time: int
    waiting: int
    notify: Callable[[str], None]

    def exclude_stored(self, stored: Mapping[str, Collection[str]]) -> None:
        """Skip replies that are stored already: id of the batch -> cache keys. Call it before `generate`."""
        ...


@runtime_checkable
class Answered(Protocol):
    """An LLM whose replies lie in files: several to one request, of which it gives the first valid one.

    Attributes:
        is_valid: whether a reply has descriptors; set by a build.
    """

    is_valid: Callable[[Reply], bool]

    def batches(self) -> Collection[str]:
        """Return the ids of the files, as `batch` in the environment of their replies.

        Raises:
            UserError: one cannot be read.
        """
        ...
