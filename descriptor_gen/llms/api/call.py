"""One call of an API model: its attempts, and how each failure is handled."""

from __future__ import annotations

from typing import Any

from db.errors import UserError
from descriptor_gen.llms import Reply, Request
from descriptor_gen.llms.api.budget import likely_tokens
from descriptor_gen.llms.api.completion import AnswerError, Completion, failure, read_completion
from descriptor_gen.llms.api.errors import describe, fault_kind, is_unsupported, reason_of, retry_after
from descriptor_gen.llms.api.model import ApiModel
from descriptor_gen.llms.api.rate_limit import AbandonedError, TakenOverError


class ApiCall:
    """One call, from its first attempt to the reply."""

    def __init__(self, model: ApiModel, request: Request) -> None:
        self._model, self._request = model, request
        self._clock = model.options.clock
        self._attempts = 0
        self._form = model.dialect.form  # of this attempt
        self._first_refusal = ""
        self._began = 0.0  # this attempt
        self._failed_at: float | None = None  # the first failure

    def reply(self) -> Reply:
        """Try until there is an answer, or until the retry policy ends.

        Raises:
            AbandonedError: the run ended first.
            TakenOverError: another builder makes this call.
            UserError: every call would fail.
        """
        import openai

        model, expected = self._model, likely_tokens(self._request)
        while True:
            model.limiter.wait(expected)
            if not model.still_mine([self._request]):
                raise TakenOverError
            self._attempts, self._form, self._began = self._attempts + 1, model.dialect.form, self._clock.now()
            try:
                completion = self._send()
            except (openai.APIError, AnswerError) as error:
                if reply := self._after_failure(error):
                    return reply
            else:
                model.server_answers, model.answered_at = True, self._clock.now()
                used = (completion.tokens_in or 0) + (completion.tokens_out or 0)
                model.limiter.correct(expected, used or expected)
                return self._reply(completion)

    def _send(self) -> Completion:
        body = self._model.body(self._request, self._form)
        create = self._model.client.chat.completions.with_raw_response.create
        sent = {name: body.pop(name) for name in ("model", "messages")}
        completion = read_completion(str(create(**sent, extra_body=body).text))
        if completion.status:
            raise AnswerError(completion.error or "", completion.status)
        return completion

    def _after_failure(self, error: Any) -> Reply | None:
        """Return a reply that reports the error; None, after the necessary wait, to try again."""
        model, kind, reason = self._model, fault_kind(error), reason_of(error)
        model.server_answers |= hasattr(error, "status_code")
        if kind == "request":
            self._first_refusal = self._first_refusal or reason
            model.refuse_parameter(reason, error.param)
            if model.dialect.learn(reason, error.param, self._form):
                return None
        if kind == "fatal" or (kind == "request" and is_unsupported(error)):
            raise UserError(f"{model.identity.provider} refused {model.identity.model}: {reason}")
        if kind in ("call", "request"):
            return self._reply(failure(self._first_refusal or reason), cost=0.0)
        if kind == "ambiguous" and not model.budget.lose(self._request):
            raise AbandonedError
        return self._wait(error, pause_all=kind == "limit")

    def _wait(self, error: Any, *, pause_all: bool) -> Reply | None:
        now = self._clock.now()
        self._failed_at = now if self._failed_at is None else self._failed_at
        waited = now - self._failed_at
        seconds = self._model.retry_pause(error, self._model.options.retry, failures=self._attempts, waited=waited)
        if seconds is None:
            return self._give_up(error, self._failed_at)
        if pause_all:
            self._model.limiter.pause(seconds)
        else:
            self._model.limiter.sleep(seconds)
        return None

    def _give_up(self, error: Any, failed_at: float) -> Reply:
        """Return a reply that reports the error.

        Raises:
            UserError: no other call would succeed now either.
        """
        model, reason = self._model, describe(error, timeout_seconds=self._model.options.timeout_seconds)
        server, tried = model.client.base_url, f"{reason} ({self._attempts} attempts)"
        if not model.server_answers:
            raise UserError(f"Cannot reach {server}: {tried}")
        requested = retry_after(error, unix_time=self._clock.unix_time()) or 0.0
        if requested > model.options.retry.total:
            raise UserError(f"{server} asks to wait {requested:.0f} seconds: {reason}. Run the same command then")
        if model.answered_at is None or model.answered_at < failed_at:
            raise UserError(f"{server} no longer answers: {tried}. Run the same command to continue")
        return self._reply(failure(tried), cost=0.0)

    def _reply(self, completion: Completion, *, cost: float | None = None) -> Reply:
        seconds = self._clock.now() - self._began
        return self._model.reply(
            self._request, completion, self._form, seconds=seconds, cost=cost, attempts=self._attempts
        )
