"""A lock: what determines the texts of a build, and the sha256 of the texts of each call, to build them again.

A build by a lock asks the same model the same questions, and ends in the same texts or says what differs.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from db import strict_json
from db.errors import UserError, first_few
from db.given_files import read_text
from db.records import Dataset, LLMIdentity, PortableDescriptor
from db.store import Store
from db.texts import escaped
from descriptor_gen.exchange.documents import ShapeError, checked
from descriptor_gen.generate.calls import Call
from descriptor_gen.llms import LLM
from descriptor_gen.llms.reply_json import InvalidReplyError
from descriptor_gen.prompting.prompt import Prompt
from descriptor_gen.prompting.reply import parse_reply

FORMAT = "descgen lock, version 1"
_DIGITS = 12  # of a sha256, in messages


@dataclass(frozen=True)
class LockedTemplate:
    """A prompt template by its version and digest."""

    kind: str
    version: int
    sha256: str


@dataclass(frozen=True)
class LockedCall:
    """A call, and the digest of the texts of its reply: the descriptor set of a class, kind and sample."""

    action: str
    kind: str
    sample: int
    cache_key: str
    texts_sha256: str

    @property
    def name(self) -> str:
        """What a message calls it."""
        return f"{self.kind} of {self.action}" + (f" (sample {self.sample})" if self.sample else "")


@dataclass(frozen=True)
class Lock:
    """Everything that determines the texts of a build.

    Attributes:
        format: `FORMAT`.
        dataset: its name.
        options: of `descgen build`, by parameter, so that it need not be told them again.
        classes: name -> phrase.
        llm: the model with its revision.
        parameters: of its decoding.
        templates: one for each kind.
        calls: in the order of the build.
    """

    format: str
    dataset: str
    options: dict[str, Any]
    classes: dict[str, str]
    llm: LLMIdentity
    parameters: dict[str, Any]
    templates: tuple[LockedTemplate, ...]
    calls: tuple[LockedCall, ...]


def plan_lock(
    dataset: Dataset,
    llm: LLM,
    prompts: Sequence[Prompt],
    calls: Sequence[Call],
    *,
    options: Mapping[str, Any],
    texts: Mapping[str, str],
) -> Lock:
    """Return the lock of planned calls; `texts` is the digest of each one's texts by its key, if it has any."""
    asked = {call.action.name for call in calls}
    return Lock(
        format=FORMAT,
        dataset=dataset.name,
        options=dict(options),
        classes={action.name: action.phrase for action in dataset.actions if action.name in asked},
        llm=llm.identity,
        parameters=json.loads(json.dumps(dict(llm.parameters))),
        templates=tuple(LockedTemplate(p.kind, p.template.version, p.template.sha256) for p in prompts),
        calls=tuple(
            LockedCall(call.action.name, call.prompt.kind, call.request.sample, call.key, texts.get(call.key, ""))
            for call in calls
        ),
    )


def make_lock(
    store: Store,
    dataset: Dataset,
    llm: LLM,
    prompts: Sequence[Prompt],
    calls: Sequence[Call],
    *,
    options: Mapping[str, Any],
) -> Lock:
    """Return the lock of a finished build, from its texts in use.

    Raises:
        UserError: calls have no texts in use, or people changed or added texts, which no build gives again.
    """
    in_use = store.portable(dataset)
    by_call = _by_call(in_use)
    if missing := [call for call in calls if call.key not in by_call]:
        names = first_few([f"{call.prompt.kind} of {call.action.name}" for call in missing])
        raise UserError(
            f"{len(missing)} of the {len(calls)} calls have no texts in use: {names}. Run descgen build with the same "
            "options first"
        )
    kinds = {prompt.kind for prompt in prompts}
    added = sum(item.kind in kinds and item.source == "human" and not item.call for item in in_use)
    changed = [call for call in calls if not _as_written(by_call[call.key])]
    if added or changed:
        raise UserError(
            f"People changed the texts of {len(changed)} calls and added {added} texts: no build gives these again. "
            "descgen pack keeps them"
        )
    return plan_lock(dataset, llm, prompts, calls, options=options, texts=_digests(by_call))


def lock_text(lock: Lock) -> str:
    """Return a lock as a file holds it."""
    return escaped(json.dumps(asdict(lock), ensure_ascii=False, indent=1)) + "\n"


def read_lock(path: Path) -> Lock:
    """Return the lock of a file.

    Raises:
        UserError: it cannot be read, or is no lock of this version.
    """
    try:
        document = strict_json.loads(read_text(path))
        lock = checked(Lock, document, "is not a lock of descgen")
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}") from error
    except (ShapeError, ValueError) as error:
        problem = str(error) if isinstance(error, ShapeError) else f"is not a lock of descgen: {error}"
        raise UserError(f"{path} {problem}. Locks are written by: descgen lock") from error
    if lock.format != FORMAT:
        raise UserError(f"{path} is a {lock.format[:50]!r}, and this program reads a {FORMAT!r}")
    return lock


def refuse_differences(lock: Lock, now: Lock) -> None:
    """Refuse a build that would not make the calls of a lock.

    Raises:
        UserError: the dataset, a class, a template, the model, a parameter or a call differs; all are named.
    """
    if lines := [*_differences(lock, now)] or [*_other_calls(lock, now)]:
        raise UserError("\n".join([f"This build is not the one of the lock of {lock.dataset}:", *lines]))


def refuse_other_texts(lock: Lock, texts: Mapping[str, str], *, advice: str) -> None:
    """Refuse texts that differ from a lock's.

    Args:
        lock: has the digests.
        texts: digest by cache key; calls that are not in it are not compared.
        advice: what to do then.

    Raises:
        UserError: some differ.
    """
    other = [call.name for call in lock.calls if texts.get(call.cache_key, call.texts_sha256) != call.texts_sha256]
    if other:
        raise UserError(
            f"{len(other)} of the {len(lock.calls)} calls have other texts here than in the lock: {first_few(other)}. "
            f"{advice}"
        )


def cached_texts(store: Store, lock: Lock) -> dict[str, str]:
    """Return by cache key the digest of the texts of the cached replies to a lock's calls; "" for invalid ones."""
    replies = store.generations(call.cache_key for call in lock.calls)
    return {key: _digest(_parsed(hit.reply, hit.output_schema)) for key, hit in replies.items()}


def texts_in_use(store: Store, dataset: Dataset, lock: Lock) -> dict[str, str]:
    """Return by cache key the digest of the texts in use of each of a lock's calls; "" if there are none."""
    digests = _digests(_by_call(store.portable(dataset)))
    return {call.cache_key: digests.get(call.cache_key, "") for call in lock.calls}


def _differences(lock: Lock, now: Lock) -> Iterator[str]:
    """Yield what differs between a lock and a planned build, before their calls."""
    if lock.dataset != now.dataset:
        yield f"dataset: {lock.dataset} in the lock, {now.dataset} here"
    if changed := [f"{name} ({lock.classes[name]!r}, here {phrase!r})" for name, phrase in now.classes.items()
                   if lock.classes.get(name, phrase) != phrase]:  # fmt: skip
        yield f"phrases of classes: {first_few(changed)}"
    for part in ("provider", "model", "revision"):
        yield from _changed(f"LLM, {part}", getattr(lock.llm, part), getattr(now.llm, part))
    for name in sorted(lock.parameters.keys() | now.parameters.keys()):
        yield from _changed(f"parameter {name}", lock.parameters.get(name), now.parameters.get(name))
    versions, here = ({t.kind: f"version {t.version}, sha256 {t.sha256[:_DIGITS]}" for t in made.templates}
                      for made in (lock, now))  # fmt: skip
    for kind in sorted(versions.keys() | here.keys()):
        yield from _changed(f"template of {kind}", versions.get(kind), here.get(kind))


def _changed(name: str, before: Any, after: Any) -> Iterator[str]:
    if before != after:
        shown = ("nothing" if value in (None, "") else str(value) for value in (before, after))
        yield "{}: {} in the lock, {} here".format(name, *shown)


def _other_calls(lock: Lock, now: Lock) -> Iterator[str]:
    """Yield which calls are in one of them only: by their class and kind, or by what is asked."""
    locked, planned = ({call.cache_key: call.name for call in made.calls} for made in (lock, now))
    missing = [name for key, name in locked.items() if key not in planned]
    more = [name for key, name in planned.items() if key not in locked]
    if missing:
        yield f"{len(missing)} calls of the lock are not made in that form here: {first_few(missing)}"
    if more:
        yield f"{len(more)} calls are not in the lock in that form: {first_few(more)}"


def _by_call(items: Iterable[PortableDescriptor]) -> dict[str, list[PortableDescriptor]]:
    by_call: dict[str, list[PortableDescriptor]] = defaultdict(list)
    for item in items:
        if item.call:
            by_call[item.call.generation.cache_key].append(item)
    return by_call


def _as_written(items: Sequence[PortableDescriptor]) -> bool:
    """Return whether texts in use are those of their reply, in its order, and none is rejected."""
    generation = items[0].call.generation if items[0].call else None
    if generation is None or any(item.source != "llm" or item.status == "rejected" for item in items):
        return False
    return _in_order(items) == _parsed(generation.reply, generation.output_schema)


def _in_order(items: Sequence[PortableDescriptor]) -> list[str]:
    return [item.text for item in sorted(items, key=lambda item: item.position)]


def _parsed(reply: str, schema: Mapping[str, Any]) -> list[str]:
    try:
        return list(parse_reply(reply, schema).texts)
    except InvalidReplyError:
        return []


def _digests(by_call: Mapping[str, Sequence[PortableDescriptor]]) -> dict[str, str]:
    """Return the digest of the texts of each call; rejected ones are left out, as a run does."""
    return {
        key: _digest(_in_order([item for item in items if item.status != "rejected"])) for key, items in by_call.items()
    }


def _digest(texts: Sequence[str]) -> str:
    canonical = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest() if texts else ""
