"""The job: what is wanted, what is cached, what is missing; generate the missing, and commit batch by batch."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from db.records import Action, Dataset, Generation, GenerationStatus, Written
from db.store import Store
from descriptor_gen.llms import LLM, Reply, Request
from descriptor_gen.prompt import Prompt
from descriptor_gen.reply import InvalidReplyError, texts_of

KEY_VERSION = 1


@dataclass(frozen=True)
class Problem:
    """A call that gave no descriptors, and why."""

    action: str
    kind: str
    reason: str


@dataclass(frozen=True)
class BuildReport:
    """What a build did, in calls: each is one action and one kind."""

    dataset: str
    llm: str
    kinds: tuple[str, ...]
    cached: int
    generated: int
    invalid: int
    failed: int
    tokens_in: int
    tokens_out: int
    seconds: float
    problems: tuple[Problem, ...] = field(default=())


@dataclass(frozen=True)
class _Call:
    action: Action
    prompt: Prompt
    request: Request
    key: str


Progress = Callable[[int, int], None]
"""Called with (calls done, calls in all), cached ones included."""


def cache_key(llm: LLM, request: Request) -> str:
    """Return the sha256 (hex) of canonical JSON of everything that determines a reply."""
    parts = {
        "version": KEY_VERSION,
        "provider": llm.identity.provider,
        "model": llm.identity.model,
        "revision": llm.identity.revision,
        "messages": request.messages,
        "output_schema": request.output_schema,
        "parameters": _parameters(llm, request),
        "sample": request.sample,
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _parameters(llm: LLM, request: Request) -> dict[str, Any]:
    return {**llm.parameters, "max_tokens": request.max_tokens}


def build_descriptors(
    store: Store,
    dataset: Dataset,
    *,
    llm: LLM,
    prompts: Sequence[Prompt],
    limit: int | None = None,
    on_progress: Progress = lambda done, total: None,
) -> BuildReport:
    """Write the descriptors that a dataset lacks; running it again is the resume.

    Args:
        store: where replies are looked up, and each batch is committed.
        dataset: the actions to write about.
        llm: who writes; it is not loaded when every reply is cached.
        prompts: one for each kind.
        limit: only the first actions, in label order.
        on_progress: told after each batch.

    Raises:
        UserError: the model cannot be loaded or reached. What was committed before stays.
    """
    start = time.perf_counter()
    store.register(dataset)
    calls = [_call(llm, prompt, action, dataset) for prompt in prompts for action in dataset.actions[:limit]]
    hits = store.generations(call.key for call in calls)
    _reuse(store, dataset, llm, [call for call in calls if call.key in hits], hits)
    misses = [call for call in calls if call.key not in hits]
    cached = len(calls) - len(misses)
    on_progress(cached, len(calls))
    done: list[tuple[_Call, Generation]] = []
    for batch in _generate(store, dataset, llm, misses):
        done += batch
        on_progress(cached + len(done), len(calls))
    kinds = tuple(prompt.kind for prompt in prompts)
    return _report(dataset.name, llm.identity.model, kinds, cached, done, time.perf_counter() - start)


def _report(
    dataset: str, llm: str, kinds: tuple[str, ...], cached: int, done: list[tuple[_Call, Generation]], seconds: float
) -> BuildReport:
    outcomes = Counter(generation.status for _, generation in done)
    return BuildReport(
        dataset=dataset,
        llm=llm,
        kinds=kinds,
        cached=cached,
        generated=outcomes["ok"],
        invalid=outcomes["invalid"],
        failed=outcomes["error"],
        tokens_in=sum(generation.tokens_in or 0 for _, generation in done),
        tokens_out=sum(generation.tokens_out or 0 for _, generation in done),
        seconds=seconds,
        problems=tuple(
            Problem(call.action.name, call.prompt.kind, generation.error)
            for call, generation in done
            if generation.error
        ),
    )


def _call(llm: LLM, prompt: Prompt, action: Action, dataset: Dataset) -> _Call:
    request = prompt.request(action, dataset=dataset.stored_as)
    return _Call(action, prompt, request, cache_key(llm, request))


def _reuse(store: Store, dataset: Dataset, llm: LLM, calls: Sequence[_Call], hits: dict[str, Generation]) -> None:
    """Put descriptors of cached replies in use where they are not: another dataset's, or those of an older prompt."""
    for prompt in dict.fromkeys(call.prompt.template for call in calls):
        in_use = store.current(dataset, prompt.kind)
        written = [
            Written(call.action.name, hits[call.key], texts_of(hits[call.key].reply, call.request.output_schema))
            for call in calls
            if call.prompt.template == prompt and hits[call.key].id not in in_use.get(call.action.name, ())
        ]
        if written:
            store.save(dataset, llm.identity, prompt, written)


def _generate(
    store: Store, dataset: Dataset, llm: LLM, calls: Sequence[_Call]
) -> Iterable[list[tuple[_Call, Generation]]]:
    """Yield what was generated after it was committed, batch by batch."""
    by_request = {id(call.request): call for call in calls}
    for replies in llm.generate([call.request for call in calls]) if calls else ():
        batch = [(call := by_request[id(reply.request)], *_checked(llm, call, reply)) for reply in replies]
        for prompt in dict.fromkeys(call.prompt.template for call, _, _ in batch):
            written = [
                Written(call.action.name, generation, texts)
                for call, generation, texts in batch
                if call.prompt.template == prompt
            ]
            store.save(dataset, llm.identity, prompt, written)
        yield [(call, generation) for call, generation, _ in batch]


def _checked(llm: LLM, call: _Call, reply: Reply) -> tuple[Generation, tuple[str, ...]]:
    texts: tuple[str, ...] = ()
    error = reply.error
    if error is None:
        try:
            texts = texts_of(reply.text, call.request.output_schema)
        except InvalidReplyError as problem:
            error = f"cut off after {reply.tokens_out} tokens" if reply.finish_reason == "length" else str(problem)
    status: GenerationStatus = "error" if reply.error else "invalid" if error else "ok"
    return Generation(
        cache_key=call.key,
        sample=call.request.sample,
        parameters=_parameters(llm, call.request),
        environment=llm.environment,
        messages=call.request.messages,
        output_schema=call.request.output_schema,
        reply=reply.text,
        finish_reason=reply.finish_reason,
        status=status,
        error=error,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        seconds=reply.seconds,
    ), texts
