"""One round of calls by batch: pick up earlier batches, submit the other calls, wait, and fetch the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from db.errors import UserError
from descriptor_gen.llms import Reply, Request, StoppedEarlyError
from descriptor_gen.llms.api.completion import Completion, failure
from descriptor_gen.llms.api.errors import fault_kind, reason_of
from descriptor_gen.llms.api.model import ApiModel
from descriptor_gen.llms.api.rate_limit import AbandonedError
from descriptor_gen.llms.batch.client import BatchClient, SubmittedBatch
from descriptor_gen.llms.batch.files import BatchCall, CallError, call_line, endpoint, read_result, split

if TYPE_CHECKING:
    from openai.types import Batch


class BatchJob:
    """The calls of one round: each is in the queue, in a submitted batch, or left out because of the budget."""

    def __init__(
        self,
        model: ApiModel,
        requests: Sequence[Request],
        *,
        stored: Mapping[str, Collection[str]],
        notify: Callable[[str], None],
    ) -> None:
        """Prepare the calls; `stored`: id of the batch -> cache keys whose replies are stored already."""
        self._model, self._client = model, BatchClient(model, notify)
        self._options = model.options.batches
        self._stored, self._notify = stored, notify
        self._requests = {request.key: request for request in requests}
        self._queue: deque[list[Request]] = deque()  # one entry for each file
        self.submitted: list[SubmittedBatch] = []  # batches at the provider
        self._reserved = set[str]()  # keys of the calls that the budget counts as in flight
        self._provider_is_full = False  # submit no more until a batch has ended

    @property
    def waiting(self) -> int:
        """Number of finished replies that are not fetched yet."""
        return sum(submission.answered for submission in self.submitted)

    def replies(self) -> Iterator[Sequence[Reply]]:
        """Yield the replies of each batch when it has ended, and an empty group on progress.

        Raises:
            UserError: the server cannot be used, or refused a batch.
            StoppedEarlyError: the budget left some calls out.
            AbandonedError: the run was stopped.
        """
        left_out = self._plan(self._pick_up())
        polls = 0
        while self._queue or self.submitted:
            self._submit()
            before, ended = self.waiting, self._update()
            if self.waiting != before:
                yield ()
            for submission in ended:
                if submission.batch.status != "failed":
                    yield from self._fetch(submission)
            self._resubmit([submission for submission in ended if submission.batch.status == "failed"])
            if not ended:
                self._model.limiter.sleep(self._options.pause(polls))
            polls = 0 if ended else polls + 1
        if left_out:
            raise StoppedEarlyError("budget", least_budget=self._model.budget.least(left_out))

    def _pick_up(self) -> list[Request]:
        """Find the calls that an earlier run submitted; return the others.

        If several batches hold a call, the newest one counts, because the call was repeated later.
        """
        missing = set(self._requests)
        for batch in self._client.batches():
            stored = self._stored.get(batch.id, ())
            total = batch.request_counts.total if batch.request_counts else 0
            if batch.status == "failed" or 0 < total <= len(stored):
                continue
            calls = self._client.calls(batch)
            ours = {key: calls[key] for key in self._requests if key in calls and key in missing and key not in stored}
            if ours:
                missing -= ours.keys()
                self._add(batch, ours, "picked up")
            if not missing:
                break
        for submission in self.submitted:
            for key in submission.calls:
                self._reserve(self._requests[key], runs_already=True)
        return [request for key, request in self._requests.items() if key in missing]

    def _add(self, batch: Batch, calls: dict[str, BatchCall], event: str) -> None:
        self.submitted.append(SubmittedBatch(batch, calls))
        self._notify(f"batch {batch.id}: {len(calls)} calls {event}, {batch.status}")

    def _plan(self, requests: Sequence[Request]) -> list[Request]:
        """Queue the calls that the budget allows; return the others."""
        reserved = [(request, self._reserve(request)) for request in requests]
        fitting = [request for request, fits in reserved if fits]
        self._enqueue(fitting)
        if len(fitting) < len(requests):
            self._notify(f"the budget allows {len(fitting)} of {len(requests)} calls, at their highest possible cost")
        return [request for request, fits in reserved if not fits]

    def _reserve(self, request: Request, *, runs_already: bool = False) -> bool:
        fits = self._model.budget.reserve(request, runs_already=runs_already)
        self._reserved |= {request.key} if fits else set()
        return fits

    def release(self) -> None:
        """Let the budget no longer count the calls without a reply: a request that is refused costs nothing."""
        for key in self._reserved:
            self._model.budget.settle(self._requests[key], 0.0)
        self._reserved.clear()

    def _enqueue(self, requests: Sequence[Request]) -> None:
        self._queue.extend(split(requests, lambda request: len(self._line(request)), self._options))

    def _line(self, request: Request) -> bytes:
        body = self._model.body(request, self._model.dialect.form)
        return call_line(request.key, body, url=endpoint(str(self._model.client.base_url)))

    def _submit(self) -> None:
        while self._queue and not self._provider_is_full:
            if self._model.limiter.ended:
                raise AbandonedError
            file = self._still_mine(self._queue[0])
            if not file:
                self._queue.popleft()
                continue
            call = BatchCall(None, self._model.dialect.form)
            batch = self._client.submit(b"".join(map(self._line, file)), calls=len(file))
            self._queue.popleft()
            self._add(batch, {request.key: call for request in file}, "submitted")

    def _still_mine(self, file: list[Request]) -> list[Request]:
        """Return the calls of a file that no other builder has taken over; the budget forgets the others."""
        mine = list(self._model.still_mine(file))
        for key in {request.key for request in file} - {request.key for request in mine}:
            self._model.budget.settle(self._requests[key], 0.0)
            self._reserved.discard(key)
        return mine

    def _update(self) -> list[SubmittedBatch]:
        """Ask for the state of each batch; return those that have ended."""
        for submission in self.submitted:
            before, submission.batch = submission.batch.status, self._client.retrieve(submission.batch.id)
            if submission.batch.status != before:
                self._notify(submission.summary)
        return [submission for submission in self.submitted if submission.ended]

    def _fetch(self, submission: SubmittedBatch) -> Iterator[Sequence[Reply]]:
        """Yield the replies of a batch that has ended; a call without a result gets a reply with an error."""
        refused: list[Request] = []
        reason = f"the batch ended ({submission.batch.status}) without an answer to it"
        size = self._options.replies_per_group
        for file_id in (submission.batch.output_file_id, submission.batch.error_file_id):
            lines = self._client.lines(file_id)
            if lines is None:
                reason = f"its result file {file_id} no longer exists on the server"
            for start in range(0, len(lines or ()), size):
                group = [self._read_reply(submission, line, refused) for line in (lines or ())[start : start + size]]
                yield [reply for reply in group if reply]
        yield [self._settle(submission, key, CallError(reason)) for key in list(submission.calls)]
        self.submitted.remove(submission)
        self._provider_is_full = False
        self._enqueue(refused)

    def _read_reply(
        self, submission: SubmittedBatch, line: Mapping[str, object], refused: list[Request]
    ) -> Reply | None:
        """Return the reply of a result line; a call whose form was refused is added to `refused` instead."""
        key, result = str(line["custom_id"]), read_result(line)
        if key not in submission.calls:
            return None
        if isinstance(result, CallError) and self._can_change(result, submission.calls[key]):
            del submission.calls[key]
            refused.append(self._requests[key])
            return None
        return self._settle(submission, key, result)

    def _can_change(self, error: CallError, call: BatchCall) -> bool:
        """Return whether a call can be made in another form than the one that was refused.

        Raises:
            ParameterRefusedError, UserError: every call has a parameter that the server refuses.
        """
        if fault_kind(error) != "request":
            return False
        reason = reason_of(error)
        self._model.refuse_parameter(reason, error.param)
        return self._model.dialect.learn(reason, error.param, call.form)

    def _settle(self, submission: SubmittedBatch, key: str, result: Completion | CallError) -> Reply:
        call, request = submission.calls.pop(key), self._requests[key]
        reply = self._model.reply(
            request,
            failure(str(result)) if isinstance(result, CallError) else result,
            call.form,
            seconds=submission.seconds_per_call,
            cost=0.0 if isinstance(result, CallError) else None,
            batch=submission.batch.id,
        )
        self._model.budget.settle(request, reply.environment.get("cost_usd"))
        self._reserved.discard(key)
        return replace(reply, messages=call.messages)

    def _resubmit(self, failed: Sequence[SubmittedBatch]) -> None:
        """Queue the calls of batches that failed because the provider's queue was full: whole, or in halves.

        Raises:
            UserError: a batch failed for another reason; none of its calls was made.
        """
        for submission in failed:
            self.submitted.remove(submission)
        for submission in failed:
            requests = [self._requests[key] for key in submission.calls]
            if not submission.queue_was_full or (len(requests) == 1 and not self.submitted):
                running = ", ".join(other.batch.id for other in self.submitted)
                pick_up = f". Run the same command to pick up the batches that continue: {running}" if running else ""
                raise UserError(
                    f"{self._model.identity.provider} refused batch {submission.batch.id}: {submission.failure}. "
                    f"None of its calls was made or billed{pick_up}"
                )
            half = len(requests) if self.submitted else (len(requests) + 1) // 2
            self._queue.extendleft(part for part in (requests[half:], requests[:half]) if part)
            self._provider_is_full = bool(self.submitted)
            self._notify(
                f"batch {submission.batch.id}: the provider's queue is full; submitting it later, or in halves"
            )
