"""A batch at the provider: how far it is, and why it failed where it did."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from db.errors import UserError
from descriptor_gen.llms.api.call import TIMEOUT_SECONDS
from descriptor_gen.llms.api.errors import described, kind_of, retry_after
from descriptor_gen.llms.api.rate_limit import Patience
from descriptor_gen.llms.api.service import Service
from descriptor_gen.llms.batch.files import ENDPOINT, Asked, asked_by, rows

if TYPE_CHECKING:
    from openai.types import Batch
    from openai.types.batch_error import BatchError


_ENDED = ("completed", "expired", "cancelled", "failed")
_QUEUE_IS_FULL = "token_limit_exceeded"
_SHOWN_ERRORS = 3


@dataclass
class UnderWay:
    """A batch as it was last seen, and the calls of ours in it that have no reply yet, by key."""

    batch: Batch
    calls: dict[str, Asked]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.batch.status in _ENDED

    @property
    def failed(self) -> bool:
        """Whether it was refused as a whole: none of its calls was made."""
        return self.batch.status == "failed"

    @property
    def answered(self) -> int:
        """How many of the calls the provider is done with; about, where the batch holds others too."""
        counts = self.batch.request_counts
        return min(len(self.calls), counts.completed + counts.failed) if counts else 0

    @property
    def seconds_each(self) -> float:
        """The share of a call in the time that the batch took."""
        batch = self.batch
        ended = batch.completed_at or batch.expired_at or batch.cancelled_at or batch.created_at
        return (ended - batch.created_at) / max(1, batch.request_counts.total if batch.request_counts else 1)

    @property
    def was_too_much(self) -> bool:
        """Whether it failed because the provider's queue had no room for so many tokens at that time."""
        return any(error.code == _QUEUE_IS_FULL for error in self._errors)

    @property
    def why(self) -> str:
        """The provider's words on its failure."""
        lines = [f"{error.message or error.code}{_place(error.line)}" for error in self._errors[:_SHOWN_ERRORS]]
        more = len(self._errors) - len(lines)
        said = "; ".join([*lines, f"and {more} more"] if more else lines)
        return said.rstrip(".") or "no reason was given"

    @property
    def shown(self) -> str:
        """Its state, for people."""
        counts = self.batch.request_counts
        done = f", {counts.completed} of {counts.total} done, {counts.failed} failed" if counts else ""
        return f"batch {self.batch.id}: {self.batch.status}{done}"

    @property
    def _errors(self) -> list[BatchError]:
        return (self.batch.errors.data if self.batch.errors else None) or []


def _place(line: int | None) -> str:
    return "" if line is None else f" (line {line})"


PATIENCE = Patience()
VIGIL = Patience(total=86_400.0, longest=60.0)  # while a batch is under way: it goes on, whatever the network does
PROGRAM = "descgen"
_KEPT_SECONDS = 30 * 86_400  # then OpenAI deletes what was handed in
_PAGE = 100
_TOLD = 4  # failures in a row
_NO_BATCHES = (404, 405, 501)

Result = TypeVar("Result")


class BatchServer:
    """What a batch job asks of its server. Each method waits out what passes, and raises UserError for the rest."""

    def __init__(self, service: Service, tell: Callable[[str], None]) -> None:
        """Speak to the server of a service; `tell` is called with a line on a fault that lasts."""
        self._service, self._client, self._tell = service, service.client, tell
        self._name = str(service.client.base_url)

    def batches(self) -> list[Batch]:
        """Return the batches of this program and model that are kept, the newest first, whoever handed them in."""
        found = [batch for batch in self._ask("list its batches", self._listed_first) if self._is_ours(batch)]
        return sorted(found, key=lambda batch: batch.created_at, reverse=True)

    def _is_ours(self, batch: Batch) -> bool:
        """Return whether a batch may hold calls of ours; only OpenAI is known to keep what names the program."""
        if not batch.metadata and not self._service.is_openai:
            return True
        said = batch.metadata or {}
        return (said.get("program"), said.get("model")) == (PROGRAM, self._service.identity.model)

    def _listed_first(self) -> list[Batch]:
        """Return the batches; this is the first thing that is asked, and what a server without them cannot do."""
        import openai

        try:
            return self._listed()
        except openai.APIStatusError as error:
            if error.status_code not in _NO_BATCHES:
                raise
            raise UserError(f"{self._name} has no Batch API ({error.message}). Leave out --batch-api") from error

    def _listed(self) -> list[Batch]:
        oldest, found = time.time() - _KEPT_SECONDS, dict[str, Any]()
        for page in self._client.batches.list(limit=_PAGE).iter_pages():
            new = {batch.id: batch for batch in page.data or () if batch.id not in found}
            if not new:
                break  # the end; some servers send the same page for ever
            found |= new
            times = [batch.created_at for batch in found.values()]
            if times[0] >= times[-1] and times[-1] < oldest:  # the newest come first, and these are too old
                break
        return [batch for batch in found.values() if batch.created_at >= oldest]

    def hand_in(self, content: bytes, *, calls: int) -> Batch:
        """Upload a file and begin its batch; one that began though its answer was lost is found by its file."""
        name = f"{PROGRAM}-{hashlib.sha256(content).hexdigest()[:16]}.jsonl"
        file = self._ask(
            "take a file", lambda: self._client.files.create(file=(name, content, "application/jsonl"), purpose="batch")
        )
        metadata = {"program": PROGRAM, "model": self._service.identity.model, "calls": str(calls)}
        tried: list[str] = []

        def begin() -> Batch:
            begun = [batch for batch in self._listed() if batch.input_file_id == file.id] if tried else []
            tried.append(file.id)
            return begun[0] if begun else self._begin(file.id, metadata)

        return self._ask("begin a batch", begin)

    def _begin(self, file_id: str, metadata: Mapping[str, str]) -> Batch:
        return _whole(
            self._client.batches.create(
                input_file_id=file_id, endpoint=ENDPOINT, completion_window="24h", metadata=dict(metadata)
            )
        )

    def look(self, batch_id: str) -> Batch:
        """Return a batch as it is now."""
        return self._ask(f"show batch {batch_id}", lambda: _whole(self._client.batches.retrieve(batch_id)), VIGIL)

    def rows(self, file_id: str | None) -> list[dict[str, Any]] | None:
        """Return the lines of a file; None where it is no longer there."""
        import openai

        def read() -> list[dict[str, Any]] | None:
            try:
                return rows(self._client.files.content(file_id).content)
            except openai.NotFoundError:
                return None

        return self._ask(f"give file {file_id}", read) if file_id else []

    def asked(self, batch: Batch) -> dict[str, Asked]:
        """Return what a batch was asked, by key.

        Raises:
            UserError: that cannot be known before it ends.
        """
        lines = self.rows(batch.input_file_id)
        if lines is not None:
            return {str(row.get("custom_id")): asked_by(row) for row in lines}
        answers = [*(self.rows(batch.output_file_id) or ()), *(self.rows(batch.error_file_id) or ())]
        if not answers and batch.status not in ("expired", "cancelled", "completed"):
            raise UserError(
                f"Batch {batch.id} is under way, and its file is gone from {self._name}: what it holds cannot be told. "
                "Wait for its end or cancel it there, then run the same command"
            )
        return {str(row.get("custom_id")): Asked(None, "unknown") for row in answers}

    def rest(self, seconds: float) -> None:
        """Wait.

        Raises:
            AbandonedError: the run ended first.
        """
        self._service.pace.sleep(seconds)

    def _ask(self, what: str, ask: Callable[[], Result], patience: Patience | None = None) -> Result:
        import openai

        failures, failed_at = 0, 0.0
        while True:
            try:
                result = ask()
            except openai.APIError as error:
                failures, failed_at = failures + 1, failed_at or time.monotonic()
                self._bear(error, what, failures, time.monotonic() - failed_at, patience or PATIENCE)
            except (AttributeError, TypeError) as error:  # the client takes any JSON for the object it expects
                raise UserError(f"{self._name} was asked to {what}, and its answer makes no sense: {error}") from error
            else:
                self._service.heard = True
                return result

    def _bear(self, error: Any, what: str, failures: int, waited: float, patience: Patience) -> None:
        """Wait out a fault, or raise UserError where that is no use."""
        self._service.heard |= hasattr(error, "status_code")
        if kind_of(error) not in ("limit", "lost", "passing"):
            raise UserError(f"{self._name} refused to {what}: {error.message}")
        seconds = retry_after(error) or patience.backoff(failures)
        why = described(error, timeout_seconds=TIMEOUT_SECONDS)
        if waited + seconds > (patience.total if self._service.heard else patience.unreached):
            raise UserError(
                f"{self._name} did not {what}: {why} ({failures} attempts). Batches that were handed in go on there; "
                "run the same command to go on"
            )
        if failures == _TOLD:
            self._tell(f"{self._name} does not {what}: {why}; trying on")
        self.rest(seconds)


def _whole(batch: Any) -> Batch:
    """Return a batch that has what makes it one.

    Raises:
        AttributeError: it is something else; the client does not look.
    """
    if not (batch.id and batch.status):
        raise AttributeError("a batch without id or status")
    whole: Batch = batch
    return whole
