"""The values that each page's template asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from db.records import Action, ReviewEvent, State
from descriptor_gen.review import views
from descriptor_gen.review.filters import ORDERS, Filter
from descriptor_gen.review.session import Desk

Values = dict[str, Any]
_EVENTS = 500
_FIRST_LINT_SECONDS = 5.0  # what a person waits for once, when the server has just begun


def overview(desk: Desk, chosen: Filter) -> Values:
    """Return the classes that pass a filter."""
    state, (flags, behind) = desk.state(), desk.flags(wait=_FIRST_LINT_SECONDS)
    passes = chosen.predicate(desk.phrases, flags.rules)
    matching = [d for d in state.descriptors if passes(d)]
    pending = [d for d in matching if d.status == "pending"]
    rows = views.class_rows(desk.dataset, matching, order=chosen.order, flagged=flags.rules, impacts=state.impacts)
    return {
        "rows": rows,
        "classes": len(desk.dataset.actions),
        "matching": len(matching),
        "pending": len(pending),
        "stamp": views.stamp(pending),
        "checking": behind,
        "impact": bool(state.impacts),
        "choices": _choices(desk),
    }


def _choices(desk: Desk) -> Values:
    state, (flags, _) = desk.state(), desk.flags()
    rules = Counter(rule for found in flags.rules.values() for rule in found)
    orders = [(order, name) for order, name in ORDERS.items() if order != "impact" or state.impacts]
    return {
        "kinds": sorted({d.kind for d in state.descriptors}),
        "sources": sorted({d.writer for d in state.descriptors}),
        "flags": sorted(rules.items()),
        "orders": orders,
    }


def one_class(desk: Desk, action: Action, chosen: Filter) -> Values:
    """Return a class with its neighbours in the filter's order."""
    labels = [row.label for row in overview(desk, chosen)["rows"]]
    place = labels.index(action.label) if action.label in labels else None
    before = labels[place - 1] if place else None
    after = labels[place + 1] if place is not None and place + 1 < len(labels) else None
    if place is None:  # the last decision took it out of the filter: go on with what comes next
        after = next((label for label in labels if label > action.label), None)
    return panel(desk, action, chosen) | {"action": action, "before": before, "after": after}


def panel(desk: Desk, action: Action, chosen: Filter) -> Values:
    """Return the part of a class's page that decisions change."""
    state, (flags, _) = desk.state(), desk.flags()
    shown = views.sections(state.of(action.name), chosen=chosen, flags=flags, impacts=state.impacts)
    texts = [text for section in shown for column in section.columns for text in column.texts]
    return {
        "sections": shown,
        "counts": views.Counts(**Counter(text.status for text in texts)),
        "conflicts": (),
        "can_regenerate": desk.can_regenerate,
    }


def events(desk: Desk) -> list[Values]:
    """Return the newest decisions on the dataset."""
    actions = {d.id: f"{desk.phrases[d.action]}, {d.kind}" for d in desk.state().descriptors}
    return [_event(event, where=_where(event, actions)) for event in desk.events(limit=_EVENTS)]


def _where(event: ReviewEvent, actions: Mapping[int, str]) -> str:
    """Return class and kind; of a text that is out of use, those of what stood in its place then."""
    rows = (event.change.descriptor, *(state.id for state in (event.change.after, event.change.before) if state))
    return next((actions[row] for row in rows if row in actions), "no longer in use")


def history(desk: Desk, descriptor: int) -> Values:
    """Return the events of one descriptor, and what it was at first."""
    [found] = desk.reviews.descriptors([descriptor])
    return {
        "text": found.text,
        "original": found.original,
        "source": found.writer,
        "events": [_event(event, where=found.kind) for event in desk.history(descriptor)],
    }


def call(desk: Desk, generation: int) -> Values:
    """Return one LLM call with everything that is known of it."""
    entry = desk.readings.call(generation)
    made = entry.generation
    facts = {
        "provider": entry.llm.provider,
        "revision": entry.llm.revision or "not known",
        "template": f"version {entry.template_version} ({entry.template_sha256[:12]})",
        "written": f"{entry.created_at:%Y-%m-%d %H:%M} UTC, attempt {entry.attempt}",
        "tokens": f"{made.tokens_in} in, {made.tokens_out} out, {made.seconds:.1f} seconds",
        "ended by": made.finish_reason,
        **made.parameters,
        **made.environment,
    }
    return {"call": entry, "facts": list(facts.items())}


def _event(event: ReviewEvent, *, where: str = "") -> Values:
    before, after = event.change.before, event.change.after
    return {
        "at": event.at,
        "reviewer": event.reviewer,
        "what": f"{event.what} (of decision {event.undoes})" if event.undoes else event.what,
        "where": where,
        "before": _state(before),
        "after": _state(after, unlike=before),
    }


def _state(state: State | None, *, unlike: State | None = None) -> str:
    """Return what stood there, in words; a text that did not change is not said again."""
    if state is None:
        return "nothing"
    same = unlike is not None and unlike.text == state.text
    place = f", at place {state.position + 1}" if unlike is not None and unlike.position != state.position else ""
    return f"{state.status}{place}" if same else f"{state.status}: {state.text}{place}"
