"""Plan the calls of a build: one for each action, kind and sample, with the key under which its reply is cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from db.records import Action, Dataset
from descriptor_gen.llms import LLM, Message, Priced, Request
from descriptor_gen.prompting.prompt import NO_RIVALS, Prompt

KEY_VERSION = 1
_CHARACTERS_PER_TOKEN = 4  # of English text, roughly; for estimates without a tokenizer


@dataclass(frozen=True)
class BuildOptions:
    """Which calls a build makes, and how.

    Attributes:
        actions: names; empty is all.
        limit: only the first actions, in label order.
        samples: independent replies for each action and kind.
        max_tokens: where replies are cut off; None is the template's limit.
        attempts: calls for one reply, including the first; a further call includes what was wrong.
        refresh: ignore the cache; the old replies stay as history.
        language: of the texts; empty: English, in plain lower-case words.
        rivals: by action name, the phrases of the actions it is compared with; for prompts that compare.
    """

    actions: tuple[str, ...] = ()
    limit: int | None = None
    samples: int = 1
    max_tokens: int | None = None
    attempts: int = 3
    refresh: bool = False
    language: str = ""
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


DEFAULTS = BuildOptions()


@dataclass(frozen=True)
class Call:
    """A reply that is needed, and the request for it: the first one, or one that says what was wrong before."""

    action: Action
    prompt: Prompt
    request: Request
    key: str


@dataclass(frozen=True)
class Estimate:
    """What a build would do. Token counts are estimated from the length of the texts, within some tens of percent.

    `cost` is in USD; None if the model costs nothing, or its prices are unknown.
    """

    dataset: str
    llm: str
    cached: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None = None


def plan(llm: LLM, dataset: Dataset, prompts: Sequence[Prompt], options: BuildOptions) -> list[Call]:
    """Return the calls of a build by prompt, sample and label, so that consecutive calls share their examples."""
    actions = [action for action in dataset.actions if not options.actions or action.name in options.actions]
    calls = []
    for prompt in prompts:
        asked = actions[: options.limit]
        rivals = options.rivals if prompt.compares else NO_RIVALS
        requests = prompt.requests(asked, dataset=dataset.stored_as, rivals=rivals, language=options.language)
        for sample, (action, request) in product(range(options.samples), zip(asked, requests, strict=True)):
            limited = replace(request, sample=sample, max_tokens=options.max_tokens or request.max_tokens)
            key = cache_key(llm, limited)
            calls.append(Call(action, prompt, replace(limited, key=key), key))
    return calls


def cache_key(llm: LLM, request: Request) -> str:
    """Return the sha256 (hex) of everything that determines a reply, as canonical JSON."""
    parts = {
        "version": KEY_VERSION,
        "provider": llm.identity.provider,
        "model": llm.identity.model,
        "revision": llm.identity.revision,
        "messages": request.messages,
        "output_schema": request.output_schema,
        "parameters": parameters(llm, request),
        "sample": request.sample,
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def parameters(llm: LLM, request: Request) -> dict[str, Any]:
    """Return all decoding parameters of a request."""
    return {**llm.parameters, "max_tokens": request.max_tokens}


def estimate(llm: LLM, dataset: Dataset, *, cached: int, misses: Sequence[Call]) -> Estimate:
    """Return the calls, tokens and cost of the misses, assuming replies as long as the examples."""
    prices = llm.prices if isinstance(llm, Priced) else None
    tokens_in = sum(_tokens(*(message["content"] for message in call.request.messages)) for call in misses)
    tokens_out = sum(_reply_tokens(call.prompt) for call in misses)
    return Estimate(
        dataset=dataset.name,
        llm=llm.identity.model,
        cached=cached,
        calls=len(misses),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=prices.cost(tokens_in, tokens_out) if prices else None,
    )


def _tokens(*texts: str) -> int:
    return sum(len(text) // _CHARACTERS_PER_TOKEN + 4 for text in texts)  # 4: the separators of a message


def _reply_tokens(prompt: Prompt) -> int:
    lengths = [_tokens(json.dumps(reply)) for _, reply, _ in prompt.examples]
    return sum(lengths) // len(lengths) if lengths else prompt.max_tokens


def next_attempt(call: Call, reply: str, reason: str, *, more_tokens: int = 0) -> Call:
    """Return the call after an invalid reply: the same conversation, the reply, and what is wrong with it.

    After a reply that was cut off, `more_tokens` are allowed.
    """
    correction = (
        f"That reply cannot be used: {reason}. Reply again, with JSON of the same form as before and nothing else."
    )
    turns: tuple[Message, ...] = (
        {"role": "assistant", "content": reply or "{}"},
        {"role": "user", "content": correction},
    )
    messages, limit = (*call.request.messages, *turns), call.request.max_tokens + more_tokens
    return replace(call, request=replace(call.request, messages=messages, max_tokens=limit))
