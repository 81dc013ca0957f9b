"""One call of an API model: its attempts, and what becomes of each."""

from __future__ import annotations

import time
from typing import Any

from db.errors import UserError
from descriptor_gen.llms import Reply, Request
from descriptor_gen.llms.api.budget import likely_tokens
from descriptor_gen.llms.api.completion import Answer, read_answer
from descriptor_gen.llms.api.errors import described, kind_of, retry_after, unsupported
from descriptor_gen.llms.api.rate_limit import AbandonedError, Patience
from descriptor_gen.llms.api.service import Service

PATIENCE = Patience()
TIMEOUT_SECONDS = 120.0  # for an answer to begin, or to go on


class Conversation:
    """One call, from its first attempt to the reply."""

    def __init__(self, service: Service, request: Request) -> None:
        self._service, self._request = service, request
        self._attempts = 0
        self._began = 0.0  # the attempt
        self._failed_at: float | None = None  # for the first time

    def reply(self) -> Reply:
        """Ask until there is an answer, or no more hope of one.

        Raises:
            AbandonedError: the run ended before there was an answer.
            UserError: what all calls suffer from.
        """
        import openai

        service, expected = self._service, likely_tokens(self._request)
        while True:
            service.pace.wait(expected)
            mode = service.formats.mode
            self._attempts, self._began = self._attempts + 1, time.monotonic()
            try:
                answer = read_answer(self._send(mode))
            except openai.APIError as error:
                if reply := self._after(error, mode):
                    return reply
                continue
            service.heard, service.answered_at = True, time.monotonic()
            service.pace.used((answer.tokens_in or 0) + (answer.tokens_out or 0) or expected, expected)
            return self._answered(answer, mode)

    def _send(self, mode: str) -> str:
        service = self._service
        return str(service.client.chat.completions.with_raw_response.create(**service.body(self._request, mode)).text)

    def _after(self, error: Any, mode: str) -> Reply | None:
        """Return the reply that an error is; None is to try again, after it was waited for what has to be."""
        service, kind = self._service, kind_of(error)
        service.heard |= hasattr(error, "status_code")
        if kind == "format" and service.formats.refused(mode):
            return None
        if kind == "everyone":
            hint = ". Choose a model that takes it: it is part of every key" if unsupported(error) else ""
            raise UserError(f"{service.identity.provider} refused {service.identity.model}: {error.message}{hint}")
        if kind in ("call", "format"):
            return self._failed(error.message, mode)
        if kind == "lost" and not service.budget.lose(self._request):
            raise AbandonedError
        return self._wait(error, mode, everyone=kind == "limit")

    def _wait(self, error: Any, mode: str, *, everyone: bool) -> Reply | None:
        now = time.monotonic()
        self._failed_at = self._failed_at or now
        asked = retry_after(error)
        seconds = asked or PATIENCE.backoff(self._attempts)
        if now + seconds - self._failed_at > (PATIENCE.total if self._service.heard else PATIENCE.unreached):
            return self._given_up(error, mode, asked or 0.0)
        if everyone:
            self._service.pace.pause(seconds)
        else:
            self._service.pace.sleep(seconds)
        return None

    def _given_up(self, error: Any, mode: str, asked: float) -> Reply:
        service, why = self._service, described(error, timeout_seconds=TIMEOUT_SECONDS)
        server, tried = service.client.base_url, f"{why} ({self._attempts} attempts)"
        if not service.heard:
            raise UserError(f"Cannot reach {server}: {tried}")
        if asked > PATIENCE.total:
            raise UserError(f"{server} asks to wait {asked:.0f} seconds: {why}. Run the same command then")
        if service.answered_at < (self._failed_at or 0.0):  # nor was any other call answered since
            raise UserError(f"{server} no longer answers: {tried}. Run the same command to go on")
        return self._failed(tried, mode)

    def _failed(self, reason: str, mode: str) -> Reply:
        return self._answered(Answer("", "error", reason), mode, cost=0.0)

    def _answered(self, answer: Answer, mode: str, *, cost: float | None = None) -> Reply:
        seconds = time.monotonic() - self._began
        return self._service.reply(self._request, answer, mode, seconds=seconds, cost=cost, attempts=self._attempts)
