"""Language models: one narrow seam. A model loads at its first request, so a build with nothing to do loads none."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from db.records import LLMIdentity
from descriptor_gen.llms.options import Prices

Message = Mapping[Literal["role", "content"], str]
FinishReason = Literal["stop", "length", "refusal", "filter", "error"]
StopReason = Literal["interrupt", "budget", "handed in"]
"""Why calls are left: someone stopped it; the budget is spent; stopped, and the provider goes on with them."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen: temperature 0 takes the likeliest, any other draws by the seed (and the sample index)."""

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
        max_tokens: tokens after which the reply is cut off.
        key: that the reply is cached by; it stays when messages are added that say what was wrong with a reply.
            Empty where nothing is cached.
    """

    messages: tuple[Message, ...]
    output_schema: Mapping[str, Any]
    max_tokens: int
    sample: int = 0
    key: str = ""


@dataclass(frozen=True)
class Reply:
    """What came back for one request.

    Attributes:
        request: what was asked.
        text: the raw reply; what the server said where that is no reply at all; empty where nothing came.
        finish_reason: why the text ends.
        tokens_in: of the request; None where the server did not say.
        tokens_out: of the reply, likewise.
        seconds: this call's share of the time.
        error: why the call gave no reply: it failed, was refused, or filtered.
        environment: how this reply was made, beyond the LLM's own; `cost_usd` where the prices are known.
        messages: that were sent, where they are not the request's: an earlier run had asked.
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


class StoppedEarlyError(Exception):
    """No more calls are made though some are left; every reply that came was yielded before."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason: StopReason = reason


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
            StoppedEarlyError: the budget is spent, or someone called `stop`.
        """
        ...


@runtime_checkable
class Priced(Protocol):
    """An LLM whose calls cost money; `prices` is None where they are not known."""

    prices: Prices | None


@runtime_checkable
class Stoppable(Protocol):
    """An LLM whose calls are worth waiting for: they are paid, and they end soon."""

    def stop(self) -> None:
        """Make no more calls; those in flight are awaited. Safe to call from a signal handler."""
        ...


@runtime_checkable
class Deferred(Protocol):
    """An LLM that hands calls in and fetches the replies later; those that an earlier run handed in, too.

    Attributes:
        calls_at_a_time: that `generate` is best given; it keeps the rest of a build waiting while they are under way.
        waiting: replies that the provider has made and that are not fetched yet.
        tell: called with a line for people on each thing that happens.
    """

    calls_at_a_time: int
    waiting: int
    tell: Callable[[str], None]

    def recall(self, stored: Mapping[str, Collection[str]]) -> None:
        """Take note, before `generate`, of the replies that are stored: by batch, the keys of their calls."""
        ...
