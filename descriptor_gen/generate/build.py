"""The job: what is wanted, what is cached, what is missing; generate the missing, and commit batch by batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from db.claims import Claims
from db.progress import Progress
from db.records import Dataset, Generation, GenerationStatus, Written
from db.store import Store
from descriptor_gen.generate.calls import DEFAULTS, Call, Estimate, Options, again, estimate, parameters, plan
from descriptor_gen.llms import LLM, Deferred, Reply, StoppedEarlyError, StopReason
from descriptor_gen.prompting.prompt import Prompt
from descriptor_gen.prompting.reply import InvalidReplyError, texts_of

_CLAIMED = 64  # calls that one builder takes at a time; another one on the same database takes the next
_POLL_SECONDS = 1.0  # between looks at what another builder has finished

"""Called with (calls done, calls in all), cached ones included."""


@dataclass(frozen=True)
class Problem:
    """A call that gave no descriptors, and why."""

    action: str
    kind: str
    reason: str


@dataclass(frozen=True)
class BuildReport:
    """What a build did, in calls: each is one reply for one action, kind and sample.

    Attributes:
        retries: further calls made because a reply was invalid; their tokens count too.
        cost: of all answers, by their token counts, in USD; None where a price is not known.
        stopped: why calls were left, if any were.
        left: calls that were not made.
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
    problems: tuple[Problem, ...] = field(default=())
    cost: float | None = None
    stopped: StopReason | None = None
    left: int = 0


@dataclass
class _Tally:
    """What has come of the calls so far: the last generation of each, and the sums over all attempts."""

    calls: int
    cached: int = 0
    retries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    stopped: StopReason | None = None
    last: dict[str, tuple[Call, Generation]] = field(default_factory=dict)

    def add(self, call: Call, generation: Generation) -> None:
        self.retries += call.key in self.last
        self.tokens_in += generation.tokens_in or 0
        self.tokens_out += generation.tokens_out or 0
        cost = generation.environment.get("cost_usd")
        self.cost = None if cost is None or self.cost is None else self.cost + cost
        self.last[call.key] = (call, generation)

    @property
    def done(self) -> int:
        return self.cached + len(self.last)


def estimate_build(
    store: Store, dataset: Dataset, *, llm: LLM, prompts: Sequence[Prompt], options: Options = DEFAULTS
) -> Estimate:
    """Return what `build_descriptors` would do, without doing it."""
    calls = plan(llm, dataset, prompts, options)
    hits = {} if options.refresh else store.generations(call.key for call in calls)
    return estimate(llm, dataset, calls, [call for call in calls if call.key not in hits])


def build_descriptors(
    store: Store,
    dataset: Dataset,
    *,
    llm: LLM,
    prompts: Sequence[Prompt],
    options: Options = DEFAULTS,
    on_progress: Progress = lambda done, total: None,
) -> BuildReport:
    """Write the descriptors that a dataset lacks; running it again is the resume.

    Several builders may work on one database at a time: each call is claimed by one of them before it is made.

    Args:
        store: where replies are looked up, and each batch is committed.
        dataset: the actions to write about.
        llm: who writes; it is not loaded when every reply is cached.
        prompts: one for each kind.
        options: how many, how long, how often.
        on_progress: told after each batch.

    Raises:
        UserError: the model cannot be loaded or reached. What was committed before stays.
    """
    start = time.perf_counter()
    store.register(dataset)
    calls = plan(llm, dataset, prompts, options)
    tally = _Tally(len(calls))
    job = _Job(store, dataset, llm, options, tally)
    try:
        for _ in job.run(calls):
            waiting = llm.waiting if isinstance(llm, Deferred) else 0
            on_progress(min(tally.done + waiting, tally.calls), tally.calls)
    except StoppedEarlyError as stop:
        tally.stopped = stop.reason
    kinds = tuple(prompt.kind for prompt in prompts)
    return _report(dataset.name, llm.identity.model, kinds, tally, time.perf_counter() - start)


def _report(dataset: str, llm: str, kinds: tuple[str, ...], tally: _Tally, seconds: float) -> BuildReport:
    statuses = [generation.status for _, generation in tally.last.values()]
    return BuildReport(
        dataset=dataset,
        llm=llm,
        kinds=kinds,
        cached=tally.cached,
        generated=statuses.count("ok"),
        invalid=statuses.count("invalid"),
        failed=statuses.count("error"),
        retries=tally.retries,
        tokens_in=tally.tokens_in,
        tokens_out=tally.tokens_out,
        seconds=seconds,
        problems=tuple(
            Problem(call.action.name, call.prompt.kind, generation.error)
            for call, generation in tally.last.values()
            if generation.error
        ),
        cost=tally.cost,
        stopped=tally.stopped,
        left=tally.calls - tally.done if tally.stopped else 0,
    )


@dataclass(frozen=True)
class _Job:
    """One build at work."""

    store: Store
    dataset: Dataset
    llm: LLM
    options: Options
    tally: _Tally

    def run(self, calls: Sequence[Call]) -> Iterator[None]:
        """Do the calls; yield after each step that was committed."""
        missing = list(calls) if self.options.refresh else self._reuse(calls)
        yield
        if not missing:
            return
        with self.store.claims() as claims:
            while missing:
                mine, missing = self._take(claims, missing)
                yield from self._generate(mine)
                claims.release(call.key for call in mine)
                if missing and not mine:
                    time.sleep(_POLL_SECONDS)  # another builder has the rest
                yield

    def _take(self, claims: Claims, missing: Sequence[Call]) -> tuple[list[Call], list[Call]]:
        """Return the calls that are now this builder's, and those still missing besides.

        What another builder finished in the meantime is reused. A claim is granted only after its last holder
        stored the reply, so looking after claiming cannot overlook one.
        """
        at_most = self.llm.calls_at_a_time if isinstance(self.llm, Deferred) else _CLAIMED
        granted = claims.take([call.key for call in missing], at_most=at_most)
        left = list(missing) if self.options.refresh else self._reuse(missing)
        mine = [call for call in left if call.key in granted]
        claims.release(granted - {call.key for call in mine})
        return mine, [call for call in left if call.key not in granted]

    def _reuse(self, calls: Sequence[Call]) -> list[Call]:
        """Put descriptors of cached replies in use where they are not yet; return the calls that are not cached."""
        hits = self.store.generations(call.key for call in calls)
        for prompt, of_prompt in _by_prompt([call for call in calls if call.key in hits]):
            in_use = self.store.current(self.dataset, prompt.kind)
            new = [call for call in of_prompt if hits[call.key].id not in in_use.get(call.action.name, ())]
            read = {call.key: _texts_of_hit(call, hits[call.key]) for call in new}
            written = [Written(call.action.name, hits[call.key], texts) for call in new if (texts := read[call.key])]
            if written:
                self.store.save(self.dataset, self.llm.identity, prompt.template, written)
            hits = {key: hit for key, hit in hits.items() if read.get(key, True)}
        self.tally.cached += len(hits)
        return [call for call in calls if call.key not in hits]

    def _generate(self, calls: Sequence[Call]) -> Iterator[None]:
        """Make calls until each has a valid reply or no attempt left; commit and yield group by group."""
        for attempt in range(1, self.options.attempts + 1):
            bad: list[Call] = []
            by_request = {id(call.request): call for call in calls}
            if isinstance(self.llm, Deferred):
                self.llm.recall(self.store.batches())
            for replies in self.llm.generate([call.request for call in calls]) if calls else ():
                outcomes = [(by_request[id(reply.request)], reply) for reply in replies]
                bad += self._commit(outcomes, last=attempt == self.options.attempts)
                yield
            calls = bad

    def _commit(self, outcomes: Sequence[tuple[Call, Reply]], *, last: bool) -> list[Call]:
        """Store a group of replies; return the calls to make again for those that were invalid."""
        checked = {call.key: _checked(self.llm, call, reply) for call, reply in outcomes}
        for prompt, of_prompt in _by_prompt([call for call, _ in outcomes]):
            written = [Written(call.action.name, *checked[call.key]) for call in of_prompt]
            self.store.save(self.dataset, self.llm.identity, prompt.template, written)
        for call, _ in outcomes:
            self.tally.add(call, checked[call.key][0])
        return [
            again(call, reply.text, checked[call.key][0].error or "")
            for call, reply in outcomes
            if checked[call.key][0].status == "invalid" and not last
        ]


def _texts_of_hit(call: Call, hit: Generation) -> tuple[str, ...]:
    """Return the texts of a stored reply; none where it was good by the rules of an earlier version only."""
    try:
        return texts_of(hit.reply, call.request.output_schema)
    except InvalidReplyError:
        return ()


def _by_prompt(calls: Sequence[Call]) -> list[tuple[Prompt, list[Call]]]:
    groups: dict[str, tuple[Prompt, list[Call]]] = {}
    for call in calls:
        groups.setdefault(call.prompt.template.sha256, (call.prompt, []))[1].append(call)
    return list(groups.values())


def _checked(llm: LLM, call: Call, reply: Reply) -> tuple[Generation, tuple[str, ...]]:
    texts, error = _read(call.request.output_schema, reply)
    status: GenerationStatus = "error" if reply.error else "invalid" if error else "ok"
    return Generation(
        cache_key=call.key,
        sample=call.request.sample,
        parameters=parameters(llm, call.request),
        environment={**llm.environment, **reply.environment},
        messages=reply.messages or call.request.messages,
        output_schema=call.request.output_schema,
        reply=reply.text,
        finish_reason=reply.finish_reason,
        status=status,
        error=error,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        seconds=reply.seconds,
    ), texts


def _read(output_schema: Mapping[str, object], reply: Reply) -> tuple[tuple[str, ...], str | None]:
    """Return the texts of a reply, or why there are none."""
    if reply.error:
        return (), reply.error
    try:
        return texts_of(reply.text, output_schema), None
    except InvalidReplyError as problem:
        cut_off = f"cut off after {reply.tokens_out} tokens, so it must be shorter"
        return (), cut_off if reply.finish_reason == "length" else str(problem)
