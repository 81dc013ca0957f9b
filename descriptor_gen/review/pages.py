"""The values that the template of each page needs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db import vocabulary
from db.records import Action, Descriptor, Impact, ReviewEvent, State
from descriptor_gen.lint.rules import Finding
from descriptor_gen.review.filters import ORDERS, Filter
from descriptor_gen.review.flags import Flags
from descriptor_gen.review.session import Counts, ReviewSession, Snapshot, stamp

Values = dict[str, Any]
_MAX_EVENTS = 500
_FIRST_LINT_SECONDS = 5.0  # how long the first page of a new server waits for flags


@dataclass(frozen=True)
class ClassRow:
    """The descriptors of one class that pass the filter.

    Attributes:
        impact: top-1 accuracy, in points, that leaving out the worst text would gain; None if not measured.
    """

    action: Action
    counts: Counts
    flagged: int
    impact: float | None


@dataclass(frozen=True)
class Text:
    """One descriptor with its lint findings and its impact."""

    descriptor: Descriptor
    flags: Sequence[Finding]
    impact: Impact | None


@dataclass(frozen=True)
class Column:
    """The texts of one reply, file or person. `call`: id of the LLM call, if any; `flags`: findings about the reply."""

    source: str
    sample: int
    call: int | None
    texts: Sequence[Text]
    flags: Sequence[Finding]


_ORDER: Mapping[str, Callable[[ClassRow], tuple[float, ...]]] = {
    "": lambda row: (row.action.label,),
    "open": lambda row: (-row.counts.pending, row.action.label),
    "flags": lambda row: (-row.flagged, row.action.label),
    "impact": lambda row: (-row.impact if row.impact is not None else float("inf"), row.action.label),
}


def overview(session: ReviewSession, filter_: Filter) -> Values:
    """Return the classes with descriptors that pass a filter."""
    matching = session.matching(filter_, wait=_FIRST_LINT_SECONDS)
    snapshot, (flags, is_linting) = session.snapshot(), session.flags()
    pending = [d for d in matching if d.status == "pending"]
    counts = Counter(rule for rules in flags.rules.values() for rule in rules)
    return {
        "rows": _class_rows(session, matching, filter_.order),
        "classes": len(session.dataset.actions),
        "matching": len(matching),
        "pending": len(pending),
        "stamp": stamp(pending),
        "checking": is_linting,
        "impact": bool(snapshot.impacts),
        "verdicts": snapshot.verdicts,
        "replaced": len(_replaced(snapshot, snapshot.by_action)),
        "is_benchmark": session.dataset.stored_as in vocabulary.BUILT_IN,
        "choices": {
            "kinds": sorted({d.kind for d in snapshot.descriptors}),
            "sources": sorted({d.writer for d in snapshot.descriptors}),
            "flags": sorted(counts.items()),
            "orders": [(order, name) for order, name in ORDERS.items() if order != "impact" or snapshot.impacts],
        },
    }


def _class_rows(session: ReviewSession, matching: Sequence[Descriptor], order: str) -> list[ClassRow]:
    impacts, rules = session.snapshot().impacts, session.flags()[0].rules
    by_class: dict[str, list[Descriptor]] = defaultdict(list)
    for descriptor in matching:
        by_class[descriptor.action].append(descriptor)
    rows = [
        ClassRow(
            action,
            Counts.of(descriptors),
            flagged=sum(d.id in rules for d in descriptors),
            impact=max((100 * impacts[d.id].top1_change for d in descriptors if d.id in impacts), default=None),
        )
        for action in session.dataset.actions
        if (descriptors := by_class.get(action.name))
    ]
    return sorted(rows, key=_ORDER[order])


def _replaced(snapshot: Snapshot, actions: Iterable[str]) -> set[int]:
    """Return the texts of some classes that a verdict is about and that are no longer in use, or rejected."""
    verdicts = snapshot.verdicts.by_class if snapshot.verdicts else {}
    return {
        text
        for name in actions
        if name in verdicts
        for text in verdicts[name].texts - {d.id for d in snapshot.by_action.get(name, ()) if d.status != "rejected"}
    }


def one_class(session: ReviewSession, action: Action, filter_: Filter) -> Values:
    """Return a class, with the labels of its neighbours in the order of the overview."""
    labels = [row.action.label for row in overview(session, filter_)["rows"]]
    if action.label in labels:
        index = labels.index(action.label)
        before = labels[index - 1] if index else None
        after = labels[index + 1] if index + 1 < len(labels) else None
    else:  # the last decision took it out of the filter
        before, after = None, next((label for label in labels if label > action.label), None)
    return panel(session, action, filter_) | {"action": action, "before": before, "after": after}


def panel(session: ReviewSession, action: Action, filter_: Filter) -> Values:
    """Return the part of a class's page that decisions change; of the filter, only kind and source apply."""
    snapshot, (flags, _) = session.snapshot(), session.flags()
    shown = [
        d
        for d in snapshot.by_action.get(action.name, ())
        if filter_.kind in ("", d.kind) and filter_.source in ("", d.writer)
    ]
    replies: dict[str, dict[tuple[str, int, int], list[Descriptor]]] = defaultdict(lambda: defaultdict(list))
    for d in shown:
        replies[d.kind][d.writer, d.sample or 0, d.generation or 0].append(d)
    return {
        "sections": {
            kind: [_column(*reply, texts, flags, snapshot.impacts) for reply, texts in sorted(columns.items())]
            for kind, columns in sorted(replies.items())
        },
        "counts": Counts.of(shown),
        "verdicts": snapshot.verdicts,
        "verdict": snapshot.verdicts.by_class.get(action.name) if snapshot.verdicts else None,
        "replaced": len(_replaced(snapshot, [action.name])),
        "conflicts": (),
        "can_regenerate": session.jobs is not None,
    }


def _column(
    source: str,
    sample: int,
    generation: int,
    descriptors: Sequence[Descriptor],
    flags: Flags,
    impacts: Mapping[int, Impact],
) -> Column:
    ordered = sorted(descriptors, key=lambda d: (d.position, d.id))
    texts = [Text(d, flags.by_id.get(d.id, ()), impacts.get(d.id)) for d in ordered]
    return Column(source, sample, generation or None, texts, flags.by_reply.get(tuple(d.id for d in ordered), ()))


def events(session: ReviewSession) -> list[Values]:
    """Return the newest events of the dataset, newest first."""
    subjects = {d.id: f"{session.phrases[d.action]}, {d.kind}" for d in session.snapshot().descriptors}
    newest = session.reviews.events(session.dataset)[::-1][:_MAX_EVENTS]
    return [_event(event, subject=_subject(event, subjects)) for event in newest]


def _subject(event: ReviewEvent, subjects: Mapping[int, str]) -> str:
    """Return class and kind of an event, by any of its rows that is still in use."""
    rows = (event.change.descriptor, *(state.id for state in (event.change.after, event.change.before) if state))
    return next((subjects[row] for row in rows if row in subjects), "no longer in use")


def history(session: ReviewSession, descriptor_id: int) -> Values:
    """Return the events of one descriptor, and its text before any edit."""
    [descriptor] = session.reviews.descriptors([descriptor_id])
    return {
        "text": descriptor.text,
        "original": descriptor.original,
        "source": descriptor.writer,
        "events": [_event(event, subject=descriptor.kind) for event in session.reviews.history(descriptor_id)],
    }


def call(session: ReviewSession, generation_id: int) -> Values:
    """Return one LLM call with everything that is stored about it."""
    entry = session.queries.call(generation_id)
    generation = entry.generation
    facts = {
        "provider": entry.llm.provider,
        "revision": entry.llm.revision or "not known",
        "template": f"version {entry.template_version} ({entry.template_sha256[:12]})",
        "written": f"{entry.created_at:%Y-%m-%d %H:%M} UTC, attempt {entry.attempt}",
        "tokens": f"{generation.tokens_in} in, {generation.tokens_out} out, {generation.seconds:.1f} seconds",
        "ended by": generation.finish_reason,
        **generation.parameters,
        **generation.environment,
    }
    return {"call": entry, "facts": list(facts.items())}


def _event(event: ReviewEvent, *, subject: str) -> Values:
    before, after = event.change.before, event.change.after
    return {
        "at": event.at,
        "reviewer": event.reviewer,
        "decision": f"{event.what} (of decision {event.undoes})" if event.undoes else event.what,
        "subject": subject,
        "before": _state(before),
        "after": _state(after, before=before),
    }


def _state(state: State | None, *, before: State | None = None) -> str:
    """Return a state in words; an unchanged text is left out."""
    if state is None:
        return "nothing"
    text = "" if before and before.text == state.text else f": {state.text}"
    position = f", position {state.position + 1}" if before and before.position != state.position else ""
    return f"{state.status}{text}{position}"
