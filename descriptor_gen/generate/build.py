"""Build descriptors: plan the calls, reuse cached replies, make the missing calls, and commit batch by batch."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from db.claims import Claims
from db.errors import UserError
from db.progress import Progress
from db.records import STATUSES, Dataset, GeneratedTexts, Generation, GenerationStatus, Rephrased
from db.storable import storable
from db.store import Store
from descriptor_gen.generate.calls import (
    DEFAULTS,
    BuildOptions,
    Call,
    Estimate,
    estimate,
    next_attempt,
    parameters,
    plan,
)
from descriptor_gen.llms import (
    LLM,
    Answered,
    Checked,
    Deferred,
    Guarded,
    ParameterRefusedError,
    Reply,
    Request,
    StoppedEarlyError,
    StopReason,
)
from descriptor_gen.llms.reply_json import InvalidReplyError
from descriptor_gen.prompting.prompt import Prompt
from descriptor_gen.prompting.reply import ParsedReply, parse_reply

_CLAIMED = 64  # calls that one builder claims at a time; another builder on the same database claims the next ones
_THOUGHTS = 4096  # more tokens after a reply that was cut off because of its thoughts; after any other, twice as many
_POLL_SECONDS = 1.0  # between checks for replies of another builder


@dataclass(frozen=True)
class Problem:
    """A call that gave no descriptors, and why."""

    action: str
    kind: str
    reason: str


@dataclass(frozen=True)
class BuildReport:
    """The result of a build, counted in calls: one reply for one action, kind and sample.

    Attributes:
        retries: further calls after invalid replies; their tokens count too.
        cost: of all replies, in USD by their token counts; None if a price is unknown.
        stopped: why calls were not made; None if all were made.
        left: number of calls that were not made.
        least_budget: in USD, the smallest budget that allows one of those that the budget stopped; else 0.
        not_sent: parameters that the server refused: they are not in the cache keys either.
        rephrased: classes whose phrase was changed, with the texts of the old phrase that are still in use.
    """

    dataset: str
    llm: str
    kinds: tuple[str, ...]
    cached: int
    generated: int
    invalid: int
    failed: int
    retries: int
    tokens_in: int
    tokens_out: int
    seconds: float
    problems: tuple[Problem, ...] = ()
    cost: float | None = None
    stopped: StopReason | None = None
    left: int = 0
    least_budget: float = 0.0
    not_sent: tuple[str, ...] = ()
    rephrased: tuple[Rephrased, ...] = ()


def estimate_build(
    store: Store, dataset: Dataset, *, llm: LLM, prompts: Sequence[Prompt], options: BuildOptions = DEFAULTS
) -> Estimate:
    """Return what `build_descriptors` would do, without doing it."""
    calls, missing = missing_calls(store, dataset, llm=llm, prompts=prompts, options=options)
    return estimate(llm, dataset, cached=len(calls) - len(missing), misses=missing)


def missing_calls(
    store: Store, dataset: Dataset, *, llm: LLM, prompts: Sequence[Prompt], options: BuildOptions = DEFAULTS
) -> tuple[list[Call], list[Call]]:
    """Return all calls of a build, and those without a cached reply; with `refresh`, all again."""
    calls = plan(llm, dataset, prompts, options)
    hits = {} if options.refresh else store.generations(call.key for call in calls)
    return calls, [call for call in calls if call.key not in hits]


def build_descriptors(
    store: Store,
    dataset: Dataset,
    *,
    llm: LLM,
    prompts: Sequence[Prompt],
    options: BuildOptions = DEFAULTS,
    on_progress: Progress = lambda done, total: None,
) -> BuildReport:
    """Write the missing descriptors of a dataset; to resume, run it again.

    Several builders may work on one database at a time: each call is claimed by one of them before it is made.
    `llm` is not loaded if every reply is cached. `on_progress` is called after each batch with (calls done, all calls),
    cached ones included.

    Raises:
        UserError: the model cannot be loaded or reached. Earlier commits stay.
    """
    start = time.perf_counter()
    rephrased = store.register(dataset)
    ended = _make_calls(store, dataset, llm, prompts, options, on_progress)
    job, stopped = ended.job, ended.stopped
    statuses = [status for _, status, _ in job.outcomes.values()]
    return BuildReport(
        dataset=dataset.name,
        llm=llm.identity.model,
        kinds=tuple(prompt.kind for prompt in prompts),
        cached=job.cached,
        generated=statuses.count("ok"),
        invalid=statuses.count("invalid"),
        failed=statuses.count("error"),
        retries=job.retries,
        tokens_in=job.tokens_in,
        tokens_out=job.tokens_out,
        seconds=time.perf_counter() - start,
        problems=job.problems,
        cost=job.cost,
        stopped=stopped.reason if stopped else None,
        left=ended.calls - job.done if stopped else 0,
        least_budget=stopped.least_budget if stopped else 0.0,
        not_sent=ended.not_sent,
        rephrased=_still_in_use(store, dataset, rephrased),
    )


@dataclass(frozen=True)
class _Ended:
    """A build whose calls were made, or that stopped early.

    Attributes:
        calls: number of all calls, cached ones included.
        not_sent: parameters that the server refused.
        stopped: why calls are left; None if none is.
    """

    job: _Job
    calls: int
    not_sent: tuple[str, ...]
    stopped: StoppedEarlyError | None = None


def _make_calls(
    store: Store,
    dataset: Dataset,
    llm: LLM,
    prompts: Sequence[Prompt],
    options: BuildOptions,
    on_progress: Progress,
) -> _Ended:
    """Make the missing calls; plan again, with other cache keys, whenever the server refuses a parameter."""
    not_sent: list[str] = []
    while True:
        calls, job = plan(llm, dataset, prompts, options), _Job(store, dataset, llm, options)
        try:
            for _ in job.run(calls):
                waiting = llm.waiting if isinstance(llm, Deferred) else 0
                on_progress(min(job.done + waiting, len(calls)), len(calls))
        except ParameterRefusedError as refusal:
            not_sent.append(refusal.name)
        except StoppedEarlyError as stop:
            return _Ended(job, len(calls), tuple(not_sent), stop)
        else:
            return _Ended(job, len(calls), tuple(not_sent))


def _still_in_use(store: Store, dataset: Dataset, rephrased: Sequence[Rephrased]) -> tuple[Rephrased, ...]:
    """Return the changed phrases with those of their texts that no reply of this build has replaced."""
    in_use = {text.id for text in store.descriptors(dataset, statuses=STATUSES)} if rephrased else set()
    return tuple(replace(change, texts=tuple(text for text in change.texts if text in in_use)) for change in rephrased)


@dataclass
class _Job:
    """One build at work, with its sums over all attempts.

    Attributes:
        outcomes: by key, each call with the status and the error of its last reply; not the reply, for there may be
            millions.
        replaced: ids of cached replies that do not count: no longer valid, or older than a build with `refresh`.
    """

    store: Store
    dataset: Dataset
    llm: LLM
    options: BuildOptions
    cached: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    outcomes: dict[str, tuple[Call, GenerationStatus, str | None]] = field(default_factory=dict)
    replaced: set[int] = field(default_factory=set)

    @property
    def done(self) -> int:
        return self.cached + len(self.outcomes)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(call.action.name, call.prompt.kind, error) for call, _, error in self.outcomes.values() if error
        )

    def run(self, calls: Sequence[Call]) -> Iterator[None]:
        """Do the calls; yield after each commit."""
        own = self._files()
        if self.options.refresh:
            hits = self.store.generations(call.key for call in calls).values()
            self.replaced |= {hit.id for hit in hits if hit.id and hit.environment.get("batch") not in own}
        missing = self._reuse(calls)
        if missing and isinstance(self.llm, Checked):
            self.llm.check()
        yield
        if not missing:
            return
        with self.store.claims() as claims:
            guard = _Guard(self.store, claims, self.replaced)
            while missing:
                mine, missing = self._take(claims, missing)
                yield from self._generate(mine, guard)
                claims.release(call.key for call in mine)
                if missing and not mine:
                    time.sleep(_POLL_SECONDS)  # another builder is making the missing calls
                missing += self._without(mine, guard.taken_over)
                yield

    def _files(self) -> Collection[str]:
        """Return the files whose answers are to be stored: one that is stored already is new enough for `refresh`."""
        if not isinstance(self.llm, Answered):
            return ()
        self.llm.is_valid = lambda reply: _judged(reply)[0] is not None
        return self.llm.batches()

    def _without(self, calls: Sequence[Call], taken_over: set[str]) -> list[Call]:
        """Return the calls that another builder took over: its reply is awaited, or they are claimed again."""
        again = [call for call in calls if call.key in taken_over]
        for call in again:
            self.outcomes.pop(call.key, None)
        taken_over.clear()
        return again

    def _take(self, claims: Claims, missing: Sequence[Call]) -> tuple[list[Call], list[Call]]:
        """Return the calls claimed by this builder, and the other missing ones.

        Replies of other builders are reused. A claim is granted only after its last holder stored the reply, so a
        look-up after the claim sees every reply.
        """
        at_most = self.llm.calls_at_a_time if isinstance(self.llm, Deferred) else _CLAIMED
        granted = claims.take([call.key for call in missing], at_most=at_most)
        uncached = self._reuse(missing)
        mine = [call for call in uncached if call.key in granted]
        claims.release(granted - {call.key for call in mine})
        return mine, [call for call in uncached if call.key not in granted]

    def _reuse(self, calls: Sequence[Call]) -> list[Call]:
        """Put the descriptors of cached replies in use; return the calls without a valid cached reply.

        A reply that is no longer valid by the rules of this version counts as missing.
        """
        stored = self.store.generations(call.key for call in calls)
        hits = {key: hit for key, hit in stored.items() if hit.id not in self.replaced}
        invalid = set()
        for prompt, prompt_calls in _by_prompt([call for call in calls if call.key in hits]):
            in_use = self.store.generations_in_use(self.dataset, prompt.kind)
            written = []
            for call in prompt_calls:
                if hits[call.key].id in in_use.get(call.action.name, ()):
                    continue
                parsed, _ = _read(call.request, hits[call.key].reply)
                if parsed:
                    written.append(GeneratedTexts(call.action.name, hits[call.key], parsed.texts))
                else:
                    invalid.add(call.key)
            if written:
                self.store.save(self.dataset, self.llm.identity, prompt.template, written)
        self.replaced |= {generation_id for key in invalid if (generation_id := hits[key].id)}
        valid = hits.keys() - invalid
        self.cached += len(valid)
        return [call for call in calls if call.key not in valid]

    def _generate(self, calls: Sequence[Call], guard: _Guard) -> Iterator[None]:
        """Make calls until each has a valid reply or no attempt is left; commit and yield group by group."""
        for attempt in range(1, self.options.attempts + 1):
            invalid: list[Call] = []
            by_request = {id(call.request): call for call in calls}
            if isinstance(self.llm, Deferred):
                self.llm.exclude_stored(self.store.batches())
            for replies in _replies(self.llm, [call.request for call in calls], guard) if calls else ():
                invalid += self._commit([(by_request[id(reply.request)], reply) for reply in replies])
                yield
            calls = invalid if attempt < self.options.attempts else []

    def _commit(self, outcomes: Sequence[tuple[Call, Reply]]) -> list[Call]:
        """Store a group of replies; return the next attempts at the invalid ones."""
        checked = {call.key: _checked(self.llm, call, reply) for call, reply in outcomes}
        late: set[str] = set()
        for prompt, prompt_calls in _by_prompt([call for call, reply in outcomes if not reply.is_stored]):
            written = [GeneratedTexts(call.action.name, *checked[call.key]) for call in prompt_calls]
            late |= self.store.save(self.dataset, self.llm.identity, prompt.template, written, known=self.replaced)
        retries = []
        for call, reply in outcomes:
            generation, _ = checked[call.key]
            if reply.is_stored:
                self.outcomes[call.key] = (call, generation.status, generation.error)
            else:
                self._add(call, generation, is_late=call.key in late)
            if generation.status == "invalid":
                cut = reply.finish_reason == "length" and self.options.max_tokens is None
                room = (_THOUGHTS if reply.environment.get("thinks") else call.request.max_tokens) if cut else 0
                retries.append(next_attempt(call, generation.reply, generation.error or "", more_tokens=room))
        return retries

    def _add(self, call: Call, generation: Generation, *, is_late: bool) -> None:
        self.retries += call.key in self.outcomes
        self.tokens_in += generation.tokens_in or 0
        self.tokens_out += generation.tokens_out or 0
        cost = generation.environment.get("cost_usd")
        self.cost = None if cost is None or self.cost is None else self.cost + cost
        if is_late:  # the reply of another builder is in use
            self.cached += 1
            self.outcomes.pop(call.key, None)
        else:
            self.outcomes[call.key] = (call, generation.status, generation.error)


class _Guard:
    """Decides right before each call whether it is still this builder's to make.

    It is not if the claim was lost while this program stood still, or if a reply was stored meanwhile.
    """

    def __init__(self, store: Store, claims: Claims, replaced: Collection[int]) -> None:
        self.taken_over: set[str] = set()
        self._store, self._claims, self._replaced = store, claims, replaced
        self._lock = threading.Lock()  # an API model asks from the thread of each call

    def still_mine(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Return the requests whose calls are still to be made; the keys of the others go to `taken_over`."""
        if not requests:
            return ()
        keys = [request.key for request in requests]
        self._store.refuse_full_disk()  # before the call: a reply that cannot be stored would be paid for again
        with self._lock:
            held = self._claims.renew(keys)
            stored = {key for key, hit in self._store.generations(keys).items() if hit.id not in self._replaced}
            self.taken_over |= set(keys) - (held - stored)
        return [request for request in requests if request.key in held - stored]


def _replies(llm: LLM, requests: Sequence[Request], guard: _Guard) -> Iterator[Sequence[Reply]]:
    """Yield the replies of an LLM group by group, to requests that the guard allows right before they are made."""
    if isinstance(llm, Guarded):
        llm.still_mine = guard.still_mine
        yield from llm.generate(requests)
        return
    waiting = list(guard.still_mine(requests))
    while waiting:
        for replies in llm.generate(waiting):
            answered = _answered(llm, waiting, replies)
            waiting = [request for request in waiting if id(request) not in answered]
            yield replies
            allowed = guard.still_mine(waiting)
            if len(allowed) < len(waiting):
                waiting = list(allowed)
                break  # ask again, without those that another builder took over
        else:
            _refuse_unanswered(llm, waiting, of=len(requests))
            return


def _answered(llm: LLM, requests: Sequence[Request], replies: Sequence[Reply] | Reply) -> set[int]:
    """Return the ids of the objects that a group of replies answers.

    Raises:
        UserError: it is no group, or answers what was not asked.
    """
    if isinstance(replies, Reply):
        raise UserError(f"The LLM {llm.identity.model} yields a Reply: it must yield groups of them, such as [reply]")
    answered = {id(reply.request) for reply in replies}
    if answered - {id(request) for request in requests}:
        raise UserError(
            f"The LLM {llm.identity.model} replies to a request that was not made, or answered before: the request of "
            "a Reply is one of those given to generate, the object itself"
        )
    return answered


def _refuse_unanswered(llm: LLM, requests: Sequence[Request], *, of: int) -> None:
    if requests:
        raise UserError(
            f"The LLM {llm.identity.model} ended without a reply to {len(requests)} of {of} requests. A call that "
            "failed needs a Reply too, with the error"
        )


def _by_prompt(calls: Sequence[Call]) -> list[tuple[Prompt, list[Call]]]:
    groups: dict[str, tuple[Prompt, list[Call]]] = {}
    for call in calls:
        groups.setdefault(call.prompt.template.sha256, (call.prompt, []))[1].append(call)
    return list(groups.values())


def _checked(llm: LLM, call: Call, reply: Reply) -> tuple[Generation, tuple[str, ...]]:
    parsed, error = _judged(reply)
    status: GenerationStatus = "error" if reply.error else "ok" if parsed else "invalid"
    read_as = {"read_as": parsed.read_as} if parsed else {}
    return Generation(
        cache_key=call.key,
        sample=call.request.sample,
        parameters=parameters(llm, call.request),
        environment=storable({**llm.environment, **reply.environment, **read_as}),
        messages=reply.messages or call.request.messages,
        output_schema=call.request.output_schema,
        reply=storable(reply.text),
        finish_reason=reply.finish_reason,
        status=status,
        error=error,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        seconds=reply.seconds,
    ), parsed.texts if parsed else ()


def _judged(reply: Reply) -> tuple[ParsedReply | None, str | None]:
    """Return the texts of a reply, or why it has none."""
    if reply.error:
        return None, storable(reply.error)
    if reply.finish_reason == "length":  # what is whole in a reply that was cut off may be a draft
        tokens = "" if reply.tokens_out is None else f" after {reply.tokens_out} tokens"
        return None, f"cut off{tokens}, so it must be shorter"
    return _read(reply.request, storable(reply.text))


def _read(request: Request, reply: str) -> tuple[ParsedReply | None, str | None]:
    """Return the texts of a reply, or why it is invalid."""
    try:
        return parse_reply(reply, request.output_schema), None
    except InvalidReplyError as problem:
        return None, storable(str(problem))
