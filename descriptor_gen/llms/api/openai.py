"""GPT, and every server that speaks its protocol (vLLM, Ollama, llama.cpp, transformers serve)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from typing import Any

from db.errors import UsageError, UserError
from db.records import LLMIdentity
from descriptor_gen.llms import GREEDY, Reply, Request, Sampling, StoppedEarlyError
from descriptor_gen.llms.api.budget import Budget
from descriptor_gen.llms.api.call import TIMEOUT_SECONDS, Conversation
from descriptor_gen.llms.api.rate_limit import AbandonedError, Pace
from descriptor_gen.llms.api.service import Service
from descriptor_gen.llms.api.threads import Flights
from descriptor_gen.llms.options import ApiOptions

CONNECT_SECONDS = 10.0
# These models think before they write, and refuse a temperature. What they think counts as written.
_REASONING = re.compile(r"(^|/)(o\d|gpt-5)\b")
_REASONING_TOKENS = 4096


class OpenAILLM:
    """A chat model behind the OpenAI protocol, asked for replies of a JSON schema.

    The client's own retries are off: they would sleep call by call, where a rate limit concerns all calls, give up
    after a number of tries, where a storm ends after a time, and not wake for Ctrl-C.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        sampling: Sampling = GREEDY,
        options: ApiOptions | None = None,
    ) -> None:
        """Name the model and the server; None is OpenAI itself. No call is made yet."""
        self.identity = LLMIdentity(f"openai@{base_url}" if base_url else "openai", model, "")
        self.parameters = _parameters(model, sampling)
        self.environment: Mapping[str, Any] = {}
        self._base_url = base_url
        self._options = options or ApiOptions()
        self.prices = self._options.prices
        self._pace = Pace(self._options.requests_per_minute, self._options.tokens_per_minute)
        room = self.parameters.get("reasoning_tokens", 0)
        self._budget = Budget(self._options.max_cost, self._options.prices, room=room)
        self._stopped = False

    def stop(self) -> None:
        """Make no more calls; those in flight are awaited."""
        self._stopped = True
        self._pace.end()

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies as they come, several calls at a time; what came together is one group."""
        service = self._service
        self.environment = {"openai": version("openai"), "concurrency": self._options.concurrency}
        flights = Flights[Request, Reply](lambda request: Conversation(service, request).reply())
        todo, errors = deque(requests), list[BaseException]()
        try:
            while self._launch(flights, todo):
                landed = [self._settled(request, result, errors) for request, result in flights.landed()]
                if replies := [reply for reply in landed if reply]:
                    yield replies
        finally:
            if flights or errors:
                self._pace.end()  # whoever took the replies is gone: nobody may begin to pay for another
        for error in errors:
            if not isinstance(error, AbandonedError):
                raise error
        if todo or errors:
            raise StoppedEarlyError("interrupt" if self._stopped else "budget")

    def _launch(self, flights: Flights[Request, Reply], todo: deque[Request]) -> int:
        """Start what may start, and no more than that, so that a stop has nothing to take back."""
        while todo and len(flights) < self._options.concurrency and not self._pace.ended:
            if not self._budget.fits(todo[0]):
                break
            self._budget.reserve(todo[0])
            flights.start(todo.popleft())
        return len(flights)

    def _settled(self, request: Request, result: Reply | BaseException, errors: list[BaseException]) -> Reply | None:
        if isinstance(result, Reply):
            self._budget.settle(request, result.environment.get("cost_usd"))
            return result
        self._budget.settle(request, 0.0)
        errors.append(result)
        if not isinstance(result, AbandonedError):
            self._pace.end()
        return None

    @cached_property
    def _service(self) -> Service:
        is_openai = self._base_url is None
        return Service(self._client(), self.identity, self.parameters, is_openai, self._pace, self._budget)

    def _client(self) -> Any:
        import openai

        timeout = openai.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
        try:
            return openai.OpenAI(base_url=self._base_url, max_retries=0, timeout=timeout)
        except openai.OpenAIError as error:
            raise UserError(
                f"Cannot call {self.identity.model}: no API key. Set OPENAI_API_KEY (any value for a local server with "
                "--base-url). Without any download or account: --llm smollm2"
            ) from error


def _parameters(model: str, sampling: Sampling) -> Mapping[str, Any]:
    if not _REASONING.search(model):
        return {"temperature": sampling.temperature, **({"seed": sampling.seed} if sampling.temperature else {})}
    if sampling.temperature:
        raise UsageError(f"{model} takes no temperature: leave out --temperature, and --samples, which needs one")
    return {"reasoning_tokens": _REASONING_TOKENS}
