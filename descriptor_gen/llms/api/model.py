"""A model behind a server: the body of a call, and the reply from its answer, for single calls and batches."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from db.errors import UserError
from db.records import LLMIdentity
from descriptor_gen.llms import ParameterRefusedError, Reply, Request
from descriptor_gen.llms.api.budget import Budget
from descriptor_gen.llms.api.completion import Completion
from descriptor_gen.llms.api.dialect import Dialect, Form, is_refusal
from descriptor_gen.llms.api.errors import retry_after
from descriptor_gen.llms.api.rate_limit import RateLimiter
from descriptor_gen.llms.options import ApiOptions, RetryPolicy
from descriptor_gen.llms.reply_json import is_json


@dataclass
class ApiModel:
    """A model behind a server, and the state that all calls to it share.

    Attributes:
        client: of the package openai, with its own retries off.
        parameters: decoding parameters; `reasoning_tokens` are added to a reply's limit and not sent.
        server_answers: whether the server has answered at all, errors included.
        still_mine: see `descriptor_gen.llms.Guarded`.
        answered_at: time of the last successful answer, by the clock; None: never.
    """

    client: Any
    identity: LLMIdentity
    parameters: Mapping[str, Any]
    options: ApiOptions
    limiter: RateLimiter
    budget: Budget
    dialect: Dialect = field(default_factory=Dialect)
    still_mine: Callable[[Sequence[Request]], Sequence[Request]] = tuple
    server_answers: bool = False
    answered_at: float | None = None

    def retry_pause(self, error: Any, retry: RetryPolicy, *, failures: int, waited: float) -> float | None:
        """Return the seconds until the next attempt; None if that would be after the time for retries."""
        requested = retry_after(error, unix_time=self.options.clock.unix_time())
        seconds = requested or retry.backoff(failures)
        limit = retry.total if self.server_answers else retry.unreached
        return seconds if waited + seconds <= limit else None

    def body(self, request: Request, form: Form) -> dict[str, Any]:
        """Return the body of a chat completion call in a form."""
        parameters = dict(self.parameters)
        reasoning_tokens = parameters.pop("reasoning_tokens", 0)
        return {
            "model": self.identity.model,
            **form.arguments(request, reasoning_tokens=reasoning_tokens),
            **parameters,
            **({"seed": parameters["seed"] + request.sample} if "seed" in parameters else {}),
        }

    def refuse_parameter(self, reason: str, param: str | None) -> None:
        """Do nothing, unless a refusal is about a parameter that is part of the cache keys.

        Raises:
            ParameterRefusedError: the call can be made without it: greedy decoding's temperature 0, and the seed.
            UserError: it was asked for, so that it must not be dropped in silence.
        """
        if not is_refusal(reason):
            return
        named = [name for name in self.parameters if name == param or re.search(rf"\b{re.escape(name)}\b", reason)]
        for name in named:
            if name == "seed" or (name == "temperature" and not self.parameters[name]):
                raise ParameterRefusedError(name)
            own = "--temperature, or ask at the model's own: --param temperature=null"
            option = own if name == "temperature" else f"--param {name}"
            raise UserError(f"{self.identity.provider} refused {self.identity.model}: {reason}. Leave out {option}")

    def reply(
        self,
        request: Request,
        completion: Completion,
        form: Form,
        *,
        seconds: float,
        cost: float | None = None,
        **environment: Any,
    ) -> Reply:
        """Turn an answer into a reply, and record whether the server respects the response format mode.

        A cost (USD) of None is computed from the tokens, if the prices are known. `environment` is recorded with the
        reply, except None values.
        """
        if completion.source == "reasoning" and form.mode != "json_schema":
            completion = replace(completion, text="", source="content")  # without a schema it is a thought
        if completion.finish_reason == "stop" and completion.text.strip():
            self.dialect.answered(form.mode, is_json=is_json(completion.text))
        recorded = {
            **form.recorded,
            "thinks": completion.thinks or None,
            "read_from": None if completion.source == "content" else completion.source,
            **environment,
            "id": completion.id,
            "served_by": completion.served_by,
            "cost_usd": self._cost(completion) if cost is None else cost,
        }
        return Reply(
            request,
            completion.text,
            completion.finish_reason,
            tokens_in=completion.tokens_in,
            tokens_out=completion.tokens_out,
            seconds=seconds,
            error=completion.error,
            environment={name: value for name, value in recorded.items() if value is not None},
        )

    def _cost(self, completion: Completion) -> float | None:
        prices = self.budget.prices
        if prices is None or completion.tokens_in is None or completion.tokens_out is None:
            return None
        return prices.cost(completion.tokens_in, completion.tokens_out, completion.tokens_cached)
