"""A model behind a server: what it is asked, and the reply that an answer is, one by one or by batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from db.records import LLMIdentity
from descriptor_gen.llms import Reply, Request
from descriptor_gen.llms.api.budget import Budget
from descriptor_gen.llms.api.completion import Answer
from descriptor_gen.llms.api.rate_limit import Pace
from descriptor_gen.llms.api.response_format import Formats, arguments
from descriptor_gen.llms.reply_json import reading_of


@dataclass
class Service:
    """A model behind a server, and what all calls to it share.

    Attributes:
        client: of the package openai, without retries of its own.
        identity: of the model.
        parameters: decoding parameters; `reasoning_tokens` are added to the limit of a reply, and not sent.
        is_openai: whether the server is OpenAI itself.
        heard: whether the server ever said anything.
        answered_at: when it last answered a call, by the monotonic clock.
    """

    client: Any
    identity: LLMIdentity
    parameters: Mapping[str, Any]
    is_openai: bool
    pace: Pace
    budget: Budget
    formats: Formats = field(default_factory=Formats)
    heard: bool = False
    answered_at: float = float("-inf")

    def body(self, request: Request, mode: str) -> dict[str, Any]:
        """Return what a chat completion is asked with, in a mode of JSON."""
        parameters = dict(self.parameters)
        reasoning = parameters.pop("reasoning_tokens", 0)
        # The older name of the limit is the one that other servers know; models that think know the new one alone.
        limit = "max_completion_tokens" if reasoning or self.is_openai else "max_tokens"
        return {
            "model": self.identity.model,
            "messages": [dict(message) for message in request.messages],
            limit: request.max_tokens + reasoning,
            **arguments(mode, request),
            **parameters,
            **({"seed": parameters["seed"] + request.sample} if "seed" in parameters else {}),
        }

    def reply(
        self, request: Request, answer: Answer, mode: str, *, seconds: float, cost: float | None = None, **made: Any
    ) -> Reply:
        """Return the reply that an answer in a mode of JSON is, and learn from it whether the server heeds the mode.

        Args:
            request: what was asked.
            answer: what came.
            mode: of JSON, that it was asked in.
            seconds: of the call.
            cost: in USD; None is by the tokens, where the prices are known.
            **made: how, beyond what the answer says: recorded, unless None.
        """
        how = reading_of(answer.text) if answer.finish_reason == "stop" else None
        if how != "empty" and answer.finish_reason == "stop":
            self.formats.answered(mode, is_json=how == "json")
        known = {
            "response_format": mode,
            "read_as": how,
            **made,
            "id": answer.id,
            "served_by": answer.served_by,
            "cost_usd": self._cost(answer) if cost is None else cost,
        }
        return Reply(
            request,
            answer.text,
            answer.finish_reason,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            seconds=seconds,
            error=answer.error,
            environment={name: value for name, value in known.items() if value is not None},
        )

    def _cost(self, answer: Answer) -> float | None:
        prices = self.budget.prices
        if prices is None or answer.tokens_in is None or answer.tokens_out is None:
            return None
        return prices.of(answer.tokens_in, answer.tokens_out, answer.tokens_cached)
