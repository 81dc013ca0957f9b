"""What is wrong with the descriptors of a dataset: by their words, and by their sense where an encoder is given.

An error is wrong in any dataset: text that CLIP never reads, words of the prompt, a refusal, the same text twice.
A warning may be right, and is for a person to judge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from db.records import Dataset, Descriptor
from descriptor_gen.lint import clip_tokens, wording
from descriptor_gen.lint.similarity import cosines_between
from encoders.protocol import TextEncoder

Severity = Literal["error", "warning"]

_SHARE_OF_CLASSES = 20  # one in so many: 3 of 51, 6 of 101, 30 of 600
_FEWEST_CLASSES = 3
_NAMED = 3
_THINGS = "context"  # names places and objects, which a few classes rightly have in common


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one descriptor; or with a kind of a class, then `text` is empty.

    Attributes:
        ids: the descriptor at fault; for `repeat` also the one it repeats; for `count` all; for `missing` none.
        detail: what was found, for people.
    """

    rule: str
    severity: Severity
    action: str
    kind: str
    ids: tuple[int, ...]
    text: str
    detail: str


@dataclass(frozen=True)
class Limits:
    """What is allowed.

    Attributes:
        context_length: tokens that the text encoder reads, those of start and end included.
        shared: classes that may not have a place or an object of `context` in common; None is 5% of all, at least 3.
            Of other kinds two classes may not have a text in common.
        items: kind -> (fewest, most) descriptors that one reply gives.
        sense: cosine by which a text may be nearer to another class's label than to its own.
    """

    context_length: int = clip_tokens.CONTEXT_LENGTH
    shared: int | None = None
    items: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    sense: float = 0.25


@dataclass(frozen=True)
class _Checked:
    dataset: Dataset
    descriptors: Sequence[Descriptor]
    limits: Limits
    encoder: TextEncoder | None

    def groups(self, key: Callable[[Descriptor], Any]) -> dict[Any, list[Descriptor]]:
        found: dict[Any, list[Descriptor]] = defaultdict(list)
        for descriptor in self.descriptors:
            found[key(descriptor)].append(descriptor)
        return found


Rule = Callable[[_Checked], Iterable[Finding]]


def lint(
    dataset: Dataset,
    descriptors: Sequence[Descriptor],
    *,
    limits: Limits | None = None,
    rules: Sequence[str] = (),
    encoder: TextEncoder | None = None,
) -> list[Finding]:
    """Return what is wrong with descriptors, rule by rule, each in the order of the descriptors.

    Args:
        dataset: every class that should have descriptors.
        descriptors: of that dataset, as the store returns them.
        limits: None allows what CLIP does, and any number of descriptors.
        rules: names of `RULES`; all when there is none.
        encoder: for the rule `sense`, which says nothing without one.
    """
    checked = _Checked(dataset, descriptors, limits or Limits(), encoder)
    return [finding for name in RULES if not rules or name in rules for finding in RULES[name](checked)]


def item_range(output_schema: Mapping[str, Any]) -> tuple[int, int]:
    """Return the fewest and the most descriptors in a reply of a template's JSON schema."""
    if output_schema["type"] == "object":
        ranges = [item_range(part) for part in output_schema["properties"].values()]
        return sum(low for low, _ in ranges), sum(high for _, high in ranges)
    if output_schema["type"] == "array":
        low, high = item_range(output_schema["items"])
        return low * output_schema["minItems"], high * output_schema["maxItems"]
    return 1, 1


def normalised(text: str) -> str:
    """Return what two texts have in common that say the same: no matter of case, spaces, or a final full stop."""
    return " ".join(text.casefold().split()).rstrip(" .")


def writer(descriptor: Descriptor) -> str:
    """Return who wrote a descriptor: an LLM, the file of an import, or `hand`."""
    return descriptor.writer or "hand"


def _finding(
    rule: str, severity: Severity, descriptor: Descriptor, detail: str, *, ids: tuple[int, ...] = ()
) -> Finding:
    ids = ids or (descriptor.id,)
    return Finding(rule, severity, descriptor.action, descriptor.kind, ids, descriptor.text, detail)


def _each(rule: str, severity: Severity, check: Callable[[str, Limits], str]) -> Rule:
    """Return the rule that looks at one text at a time."""

    def findings(checked: _Checked) -> Iterator[Finding]:
        for descriptor in checked.descriptors:
            if detail := check(descriptor.text, checked.limits):
                yield _finding(rule, severity, descriptor, detail)

    return findings


def _too_long(text: str, limits: Limits) -> str:
    if clip_tokens.fits(text, limits.context_length):
        return ""
    _, cut = clip_tokens.split(text, limits.context_length)
    return f"{clip_tokens.token_count(text)} tokens, {limits.context_length} are read; cut: {cut}"


def _repeat(checked: _Checked) -> Iterator[Finding]:
    """Every copy after the first within a class: the text counts twice in the class's mean.

    Within one reply it is an error. Another reply, kind or LLM may say the same of its own accord.
    """
    replies = _replies(checked)
    for texts in checked.groups(lambda d: (d.action, normalised(d.text))).values():
        firsts = {replies[texts[0].id]: texts[0]}
        for copy in texts[1:]:
            first = firsts.setdefault(replies[copy.id], copy)
            within = first is not copy
            of = first if within else texts[0]
            where = "in one reply" if within else f"in {of.kind}, by {writer(of)}"
            yield _finding("repeat", "error" if within else "warning", copy, f"again, {where}", ids=(copy.id, of.id))


def _replies(checked: _Checked) -> dict[int, tuple[str, str, str, int]]:
    """Return descriptor id -> action, kind, writer, and the call that it is from: 0 for what no LLM of ours wrote."""
    return {d.id: (d.action, d.kind, writer(d), d.generation or 0) for d in checked.descriptors}


def _shared(checked: _Checked) -> Iterator[Finding]:
    many = checked.limits.shared or max(_FEWEST_CLASSES, -(-len(checked.dataset.actions) // _SHARE_OF_CLASSES))
    for (kind, _), texts in checked.groups(lambda d: (d.kind, normalised(d.text))).items():
        classes = list(dict.fromkeys(descriptor.action for descriptor in texts))
        if len(classes) >= (many if kind == _THINGS else 2):
            more = " ..." if len(classes) > _NAMED else ""
            detail = f"in {len(classes)} classes: {', '.join(classes[:_NAMED])}{more}"
            yield from (_finding("shared", "warning", descriptor, detail) for descriptor in texts)


def _count(checked: _Checked) -> Iterator[Finding]:
    replies = _replies(checked)
    by_people = {(d.action, d.kind) for d in checked.descriptors if d.source == "human"}
    for (action, kind, _, _), texts in checked.groups(lambda d: replies[d.id]).items():
        # People may add to what an LLM wrote, and take its place: their number is as they wish.
        if kind not in checked.limits.items or (action, kind) in by_people:
            continue
        low, high = checked.limits.items[kind]
        if not low <= len(texts) <= high:
            expected = str(low) if low == high else f"{low} to {high}"
            ids = tuple(descriptor.id for descriptor in texts)
            yield Finding("count", "warning", action, kind, ids, "", f"{len(texts)} texts, {expected} expected")


def _missing(checked: _Checked) -> Iterator[Finding]:
    for kind, texts in checked.groups(lambda d: d.kind).items():
        there = {descriptor.action for descriptor in texts}
        detail = f"no text, {len(there)} of {len(checked.dataset.actions)} classes have some"
        for action in checked.dataset.actions:
            if action.name not in there:
                yield Finding("missing", "warning", action.name, kind, (), "", detail)


def _sense(checked: _Checked) -> Iterator[Finding]:
    """Every text that is nearer to another class's label than to its own: perhaps of another sense of the label."""
    if checked.encoder is None or not checked.descriptors:
        return
    actions = checked.dataset.actions
    row = {action.name: index for index, action in enumerate(actions)}
    texts, labels = [d.text for d in checked.descriptors], [action.phrase for action in actions]
    for descriptor, cosines in zip(checked.descriptors, cosines_between(texts, labels, checked.encoder), strict=True):
        own, nearest = row[descriptor.action], int(cosines.argmax())
        if cosines[nearest] - cosines[own] > checked.limits.sense:
            detail = (
                f"nearer to {labels[nearest]!r} ({cosines[nearest]:.2f}) than to {labels[own]!r} ({cosines[own]:.2f}), "
                f"by {checked.encoder.id}"
            )
            yield _finding("sense", "warning", descriptor, detail)


RULES: Mapping[str, Rule] = {
    "too-long": _each("too-long", "error", _too_long),
    "echo": _each("echo", "error", lambda text, _: wording.echo(text)),
    "refusal": _each("refusal", "error", lambda text, _: wording.refusal(text)),
    "repeat": _repeat,
    "shared": _shared,
    "count": _count,
    "missing": _missing,
    "not-visual": _each("not-visual", "warning", lambda text, _: wording.not_visual(text)),
    "glued": _each("glued", "warning", lambda text, _: wording.glued(text)),
    "sense": _sense,
}
