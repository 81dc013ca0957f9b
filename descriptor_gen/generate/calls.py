"""What a build wants: one call for each action, kind and sample, under the key that its reply is cached by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from db.records import Action, Dataset
from descriptor_gen.llms import LLM, Message, Priced, Request
from descriptor_gen.prompting.prompt import Prompt

KEY_VERSION = 1
_CHARACTERS_PER_TOKEN = 4  # of English text, roughly; for estimates before a tokenizer is there


@dataclass(frozen=True)
class Options:
    """How a build goes about it.

    Attributes:
        actions: only those of these names; all when empty.
        limit: only the first actions, in label order.
        samples: independent replies for each action and kind.
        max_tokens: cut replies off here instead of where the template says.
        attempts: calls for one reply, the first included; an invalid reply is told what is wrong with it.
        refresh: write anew what is cached; the old replies stay as history.
        rivals: by action name, the phrases of the actions it is compared with; for prompts that compare.
    """

    actions: tuple[str, ...] = ()
    limit: int | None = None
    samples: int = 1
    max_tokens: int | None = None
    attempts: int = 3
    refresh: bool = False
    rivals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


DEFAULTS = Options()


@dataclass(frozen=True)
class Call:
    """One reply that is wanted, and the request that asks for it (the first, or one that says what was wrong)."""

    action: Action
    prompt: Prompt
    request: Request
    key: str


@dataclass(frozen=True)
class Estimate:
    """What a build would do; tokens are estimated from the length of the texts, within some tens of percent.

    `cost` is in USD, at those tokens; None where the model costs nothing, or its prices are not known.
    """

    dataset: str
    llm: str
    cached: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None = None


def plan(llm: LLM, dataset: Dataset, prompts: Sequence[Prompt], options: Options) -> list[Call]:
    """Return the calls of a build: by prompt, by sample, and by label, so that neighbours share their examples."""
    actions = [action for action in dataset.actions if not options.actions or action.name in options.actions]
    return [
        _call(llm, dataset, prompt, action, sample, options)
        for prompt in prompts
        for sample in range(options.samples)
        for action in actions[: options.limit]
    ]


def _call(llm: LLM, dataset: Dataset, prompt: Prompt, action: Action, sample: int, options: Options) -> Call:
    rivals = options.rivals.get(action.name, ()) if prompt.compares else ()
    request = replace(prompt.request(action, dataset=dataset.stored_as, rivals=rivals), sample=sample)
    request = replace(request, max_tokens=options.max_tokens or request.max_tokens)
    key = cache_key(llm, request)
    return Call(action, prompt, replace(request, key=key), key)


def cache_key(llm: LLM, request: Request) -> str:
    """Return the sha256 (hex) of canonical JSON of everything that determines a reply."""
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


def estimate(llm: LLM, dataset: Dataset, calls: Sequence[Call], misses: Sequence[Call]) -> Estimate:
    """Return what generating the misses would take, if every reply were as long as the examples."""
    prices = llm.prices if isinstance(llm, Priced) else None
    tokens_in = sum(_tokens(*(message["content"] for message in call.request.messages)) for call in misses)
    tokens_out = sum(_reply_tokens(call.prompt) for call in misses)
    return Estimate(
        dataset=dataset.name,
        llm=llm.identity.model,
        cached=len(calls) - len(misses),
        calls=len(misses),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=prices.cost(tokens_in, tokens_out) if prices else None,
    )


def _tokens(*texts: str) -> int:
    return sum(len(text) // _CHARACTERS_PER_TOKEN + 4 for text in texts)  # 4: the markers around a message


def _reply_tokens(prompt: Prompt) -> int:
    lengths = [_tokens(json.dumps(reply)) for _, reply, _ in prompt.examples]
    return sum(lengths) // len(lengths) if lengths else prompt.max_tokens


def again(call: Call, reply: str, reason: str) -> Call:
    """Return the call that follows an invalid reply: the same conversation, the reply, and what is wrong with it."""
    complaint = (
        f"That reply cannot be used: {reason}. Reply again, with JSON of the same form as before and nothing else."
    )
    said: Message = {"role": "assistant", "content": reply or "{}"}
    told: Message = {"role": "user", "content": complaint}
    return replace(call, request=replace(call.request, messages=(*call.request.messages, said, told)))
