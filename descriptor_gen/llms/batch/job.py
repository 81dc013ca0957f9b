"""One round of calls by batch: pick up what is under way, hand the rest in, wait, and fetch what has ended."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.errors import UserError
from descriptor_gen.llms import Reply, Request, StoppedEarlyError
from descriptor_gen.llms.api.completion import Answer
from descriptor_gen.llms.api.errors import kind_of
from descriptor_gen.llms.api.rate_limit import AbandonedError
from descriptor_gen.llms.api.service import Service
from descriptor_gen.llms.batch.files import Asked, Limits, Refusal, answer_of, line, split
from descriptor_gen.llms.batch.server import BatchServer, UnderWay

if TYPE_CHECKING:
    from openai.types import Batch


LIMITS = Limits()
GROUP = 100  # replies that are stored together: no other writer has to wait for long


@dataclass(frozen=True)
class Polling:
    """Seconds between looks at batches: from `first`, each `growth` times the one before, up to `longest`."""

    first: float = 5.0
    longest: float = 60.0
    growth: float = 1.5

    def pause(self, looks: int) -> float:
        """Return the seconds to wait after so many looks at which nothing had ended."""
        return min(self.longest, self.first * self.growth ** min(looks, 30))


POLLING = Polling()


class BatchJob:
    """Calls on their way to replies.

    A call is in the queue (to be handed in), under way, or left (over the budget); it leaves by its reply.
    """

    def __init__(
        self,
        service: Service,
        requests: Sequence[Request],
        *,
        stored: Mapping[str, Collection[str]],
        tell: Callable[[str], None],
    ) -> None:
        """Take calls on; `stored` holds, by batch, the keys whose replies from it are stored already."""
        self._service, self._server = service, BatchServer(service, tell)
        self._stored, self._tell = stored, tell
        self._wanted = {request.key: request for request in requests}
        self._queue: deque[list[Request]] = deque()
        self._under_way: list[UnderWay] = []
        self._full = False  # the provider takes no more before something has ended

    @property
    def under_way(self) -> bool:
        """Whether the provider has calls of ours."""
        return bool(self._under_way)

    @property
    def waiting(self) -> int:
        """Replies that the provider has made and that are not fetched yet."""
        return sum(work.answered for work in self._under_way)

    def replies(self) -> Iterator[Sequence[Reply]]:
        """Yield the replies of each batch when it has ended; an empty group when one has gone on.

        Raises:
            UserError: the server cannot be used, or refused a batch.
            StoppedEarlyError: some calls were left because of the budget.
            AbandonedError: the run was stopped.
        """
        left = self._plan(self._pick_up())
        looks = 0
        while self._queue or self._under_way:
            self._hand_in()
            before, ended = self.waiting, self._look()
            if self.waiting != before:
                yield ()
            for work in ended:
                yield from self._fetch(work)
            self._bury([work for work in ended if work.failed])
            if not ended:
                self._server.rest(POLLING.pause(looks))
            looks = 0 if ended else looks + 1
        if left:
            raise StoppedEarlyError("budget")

    def _pick_up(self) -> list[Request]:
        """Take charge of calls that an earlier run handed in; return the others.

        A call that several batches hold was asked again after the older ones, so the newest counts.
        """
        missing = set(self._wanted)
        for batch in self._server.batches():
            stored = self._stored.get(batch.id, ())
            total = batch.request_counts.total if batch.request_counts else 0
            if batch.status == "failed" or 0 < total <= len(stored):
                continue
            asked = self._server.asked(batch)
            calls = {key: asked[key] for key in self._wanted if key in asked and key in missing and key not in stored}
            if calls:
                missing -= calls.keys()
                self._begun(batch, calls, "picked up")
            if not missing:
                break
        for work in self._under_way:
            for key in work.calls:
                self._service.budget.reserve(self._wanted[key])
        return [request for key, request in self._wanted.items() if key in missing]

    def _begun(self, batch: Batch, calls: dict[str, Asked], how: str) -> None:
        self._under_way.append(UnderWay(batch, calls))
        self._tell(f"batch {batch.id}: {len(calls)} calls {how}, {batch.status}")

    def _plan(self, requests: Sequence[Request]) -> int:
        """Put into the queue what the budget allows; return how many it does not."""
        fitting = []
        for request in requests:
            if self._service.budget.fits(request):
                self._service.budget.reserve(request)
                fitting.append(request)
        self._enqueue(fitting)
        if left := len(requests) - len(fitting):
            self._tell(f"the budget takes {len(fitting)} of {len(requests)} calls, at the most that they can cost")
        return left

    def _enqueue(self, requests: Sequence[Request]) -> None:
        self._queue.extend(split(requests, lambda request: len(self._line(request)), LIMITS))

    def _line(self, request: Request) -> bytes:
        return line(request.key, self._service.body(request, self._service.formats.mode))

    def _hand_in(self) -> None:
        while self._queue and not self._full:
            if self._service.pace.ended:
                raise AbandonedError
            file = self._queue[0]
            asked = Asked(None, self._service.formats.mode)
            batch = self._server.hand_in(b"".join(map(self._line, file)), calls=len(file))
            self._queue.popleft()
            self._begun(batch, {request.key: asked for request in file}, "handed in")

    def _look(self) -> list[UnderWay]:
        """Look at each batch; return those that have ended."""
        for work in self._under_way:
            before, work.batch = work.batch.status, self._server.look(work.batch.id)
            if work.batch.status != before:
                self._tell(work.shown)
        return [work for work in self._under_way if work.ended]

    def _fetch(self, work: UnderWay) -> Iterator[Sequence[Reply]]:
        """Yield the replies of a batch that has ended; what it has no line for is a reply that says so."""
        if work.failed:
            return
        again: list[Request] = []
        lost = "the batch ended ({status}) without an answer to it"
        for file_id in (work.batch.output_file_id, work.batch.error_file_id):
            lines = self._server.rows(file_id)
            if lines is None:
                lost = f"the file {file_id} of its answers is gone from the server"
            for start in range(0, len(lines or ()), GROUP):
                group = [self._reply(work, row, again) for row in (lines or ())[start : start + GROUP]]
                yield [reply for reply in group if reply]
        refusal = Refusal(lost.format(status=work.batch.status))
        yield [self._settled(work, key, refusal) for key in list(work.calls)]
        self._under_way.remove(work)
        self._full = False
        self._enqueue(again)

    def _reply(self, work: UnderWay, row: Mapping[str, object], again: list[Request]) -> Reply | None:
        """Return the reply that a line is; a call whose format was refused goes into `again` instead."""
        key, answer = str(row.get("custom_id")), answer_of(row)
        if key not in work.calls:
            return None
        refused = isinstance(answer, Refusal) and answer.status_code is not None and kind_of(answer) == "format"
        if refused and self._service.formats.refused(work.calls[key].mode):
            del work.calls[key]
            again.append(self._wanted[key])
            return None
        return self._settled(work, key, answer)

    def _settled(self, work: UnderWay, key: str, answer: Answer | Refusal) -> Reply:
        asked, request = work.calls.pop(key), self._wanted[key]
        reply = self._service.reply(
            request,
            Answer("", "error", str(answer)) if isinstance(answer, Refusal) else answer,
            asked.mode,
            seconds=work.seconds_each,
            cost=0.0 if isinstance(answer, Refusal) else None,
            batch=work.batch.id,
        )
        self._service.budget.settle(request, reply.environment.get("cost_usd"))
        return replace(reply, messages=asked.messages)

    def _bury(self, failed: Sequence[UnderWay]) -> None:
        """Hand in again, in smaller parts or later, what was too much for the provider's queue.

        Raises:
            UserError: a batch failed for another reason; nothing of it was run.
        """
        for work in failed:
            self._under_way.remove(work)
        for work in failed:
            requests = [self._wanted[key] for key in work.calls]
            if not work.was_too_much or (len(requests) == 1 and not self._under_way):
                raise UserError(self._why_failed(work))
            half = len(requests) if self._under_way else (len(requests) + 1) // 2
            self._queue.extendleft(part for part in (requests[half:], requests[:half]) if part)
            self._full = bool(self._under_way)
            self._tell(f"batch {work.batch.id}: more than the provider's queue takes now; again in parts, or later")

    def _why_failed(self, work: UnderWay) -> str:
        others = ", ".join(other.batch.id for other in self._under_way)
        goes_on = f". Run the same command to pick up what goes on: {others}" if others else ""
        return (
            f"{self._service.identity.provider} refused batch {work.batch.id}: {work.why}. "
            f"Nothing of it was run or paid for{goes_on}"
        )
