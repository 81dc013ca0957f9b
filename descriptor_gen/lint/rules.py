"""Rules that find faults in the descriptors of a dataset: in their wording and, with an encoder, in their meaning.

An error is a fault in any dataset: text that CLIP never reads, words of the prompt, a refusal, the same text twice.
A warning may be justified; a person judges it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from db.errors import UsageError
from db.kinds import NAME
from db.progress import Progress, no_progress
from db.records import Dataset, Descriptor
from descriptor_gen.lint import clip_tokens, names, wording
from descriptor_gen.lint.similarity import cosines_between
from encoders.protocol import TextEncoder
from encoders.registry import open_text_encoder

Severity = Literal["error", "warning"]

_SHARED_PART = 20  # a context is shared by too many if 1 in 20 classes has it: 3 of 51, 6 of 101, 30 of 600
_FEWEST_CLASSES = 3
_MOST_NAMES = 3
_PLACES_AND_OBJECTS = "context"  # the kind whose texts a few classes may share


@dataclass(frozen=True)
class Finding:
    """One fault of a descriptor or, if `text` is empty, of a class and kind.

    Attributes:
        ids: of the descriptor; for `repeat` also of the one it repeats; for `count` of all in the reply; for `missing`
            empty.
        detail: the fault in words.
    """

    rule: str
    severity: Severity
    action: str
    kind: str
    ids: tuple[int, ...]
    text: str
    detail: str


@dataclass(frozen=True)
class LintReport:
    """The findings of a dataset; `texts` is the number of descriptors that were checked."""

    dataset: str
    texts: int
    errors: int
    warnings: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Limits:
    """The limits of the rules.

    Attributes:
        context_length: tokens that the text encoder reads, including start and end.
        shared: from this number of classes on, a common text of kind `context` is a finding; None is 5% of all
            classes, at least 3. For other kinds it is always 2.
        items: kind -> (fewest, most) descriptors in one reply; other kinds may have any number.
        sense: largest allowed (cosine to the nearest label - cosine to the own label).
    """

    context_length: int = clip_tokens.CONTEXT_LENGTH
    shared: int | None = None
    items: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    sense: float = 0.25


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class _Subject:
    """The input of a rule."""

    dataset: Dataset
    descriptors: Sequence[Descriptor]
    limits: Limits
    encoder: TextEncoder | None
    on_batch: Progress

    def groups(self, key: Callable[[Descriptor], Any]) -> dict[Any, list[Descriptor]]:
        groups: dict[Any, list[Descriptor]] = defaultdict(list)
        for descriptor in self.descriptors:
            groups[key(descriptor)].append(descriptor)
        return groups


Rule = Callable[[_Subject], Iterable[Finding]]


def lint(
    dataset: Dataset,
    descriptors: Sequence[Descriptor],
    *,
    limits: Limits = DEFAULT_LIMITS,
    rules: Sequence[str] = (),
    encoder: TextEncoder | None = None,
    on_batch: Progress = no_progress,
) -> list[Finding]:
    """Return the findings of `rules` (() is all), rule by rule, each in the order of the descriptors.

    Without an encoder, the rule `sense` finds nothing.
    """
    subject = _Subject(dataset, descriptors, limits, encoder, on_batch)
    return [finding for name in RULES if not rules or name in rules for finding in RULES[name](subject)]


def lint_report(
    dataset: Dataset,
    descriptors: Sequence[Descriptor],
    limits: Limits,
    rules: Sequence[str],
    encoder: str | None,
    *,
    on_batch: Progress = no_progress,
) -> LintReport:
    """Return the findings of `lint` with their numbers.

    Args:
        dataset, descriptors, limits, rules: as for `lint`.
        encoder: the name of a text encoder.
        on_batch: called with the numbers of texts that it has encoded, and of all.

    Raises:
        UsageError: the rule `sense` is named without an encoder.
    """
    if encoder is None and "sense" in rules:
        raise UsageError("Rule sense needs a text encoder: --encoder minilm")
    opened = open_text_encoder(encoder) if encoder else None
    findings = lint(dataset, descriptors, limits=limits, rules=rules, encoder=opened, on_batch=on_batch)
    errors = sum(finding.severity == "error" for finding in findings)
    return LintReport(dataset.name, len(descriptors), errors, len(findings) - errors, tuple(findings))


def template_items() -> dict[str, tuple[int, int]]:
    """Return `Limits.items` of the built-in templates."""
    from descriptor_gen.prompting.prompt import kinds, load_prompts

    return {prompt.kind: item_range(prompt.output_schema) for prompt in load_prompts(kinds())}


def item_range(output_schema: Mapping[str, Any]) -> tuple[int, int]:
    """Return the fewest and the most descriptors in a reply that fits a template's JSON schema."""
    if output_schema["type"] == "object":
        ranges = [item_range(part) for part in output_schema["properties"].values()]
        return sum(low for low, _ in ranges), sum(high for _, high in ranges)
    if output_schema["type"] == "array":
        low, high = item_range(output_schema["items"])
        return low * output_schema["minItems"], high * output_schema["maxItems"]
    return 1, 1


def _normalised(text: str) -> str:
    """Return a text without differences in case, spaces and final full stop, for comparison."""
    return " ".join(text.casefold().split()).rstrip(" .")


def _finding(
    rule: str, severity: Severity, descriptor: Descriptor, detail: str, *, ids: tuple[int, ...] = ()
) -> Finding:
    ids = ids or (descriptor.id,)
    return Finding(rule, severity, descriptor.action, descriptor.kind, ids, descriptor.text, detail)


def _per_text(rule: str, severity: Severity, check: Callable[[str, Limits], str]) -> Rule:
    """Return a rule that checks each text alone; `check` returns the fault or an empty string."""

    def findings(subject: _Subject) -> Iterator[Finding]:
        for descriptor in subject.descriptors:
            if detail := check(descriptor.text, subject.limits):
                yield _finding(rule, severity, descriptor, detail)

    return findings


def _too_long(text: str, limits: Limits) -> str:
    if clip_tokens.fits(text, limits.context_length):
        return ""
    _, cut = clip_tokens.split(text, limits.context_length)
    return f"{clip_tokens.token_count(text)} tokens, {limits.context_length} are read; cut: {cut}"


def _repeat(subject: _Subject) -> Iterator[Finding]:
    """Find every copy of a text after the first in a class: copies count twice in the mean of the class.

    A copy in the same reply is an error. Other replies, kinds or LLMs may write the same text independently. Rejected
    texts count nowhere.
    """
    for copies in subject.groups(lambda d: (d.action, _normalised(d.text))).values():
        texts = [d for d in copies if d.status != "rejected"]
        if not texts:
            continue
        firsts = {_reply(texts[0]): texts[0]}
        for copy in texts[1:]:
            first = firsts.setdefault(_reply(copy), copy)
            if first is not copy:
                yield _finding("repeat", "error", copy, "repeated in one reply", ids=(copy.id, first.id))
                continue
            original = texts[0]
            detail = f"repeats a text of {original.kind} by {original.writer}"
            yield _finding("repeat", "warning", copy, detail, ids=(copy.id, original.id))


def _reply(descriptor: Descriptor) -> tuple[str, str, str, int]:
    """Return the key shared by the texts of one reply; the call is 0 for texts without a call in the database."""
    return descriptor.action, descriptor.kind, descriptor.writer, descriptor.generation or 0


def _shared(subject: _Subject) -> Iterator[Finding]:
    context_limit = subject.limits.shared or max(_FEWEST_CLASSES, -(-len(subject.dataset.actions) // _SHARED_PART))
    for (kind, _), texts in subject.groups(lambda d: (d.kind, _normalised(d.text))).items():
        classes = list(dict.fromkeys(descriptor.action for descriptor in texts))
        if len(classes) >= (context_limit if kind == _PLACES_AND_OBJECTS else 2):
            more = " ..." if len(classes) > _MOST_NAMES else ""
            detail = f"in {len(classes)} classes: {', '.join(classes[:_MOST_NAMES])}{more}"
            yield from (_finding("shared", "warning", descriptor, detail) for descriptor in texts)


def _count(subject: _Subject) -> Iterator[Finding]:
    by_people = {(d.action, d.kind) for d in subject.descriptors if d.source == "human"}
    for (action, kind, _, _), texts in subject.groups(_reply).items():
        # people may add texts to a reply, or replace it by any number of texts
        if kind not in subject.limits.items or (action, kind) in by_people:
            continue
        low, high = subject.limits.items[kind]
        if not low <= len(texts) <= high:
            expected = str(low) if low == high else f"{low} to {high}"
            ids = tuple(descriptor.id for descriptor in texts)
            yield Finding("count", "warning", action, kind, ids, "", f"{len(texts)} texts, {expected} expected")


def _missing(subject: _Subject) -> Iterator[Finding]:
    for kind, texts in subject.groups(lambda d: d.kind).items():
        written = {descriptor.action for descriptor in texts}
        detail = f"no text, {len(written)} of {len(subject.dataset.actions)} classes have some"
        for action in subject.dataset.actions:
            if action.name not in written:
                yield Finding("missing", "warning", action.name, kind, (), "", detail)


def _sense(subject: _Subject) -> Iterator[Finding]:
    """Find texts that are nearer to another class's label than to their own: a word may be meant in another sense."""
    if subject.encoder is None or not subject.descriptors:
        return
    actions = subject.dataset.actions
    row = {action.name: index for index, action in enumerate(actions)}
    texts, labels = [d.text for d in subject.descriptors], [action.phrase for action in actions]
    every = cosines_between(texts, labels, subject.encoder, on_batch=subject.on_batch)
    for descriptor, cosines in zip(subject.descriptors, every, strict=True):
        own, nearest = row[descriptor.action], int(cosines.argmax())
        if cosines[nearest] - cosines[own] > subject.limits.sense:
            detail = (
                f"nearer to {labels[nearest]!r} ({cosines[nearest]:.2f}) than to {labels[own]!r} ({cosines[own]:.2f}), "
                f"by {subject.encoder.id}"
            )
            yield _finding("sense", "warning", descriptor, detail)


def _names(subject: _Subject) -> Iterator[Descriptor]:
    return (descriptor for descriptor in subject.descriptors if descriptor.kind == NAME)


def _labels(subject: _Subject) -> dict[str, str]:
    return {action.name: action.phrase for action in subject.dataset.actions}


def _name_same(subject: _Subject) -> Iterator[Finding]:
    """Find names that are their label in other words."""
    labels = _labels(subject)
    for descriptor in _names(subject):
        if detail := names.same_as_label(descriptor.text, labels[descriptor.action]):
            yield _finding("name-same", "warning", descriptor, detail)


def _name_action(subject: _Subject) -> Iterator[Finding]:
    """Find names that may be of another action: without a word of the label or of what is known about the class."""
    labels, texts = _labels(subject), subject.groups(lambda d: d.action)
    for descriptor in _names(subject):
        known = [text.text for text in texts[descriptor.action] if text.kind != NAME]
        if detail := names.other_action(descriptor.text, [labels[descriptor.action], *known]):
            yield _finding("name-action", "warning", descriptor, detail)


def _name_class(subject: _Subject) -> Iterator[Finding]:
    """Find names that are also the label or a name of another class: the two could not be told apart."""
    written = [*_labels(subject).items(), *((d.action, d.text) for d in _names(subject))]
    classes: dict[frozenset[str], list[str]] = defaultdict(list)
    for action, text in written:
        classes[names.stems(text)].append(action)
    for descriptor in _names(subject):
        others = [action for action in classes[names.stems(descriptor.text)] if action != descriptor.action]
        if others and names.stems(descriptor.text):
            yield _finding("name-class", "error", descriptor, f"the same words as class {others[0]}")


def _name_form(subject: _Subject) -> Iterator[Finding]:
    """Find names that are no single short phrase."""
    for descriptor in _names(subject):
        if detail := names.not_a_name(descriptor.text):
            yield _finding("name-form", "warning", descriptor, detail)


RULES: Mapping[str, Rule] = {
    "too-long": _per_text("too-long", "error", _too_long),
    "echo": _per_text("echo", "error", lambda text, _: wording.echo(text)),
    "refusal": _per_text("refusal", "error", lambda text, _: wording.refusal(text)),
    "repeat": _repeat,
    "shared": _shared,
    "count": _count,
    "missing": _missing,
    "not-visual": _per_text("not-visual", "warning", lambda text, _: wording.not_visual(text)),
    "glued": _per_text("glued", "warning", lambda text, _: wording.glued(text)),
    "sense": _sense,
    "name-same": _name_same,
    "name-action": _name_action,
    "name-class": _name_class,
    "name-form": _name_form,
}
