"""The values that the template of each page needs."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from markupsafe import Markup

from db import vocabulary
from db.records import Action, Comment, Conflict, Descriptor, Impact, ReviewEvent, State
from descriptor_gen.lint.rules import Finding
from descriptor_gen.review.conflicts import by_text
from descriptor_gen.review.filters import ORDERS, Filter
from descriptor_gen.review.flags import Flags
from descriptor_gen.review.paging import ROWS, paged
from descriptor_gen.review.session import Counts, ReviewSession, Snapshot, stamp

Values = dict[str, Any]
_FIRST_LINT_SECONDS = 5.0  # how long the first page of a new server waits for flags


@dataclass(frozen=True)
class ClassRow:
    """The descriptors of one class that pass the filter.

    Attributes:
        impact: top-1 accuracy, in points, that leaving out the worst text would gain; None if not measured.
        comments: number of comments on these texts.
    """

    action: Action
    counts: Counts
    flagged: int
    impact: float | None
    comments: int = 0


@dataclass(frozen=True)
class Text:
    """One descriptor with its lint findings and its impact.

    Attributes:
        matches: whether it passes the filter; other texts of the class are folded.
        conflict: what somebody else did to it before a decision of the reviewer, which was refused.
        comments: what reviewers say about it.
        marks: the text, with marks around the words that the text beside it lacks; these are `lacking`.
    """

    descriptor: Descriptor
    flags: Sequence[Finding]
    impact: Impact | None
    matches: bool = True
    conflict: Conflict | None = None
    comments: Sequence[Comment] = ()
    marks: Markup | None = None
    lacking: Sequence[str] = ()


@dataclass(frozen=True)
class Column:
    """The texts of one reply, file or person. `call`: id of the LLM call, if any; `flags`: findings about the reply."""

    source: str
    sample: int
    call: int | None
    texts: Sequence[Text]
    flags: Sequence[Finding]

    @property
    def matching(self) -> list[Text]:
        """The texts that pass the filter."""
        return [text for text in self.texts if text.matches]

    @property
    def folded(self) -> list[Text]:
        """The texts that do not pass the filter."""
        return [text for text in self.texts if not text.matches]


_ORDER: Mapping[str, Callable[[ClassRow], tuple[float, ...]]] = {
    "": lambda row: (row.action.label,),
    "open": lambda row: (-row.counts.pending, row.action.label),
    "flags": lambda row: (-row.flagged, row.action.label),
    "impact": lambda row: (-row.impact if row.impact is not None else float("inf"), row.action.label),
}


def overview(session: ReviewSession, filter_: Filter, number: str = "", at: str = "") -> Values:
    """Return the classes with descriptors that pass a filter, 100 on a page.

    Args:
        session, filter_: of the page.
        number: of the page.
        at: the label of a class, whose page is shown.
    """
    matching = session.matching(filter_, wait=_FIRST_LINT_SECONDS)
    snapshot, (flags, is_linting) = session.snapshot(), session.flags()
    pending = [d for d in matching if d.status == "pending"]
    counts = Counter(rule for rules in flags.rules.values() for rule in rules)
    rows = class_rows(session, matching, filter_.order)
    place = next((index for index, row in enumerate(rows) if at == str(row.action.label)), None)
    return {
        "rows": paged(rows, number if place is None else str(place // ROWS + 1), filter_.query),
        "classes": len(session.dataset.actions),
        "matching": len(matching),
        "matching_classes": len(rows),
        "pending": len(pending),
        "stamp": stamp(pending),
        "checking": is_linting,
        "impact": bool(snapshot.impacts),
        "guidelines": session.notes.guidelines(session.dataset),
        "comments": bool(session.comments()),
        "verdicts": snapshot.verdicts,
        "replaced": len(_replaced(snapshot, snapshot.by_action)),
        "own_classes": len(session.classes) if session.classes is not None else None,
        "is_benchmark": session.dataset.stored_as in vocabulary.BUILT_IN,
        "choices": {
            "kinds": sorted({d.kind for d in snapshot.descriptors}),
            "sources": sorted({d.writer for d in snapshot.descriptors}),
            "flags": sorted(counts.items()),
            "orders": [(order, name) for order, name in ORDERS.items() if order != "impact" or snapshot.impacts],
        },
    }


def class_rows(session: ReviewSession, matching: Sequence[Descriptor], order: str) -> list[ClassRow]:
    """Return the classes of descriptors that match, in an order of `filters.ORDERS`."""
    impacts, rules, comments = session.snapshot().impacts, session.flags()[0].rules, session.comments()
    by_class: dict[str, list[Descriptor]] = defaultdict(list)
    for descriptor in matching:
        by_class[descriptor.action].append(descriptor)
    rows = [
        ClassRow(
            action,
            Counts.of(descriptors),
            flagged=sum(d.id in rules for d in descriptors),
            impact=max((100 * impacts[d.id].top1_change for d in descriptors if d.id in impacts), default=None),
            comments=sum(len(comments.get(d.id, ())) for d in descriptors),
        )
        for action in session.dataset.actions
        if (descriptors := by_class.get(action.name))
    ]
    return sorted(rows, key=_ORDER[order])


def _replaced(snapshot: Snapshot, actions: Iterable[str]) -> set[int]:
    """Return the ids of texts that a verdict on some classes is about, and that are out of use or rejected."""
    verdicts = snapshot.verdicts.by_class if snapshot.verdicts else {}
    return {
        text
        for name in actions
        if name in verdicts
        for text in verdicts[name].texts - {d.id for d in snapshot.by_action.get(name, ()) if d.status != "rejected"}
    }


def one_class(session: ReviewSession, action: Action, filter_: Filter) -> Values:
    """Return a class, with the labels of its neighbours in the order of the overview."""
    matching = session.matching(filter_, wait=_FIRST_LINT_SECONDS)
    labels = [row.action.label for row in class_rows(session, matching, filter_.order)]
    if action.label in labels:
        index = labels.index(action.label)
        before = labels[index - 1] if index else None
        after = labels[index + 1] if index + 1 < len(labels) else None
    else:  # the last decision took it out of the filter
        before, after = None, next((label for label in labels if label > action.label), None)
    return panel(session, action, filter_) | {"action": action, "before": before, "after": after}


def shown(session: ReviewSession, action: Action, filter_: Filter) -> list[Descriptor]:
    """Return the texts on the page of a class in its order: by kind, writer, reply, and position in the reply.

    Only the filter's kind and writer leave texts out; its other conditions fold them.
    """
    texts = session.snapshot().by_action.get(action.name, ())
    chosen = (d for d in texts if filter_.kind in ("", d.kind) and filter_.source in ("", d.writer))
    return sorted(chosen, key=lambda d: (d.kind, *_reply(d), d.position, d.id))


def _reply(descriptor: Descriptor) -> tuple[str, int, int]:
    return descriptor.writer, descriptor.sample or 0, descriptor.generation or 0


def panel(session: ReviewSession, action: Action, filter_: Filter, *, request: Values | None = None) -> Values:
    """Return the part of a class's page that decisions change.

    Args:
        session, action, filter_: of the page.
        request: a decision that was refused because others had changed texts: its `conflicts`, the `decision` and the
            reviewer's `text`.
    """
    request = request or {"conflicts": (), "decision": "", "text": ""}
    matching = {d.id for d in session.matching(replace(filter_, classes="all"))}
    snapshot, (flags, _) = session.snapshot(), session.flags()
    texts = as_texts(session, shown(session, action, filter_), matching, request["conflicts"])
    kinds = groupby(texts, key=lambda text: text.descriptor.kind)
    return {
        "sections": {kind: _columns(list(of_kind), flags) for kind, of_kind in kinds},
        "counts": Counts.of(text.descriptor for text in texts if text.matches),
        "folded": sum(not text.matches for text in texts),
        "request": request,
        "event": snapshot.event,
        "gone": [conflict for conflict in request["conflicts"] if not conflict.in_use],
        "verdicts": snapshot.verdicts,
        "verdict": snapshot.verdicts.by_class.get(action.name) if snapshot.verdicts else None,
        "replaced": len(_replaced(snapshot, [action.name])),
        "can_regenerate": session.jobs is not None,
    }


def as_texts(
    session: ReviewSession,
    descriptors: Iterable[Descriptor],
    matching: Collection[int],
    conflicts: tuple[Conflict, ...] = (),
) -> list[Text]:
    """Return descriptors with everything that their cards show; `matching`: ids of those that pass the filter."""
    impacts, flags, comments = session.snapshot().impacts, session.flags()[0].by_id, session.comments()
    changed = by_text(conflicts)
    return [
        Text(
            d,
            flags.get(d.id, ()),
            impacts.get(d.id),
            matches=d.id in matching,
            conflict=changed.get(d.id),
            comments=comments.get(d.id, ()),
        )
        for d in descriptors
    ]


def _columns(texts: Sequence[Text], flags: Flags) -> list[Column]:
    columns = []
    for (source, sample, generation), group in groupby(texts, key=lambda text: _reply(text.descriptor)):
        reply = list(group)
        findings = flags.by_reply.get(tuple(text.descriptor.id for text in reply), ())
        columns.append(Column(source, sample, generation or None, reply, findings))
    return columns


def log(session: ReviewSession, number: str) -> Values:
    """Return the events of the dataset, newest first, 100 on a page; `number`: of the page."""
    rows = paged(session.reviews.event_ids(session.dataset)[::-1], number)
    subjects = {d.id: f"{session.phrases[d.action]}, {d.kind}" for d in session.snapshot().descriptors}
    shown = session.reviews.events_by_id(rows.shown)[::-1]
    return {"rows": rows, "events": [_event(event, subject=_subject(event, subjects)) for event in shown]}


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


def comments(session: ReviewSession, descriptor_id: int) -> Values:
    """Return the comments on one descriptor; a blind reviewer gets only their own."""
    [descriptor] = session.reviews.descriptors([descriptor_id])
    said = session.notes.of(descriptor_id, reviewer=session.reviewer if session.blind else None)
    return {"text": descriptor.text, "comments": said, "about": descriptor_id, "blind": session.blind}


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


def marked(text: str, search: str) -> Markup:
    """Return a text as HTML in which what was searched for is marked; everything in it is escaped."""
    parts = re.split(f"({re.escape(search)})", text, flags=re.IGNORECASE) if search else [text]
    return Markup("").join(
        Markup("<mark>{}</mark>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )
