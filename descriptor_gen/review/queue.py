"""The queue of a reviewer: the texts of a class in the order of its page, and which one comes after a decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from db.records import Action, Decision
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.pages import class_rows, shown
from descriptor_gen.review.session import ReviewSession

_GOES_ON = ("accept", "reject", "edit")  # after other decisions the reviewer stays at the text


@dataclass(frozen=True)
class Next:
    """Where the focus goes.

    Attributes:
        action: the class; None: there is none, such as after the undo of all texts of a filter.
        descriptor: the text; None: the first one of the class that is to be decided.
        end: how the reviewer is told that a class, or everything, is done; empty if it is not.
    """

    action: Action | None = None
    descriptor: int | None = None
    end: str = ""


def after(session: ReviewSession, decision: Decision, *, action: Action | None, current: int, filter_: Filter) -> Next:
    """Return where the focus goes after a decision that was made on a page.

    Args:
        session: has read the decision.
        decision: as recorded.
        action: the class of the page; None for the overview.
        current: id of the text that had the focus, 0 if none had.
        filter_: of the page.
    """
    changes = decision.changes
    state = next((change.after for change in changes if change.after), None)
    if decision.what not in _GOES_ON:
        moved = current if decision.what == "reorder" else None
        return _at(session, moved or (state.id if state else current)) if changes else Next(action, current or None)
    if action is None:
        return Next()
    decided = state.id if state else current
    was_pending = any(change.before and change.before.status == "pending" for change in changes)
    return _following(session, action, decided, filter_, was_pending=was_pending)


def _at(session: ReviewSession, descriptor: int) -> Next:
    """Return the place of a text; without one if it is out of use."""
    names = {d.id: d.action for d in session.snapshot().descriptors}
    action = next((a for a in session.dataset.actions if a.name == names.get(descriptor)), None)
    return Next(action, descriptor) if action else Next()


def _following(session: ReviewSession, action: Action, decided: int, filter_: Filter, *, was_pending: bool) -> Next:
    """Return the pending text after one that was decided, from the start again at the end; else the next class."""
    order = shown(session, action, filter_)
    matching = {d.id for d in session.matching(replace(filter_, classes="all"))}
    place = next((index for index, d in enumerate(order) if d.id == decided), -1)
    following = [d for d in order[place + 1 :] + order[: max(place, 0)] if d.id in matching]
    pending = next((d for d in following if d.status == "pending"), None)
    if pending is not None:
        return Next(action, pending.id)
    if not was_pending:  # the class was done before: stay in it
        further = next((d.id for d in order[place + 1 :] if d.id in matching), decided)
        return Next(action, further)
    other = _next_class(session, action, filter_)
    if other is None:
        return Next(action, decided, "Everything that matches is decided")
    return Next(other, None, f"{action.phrase} is done; next class: {other.phrase}")


def _next_class(session: ReviewSession, action: Action, filter_: Filter) -> Action | None:
    """Return the class after this one, in the order of the overview, that has a pending text that matches."""
    order = [row.action for row in class_rows(session, session.matching(filter_), filter_.order)]
    labels = [other.label for other in order]
    place = labels.index(action.label) + 1 if action.label in labels else _insertion(labels, action.label)
    pending = {d.action for d in session.matching(filter_) if d.status == "pending"}
    return next((other for other in order[place:] + order[:place] if other.name in pending), None)


def _insertion(labels: Sequence[int], label: int) -> int:
    return next((index for index, other in enumerate(labels) if other > label), 0)
