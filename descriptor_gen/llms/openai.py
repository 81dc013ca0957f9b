"""GPT, and every server that speaks its protocol (vLLM, Ollama, llama.cpp, transformers serve)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cached_property
from importlib.metadata import version
from typing import Any

from db.errors import UserError
from db.records import LLMIdentity
from descriptor_gen.llms import GREEDY, FinishReason, Reply, Request, Sampling

_CONCURRENCY = 8
_RETRIES = 5  # by the client: rate limits, time-outs, server errors, with backoff
_TIMEOUT_SECONDS = 120.0


class OpenAILLM:
    """A chat model behind the OpenAI protocol, asked for replies of a JSON schema."""

    def __init__(self, model: str, *, base_url: str | None = None, sampling: Sampling = GREEDY) -> None:
        """Name the model and the server; None is OpenAI itself. No call is made yet."""
        self.identity = LLMIdentity(f"openai@{base_url}" if base_url else "openai", model, "")
        self.parameters: Mapping[str, Any] = {"temperature": sampling.temperature}
        if sampling.temperature:
            self.parameters = {**self.parameters, "seed": sampling.seed}
        self.environment: Mapping[str, Any] = {}
        self._base_url = base_url

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies as they come, several calls at a time; what came together is one group."""
        self.environment = {"openai": version("openai"), "concurrency": _CONCURRENCY}
        client = self._client
        pool = ThreadPoolExecutor(_CONCURRENCY)
        try:
            waiting: set[Future[Reply]] = {pool.submit(self._ask, client, request) for request in requests}
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield [future.result() for future in done]
        finally:
            pool.shutdown(cancel_futures=True)

    @cached_property
    def _client(self) -> Any:
        import openai

        try:
            return openai.OpenAI(base_url=self._base_url, max_retries=_RETRIES, timeout=_TIMEOUT_SECONDS)
        except openai.OpenAIError as error:
            raise UserError(
                f"Cannot call {self.identity.model}: no API key. Set OPENAI_API_KEY (any value for a local server with "
                "--base-url). Without any download or account: --llm smollm2"
            ) from error

    def _ask(self, client: Any, request: Request) -> Reply:
        """Make one call. What only this call suffers from is a reply with an error; what all would, is raised."""
        import openai

        start = time.perf_counter()
        limit = "max_tokens" if self._base_url else "max_completion_tokens"  # the older name is the common one
        try:
            completion = client.chat.completions.create(
                model=self.identity.model,
                messages=[dict(message) for message in request.messages],
                response_format=_response_format(request),
                **{limit: request.max_tokens},
                **self.parameters,
                **({"seed": self.parameters["seed"] + request.sample} if "seed" in self.parameters else {}),
            )
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            raise UserError(f"{self.identity.provider} refused {self.identity.model}: {error.message}") from error
        except openai.APIConnectionError as error:
            raise UserError(f"Cannot reach {client.base_url}: {error.__cause__ or error}") from error
        except openai.APIError as error:
            return Reply(request, "", "error", None, None, time.perf_counter() - start, error=error.message)
        return _reply(request, completion, time.perf_counter() - start)


def _response_format(request: Request) -> dict[str, Any]:
    schema = {"name": "descriptors", "schema": dict(request.output_schema), "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _reply(request: Request, completion: Any, seconds: float) -> Reply:
    choice, usage = completion.choices[0], completion.usage
    reason: FinishReason = "length" if choice.finish_reason == "length" else "stop"
    text = choice.message.content or ""
    refusal = getattr(choice.message, "refusal", None)
    return Reply(
        request,
        text,
        reason,
        tokens_in=usage.prompt_tokens if usage else None,
        tokens_out=usage.completion_tokens if usage else None,
        seconds=seconds,
        error=f"refused: {refusal}" if refusal else None,
    )
