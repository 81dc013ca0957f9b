"""GPT, and every server that speaks its protocol (vLLM, Ollama, llama.cpp, transformers serve)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

from db.errors import UsageError, UserError
from db.records import LLMIdentity
from descriptor_gen.llms import GREEDY, ParameterRefusedError, Reply, Request, Sampling, StoppedEarlyError
from descriptor_gen.llms.api.budget import Budget
from descriptor_gen.llms.api.call import ApiCall
from descriptor_gen.llms.api.clock import CallsInFlight
from descriptor_gen.llms.api.dialect import Dialect, Form
from descriptor_gen.llms.api.model import ApiModel
from descriptor_gen.llms.api.rate_limit import AbandonedError, RateLimiter, TakenOverError
from descriptor_gen.llms.api.server import Server, open_client
from descriptor_gen.llms.options import ApiOptions, Prices

# Reasoning models refuse a temperature, and their reasoning counts as output tokens.
_REASONING = re.compile(r"(^|/)(o\d|gpt-5)\b")
_REASONING_TOKENS = 4096
_RESERVED = frozenset(
    {"model", "messages", "response_format", "stream", "n", "max_tokens", "max_completion_tokens", "reasoning_tokens"}
)


class OpenAILLM:
    """A chat model behind the OpenAI protocol, asked for replies that fit a JSON schema.

    The client's own retries are off: each call would wait alone, though a rate limit applies to all calls; they end
    after a number of attempts, not after a time; and Ctrl-C does not interrupt their waits.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        sampling: Sampling = GREEDY,
        options: ApiOptions | None = None,
        parameters: Mapping[str, Any] | None = None,
        reasoning_tokens: int | None = None,
    ) -> None:
        """Name the model and the server (None: OpenAI itself). No call is made yet.

        User, password and query of the server's address are sent with each call, and are no part of the identity.

        Args:
            parameters: further ones of the request, sent as they are and part of the cache keys; None leaves one out.
            reasoning_tokens: room for thoughts in addition to a reply's limit; None: some for models known to think.
        """
        options = options or ApiOptions()
        self._server = server = Server.of(base_url)
        self.identity = LLMIdentity(f"openai@{server.address}" if server.address else "openai", model, "")
        self.parameters = _parameters(model, sampling, parameters or {}, reasoning_tokens)
        self.environment: Mapping[str, Any] = {}
        self.prices = self._prices(options)
        self.still_mine: Callable[[Sequence[Request]], Sequence[Request]] = tuple
        if options.max_cost is not None and self.prices is None:
            raise UsageError(
                f"--max-cost needs the prices of openai:{model}. Give them in USD per million tokens, from the "
                "provider's page: --price-in and --price-out"
            )
        self._options = options
        self._limiter = RateLimiter(options)
        reasoning_tokens = self.parameters.get("reasoning_tokens", 0)
        self._budget = Budget(options.max_cost, self.prices, reasoning_tokens=reasoning_tokens)
        self._stopped = False

    def _prices(self, options: ApiOptions) -> Prices | None:
        return options.prices

    def check(self) -> None:
        """Raise a UserError if there is no API key."""
        self._model  # noqa: B018 - its client needs the key

    def stop(self) -> None:
        """Make no more calls; those in flight are awaited."""
        self._stopped = True
        self._limiter.end()

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Make several calls at a time; yield the replies in groups as they arrive."""
        model = self._guarded_model()
        self.environment = {"openai": version("openai"), "concurrency": self._options.concurrency}
        calls = CallsInFlight[Request, Reply](lambda request: ApiCall(model, request).reply(), self._options.clock)
        waiting, errors = deque(requests), list[BaseException]()
        try:
            while self._start_calls(calls, waiting):
                settled = [self._settle(request, result, errors) for request, result in calls.finished()]
                if replies := [reply for reply in settled if reply]:
                    yield replies
        finally:
            if calls or errors:
                self._limiter.end()  # the caller has stopped: no further call may be paid for
        for error in errors:
            if isinstance(error, ParameterRefusedError):
                self._drop(error.name)
            if not isinstance(error, AbandonedError):
                raise error
        if waiting or errors:
            least = 0.0 if self._stopped else self._budget.least(waiting)
            raise StoppedEarlyError("interrupt" if self._stopped else "budget", least_budget=least)

    def _start_calls(self, calls: CallsInFlight[Request, Reply], waiting: deque[Request]) -> int:
        """Start as many calls as are allowed now; return how many are in flight."""
        while waiting and len(calls) < self._options.concurrency and not self._limiter.ended:
            if not self._budget.reserve(waiting[0]):
                break
            calls.start(waiting.popleft())
        return len(calls)

    def _settle(self, request: Request, result: Reply | BaseException, errors: list[BaseException]) -> Reply | None:
        if isinstance(result, Reply):
            self._budget.settle(request, result.environment.get("cost_usd"))
            return result
        self._budget.settle(request, 0.0)
        if isinstance(result, TakenOverError):
            return None
        errors.append(result)
        if not isinstance(result, AbandonedError):
            self._limiter.end()
        return None

    def _drop(self, name: str) -> None:
        """Leave a parameter out of all further calls."""
        self.parameters = {key: value for key, value in self.parameters.items() if key != name}
        self._limiter = RateLimiter(self._options)  # the old one has ended
        self._model = replace(self._model, parameters=self.parameters, limiter=self._limiter)

    def _guarded_model(self) -> ApiModel:
        self._model.still_mine = self.still_mine
        return self._model

    @cached_property
    def _model(self) -> ApiModel:
        # Other servers know only the old name of the limit; reasoning models accept only the new one.
        new_name = self._server.address is None or "reasoning_tokens" in self.parameters
        dialect = Dialect(Form(limit="max_completion_tokens" if new_name else "max_tokens"))
        options, limiter, budget = self._options, self._limiter, self._budget
        return ApiModel(self._client(), self.identity, self.parameters, options, limiter, budget, dialect)

    def _client(self) -> Any:
        import openai

        timeout = openai.Timeout(self._options.timeout_seconds, connect=self._options.connect_seconds)
        try:
            return open_client(self._server, timeout=timeout)
        except openai.OpenAIError as error:
            raise UserError(
                f"Cannot call {self.identity.model}: no API key. Set OPENAI_API_KEY (any value for a local server with "
                "--base-url). Without any download or account: --llm smollm2"
            ) from error


def _parameters(
    model: str, sampling: Sampling, more: Mapping[str, Any], reasoning_tokens: int | None
) -> Mapping[str, Any]:
    """Return the decoding parameters of all calls."""
    if reserved := sorted(more.keys() & _RESERVED):
        raise UsageError(f"--param cannot set {', '.join(reserved)}: descgen sets it")
    if own := [name for name in ("temperature", "seed") if more.get(name) is not None]:
        raise UsageError(f"--param {own[0]} can only be null, to leave it out: write --{own[0]} {more[own[0]]}")
    thinks = bool(_REASONING.search(model))
    if thinks and sampling.temperature and "temperature" not in more:
        raise UsageError(
            f"{model} supports no temperature: leave out --temperature and --samples, or ask at the model's own: "
            "--param temperature=null"
        )
    seed = {"seed": sampling.seed} if sampling.temperature else {}
    parameters = {} if thinks else {"temperature": sampling.temperature, **seed}
    room = _REASONING_TOKENS if thinks and reasoning_tokens is None else reasoning_tokens
    parameters |= {"reasoning_tokens": room} if room else {}
    return {name: value for name, value in {**parameters, **more}.items() if value is not None}
