"""Requests to a server's Batch API, and the state of a submitted batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from db.errors import UserError
from descriptor_gen.llms.api.dialect import Form
from descriptor_gen.llms.api.errors import describe, fault_kind
from descriptor_gen.llms.api.model import ApiModel
from descriptor_gen.llms.batch.files import BatchCall, endpoint, read_call, read_lines
from descriptor_gen.llms.options import RetryPolicy

if TYPE_CHECKING:
    from openai.types import Batch

PROGRAM = "descgen"
_KEPT_SECONDS = 30 * 86_400  # after that, OpenAI deletes a batch and its files
_PAGE = 100  # batches
_FAILURES_BEFORE_NOTICE = 4  # in a row
_NO_BATCH_API = (404, 405, 501)
_SHOWN_ERRORS = 3

Result = TypeVar("Result")


@dataclass
class SubmittedBatch:
    """The last known state of a batch at the provider, and our calls in it that have no reply yet, by key."""

    batch: Batch
    calls: dict[str, BatchCall]

    @property
    def ended(self) -> bool:
        """Whether it has ended. In a batch that failed as a whole, no call was made."""
        return self.batch.status in ("completed", "expired", "cancelled", "failed")

    @property
    def answered(self) -> int:
        """How many of our calls the provider has finished; an estimate if the batch holds other calls too."""
        counts = self.batch.request_counts
        return min(len(self.calls), counts.completed + counts.failed) if counts else 0

    @property
    def seconds_per_call(self) -> float:
        """The batch's duration over its calls."""
        batch = self.batch
        ended = batch.completed_at or batch.expired_at or batch.cancelled_at or batch.created_at
        return (ended - batch.created_at) / max(1, batch.request_counts.total if batch.request_counts else 1)

    @property
    def queue_was_full(self) -> bool:
        """Whether it failed because too many tokens were waiting in the provider's queue."""
        return any(error.code == "token_limit_exceeded" for error in self._errors)

    @property
    def failure(self) -> str:
        """The provider's reasons for its failure."""
        lines = ["" if error.line is None else f" (line {error.line})" for error in self._errors]
        reasons = [f"{error.message or error.code}{line}" for error, line in zip(self._errors, lines, strict=True)]
        more = [f"and {len(reasons) - _SHOWN_ERRORS} more"] if len(reasons) > _SHOWN_ERRORS else []
        return "; ".join([*reasons[:_SHOWN_ERRORS], *more]).rstrip(".") or "no reason was given"

    @property
    def summary(self) -> str:
        """Its state in words."""
        counts = self.batch.request_counts
        done = f", {counts.completed} of {counts.total} done, {counts.failed} failed" if counts else ""
        return f"batch {self.batch.id}: {self.batch.status}{done}"

    @property
    def _errors(self) -> list[Any]:
        return (self.batch.errors.data if self.batch.errors else None) or []


class BatchClient:
    """The requests of a batch job. Each method retries transient faults, and raises UserError for others."""

    def __init__(self, model: ApiModel, notify: Callable[[str], None]) -> None:
        """Use the server of a model; `notify` is called with a line of text on a lasting fault."""
        self._model, self._client, self._notify = model, model.client, notify
        self._clock = model.options.clock
        self._url = str(model.client.base_url)

    def batches(self) -> list[Batch]:
        """Return the server's batches of this program and model, newest first, whoever submitted them."""
        batches = [batch for batch in self._request("list its batches", self._first_list) if self._is_ours(batch)]
        return sorted(batches, key=lambda batch: batch.created_at, reverse=True)

    def _is_ours(self, batch: Batch) -> bool:
        """Return whether a batch may hold our calls; servers other than OpenAI may drop its metadata."""
        if not batch.metadata and self._model.identity.provider != "openai":
            return True
        metadata = batch.metadata or {}
        return (metadata.get("program"), metadata.get("model")) == (PROGRAM, self._model.identity.model)

    def _first_list(self) -> list[Batch]:
        """Return the batches. This is the first request of a run, and fails if the server has no Batch API."""
        import openai

        try:
            return self._list()
        except openai.APIStatusError as error:
            if error.status_code not in _NO_BATCH_API:
                raise
            raise UserError(f"{self._url} has no Batch API ({error.message}). Leave out --batch-api") from error

    def _list(self) -> list[Batch]:
        oldest, batches = self._clock.unix_time() - _KEPT_SECONDS, dict[str, Any]()
        for page in self._client.batches.list(limit=_PAGE).iter_pages():
            new = {batch.id: batch for batch in page.data or () if batch.id not in batches}
            if not new:
                break  # the end; some servers repeat the last page forever
            batches |= new
            times = [batch.created_at for batch in batches.values()]
            if times[0] >= times[-1] and times[-1] < oldest:  # sorted from new to old, and old enough
                break
        return [batch for batch in batches.values() if batch.created_at >= oldest]

    def submit(self, content: bytes, *, calls: int) -> Batch:
        """Upload a file and create its batch. If the answer is lost, a retry finds the batch by its file."""
        name = f"{PROGRAM}-{hashlib.sha256(content).hexdigest()[:16]}.jsonl"
        file = self._request(
            "take a file", lambda: self._client.files.create(file=(name, content, "application/jsonl"), purpose="batch")
        )
        metadata = {"program": PROGRAM, "model": self._model.identity.model, "calls": str(calls)}
        attempted: list[str] = []

        def create() -> Batch:
            existing = [batch for batch in self._list() if batch.input_file_id == file.id] if attempted else []
            attempted.append(file.id)
            return (
                existing[0]
                if existing
                else _checked(
                    self._client.batches.create(
                        input_file_id=file.id,
                        endpoint=endpoint(str(self._client.base_url)),
                        completion_window="24h",
                        metadata=metadata,
                    )
                )
            )

        return self._request("begin a batch", create)

    def retrieve(self, batch_id: str) -> Batch:
        """Return the current state of a batch."""
        return self._request(
            f"show batch {batch_id}",
            lambda: _checked(self._client.batches.retrieve(batch_id)),
            self._model.options.batches.retry,
        )

    def lines(self, file_id: str | None) -> list[dict[str, Any]] | None:
        """Return the lines of a file: [] if the id is None, None if the file no longer exists."""
        import openai

        def download() -> list[dict[str, Any]] | None:
            try:
                return read_lines(self._client.files.content(file_id).content)
            except openai.NotFoundError:
                return None

        return self._request(f"give file {file_id}", download) if file_id else []

    def calls(self, batch: Batch) -> dict[str, BatchCall]:
        """Return the calls of a batch, by key.

        Raises:
            UserError: they are unknown until the batch ends.
        """
        lines = self.lines(batch.input_file_id)
        if lines is not None:
            return {line["custom_id"]: read_call(line) for line in lines}
        results = [*(self.lines(batch.output_file_id) or ()), *(self.lines(batch.error_file_id) or ())]
        if not results and batch.status not in ("expired", "cancelled", "completed"):
            raise UserError(
                f"Batch {batch.id} is running, and its file was deleted from {self._url}, so its calls are unknown. "
                "Wait until it ends or cancel it there, then run the same command"
            )
        return {line["custom_id"]: BatchCall(None, Form("unknown")) for line in results}

    def _request(self, action: str, send: Callable[[], Result], retry: RetryPolicy | None = None) -> Result:
        import openai

        failures, failed_at = 0, 0.0
        while True:
            try:
                result = send()
            except openai.APIError as error:
                failures += 1
                failed_at = self._clock.now() if failures == 1 else failed_at
                waited = self._clock.now() - failed_at
                self._wait(error, action, retry or self._model.options.retry, failures=failures, waited=waited)
            except (AttributeError, TypeError) as error:  # the client does not check the JSON it receives
                raise UserError(f"{self._url} was asked to {action}; its answer is invalid: {error}") from error
            else:
                self._model.server_answers = True
                return result

    def _wait(self, error: Any, action: str, retry: RetryPolicy, *, failures: int, waited: float) -> None:
        """Wait before the next attempt, or raise UserError if retrying is over."""
        self._model.server_answers |= hasattr(error, "status_code")
        if fault_kind(error) not in ("limit", "ambiguous", "transient"):
            raise UserError(f"{self._url} refused to {action}: {error.message}")
        seconds = self._model.retry_pause(error, retry, failures=failures, waited=waited)
        reason = describe(error, timeout_seconds=self._model.options.timeout_seconds)
        if seconds is None:
            raise UserError(
                f"{self._url} did not {action}: {reason} ({failures} attempts). Submitted batches continue there; "
                "run the same command to continue"
            )
        if failures == _FAILURES_BEFORE_NOTICE:
            self._notify(f"{self._url} does not {action}: {reason}; still trying")
        self._model.limiter.sleep(seconds)


def _checked(batch: Any) -> Batch:
    """Return a batch that has an id and a status.

    Raises:
        AttributeError: the server sent something else; the client does not check.
    """
    if not (batch.id and batch.status):
        raise AttributeError("a batch without id or status")
    checked: Batch = batch
    return checked
