"""The log of review: its events are added and read, never changed. Only `db.reviews` calls these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db import current as in_use
from db import queries
from db.errors import UsageError, UserError
from db.records import Change, Dataset, Decision, ReviewEvent, Seen, State, What
from db.schema import ActionRow, DatasetRow, DescriptorRow, ReviewEventRow, utc_now

_VERDICTS: Mapping[str, bool | None] = {"accept": True, "reject": False, "edit": False, "restore": None}
_UNDONE = select(ReviewEventRow.undoes).where(ReviewEventRow.undoes.is_not(None))


def record(
    session: Session,
    what: What,
    changes: Sequence[Change],
    *,
    reviewer: str,
    already: int = 0,
    undoes: int | None = None,
) -> Decision:
    """Add the events of one decision; none where nothing was changed."""
    number = (session.scalar(select(func.max(ReviewEventRow.decision))) or 0) + 1 if changes else None
    decision = Decision(number, what, reviewer, utc_now(), tuple(changes), already, undoes)
    if changes:
        session.flush()
        session.execute(insert(ReviewEventRow), [_values(decision, change) for change in changes])
    return decision


def _values(decision: Decision, change: Change) -> dict[str, Any]:
    return {
        "descriptor_id": change.descriptor,
        "reviewer": decision.reviewer,
        "what": decision.what,
        "before": dict(vars(change.before)) if change.before else {},
        "after": dict(vars(change.after)) if change.after else {},
        "at": decision.at,
        "decision": decision.id,
        "undoes": decision.undoes,
    }


def event(row: ReviewEventRow) -> ReviewEvent:
    change = Change(row.descriptor_id, _state(row.before), _state(row.after))
    return ReviewEvent(row.id, row.decision, cast(What, row.what), row.reviewer, row.at, change, row.undoes)


def _state(values: Mapping[str, Any]) -> State | None:
    return State(**values) if "id" in values else None


def of_descriptors(session: Session, ids: Iterable[int], *, after: int = 0) -> list[ReviewEvent]:
    """Return the events of descriptors that came after one of them, in time order."""
    found: list[ReviewEventRow] = []
    for chunk in queries.chunks(sorted(set(ids))):
        query = select(ReviewEventRow).where(ReviewEventRow.descriptor_id.in_(chunk), ReviewEventRow.id > after)
        found += session.scalars(query)
    return [event(row) for row in sorted(found, key=lambda row: row.id)]


def of_dataset(session: Session, dataset: Dataset, kinds: Sequence[str] | None) -> list[ReviewEvent]:
    """Return the events of everything ever written about a dataset's actions, in time order."""
    query = (
        select(ReviewEventRow, ActionRow.name)
        .join(DescriptorRow, DescriptorRow.id == ReviewEventRow.descriptor_id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .where(DatasetRow.name == dataset.stored_as)
        .order_by(ReviewEventRow.id)
    )
    query = query if kinds is None else query.where(DescriptorRow.kind.in_(kinds))
    names = {action.name for action in dataset.actions}
    return [event(row) for row, action in session.execute(in_use.of_actions(query, dataset)) if action in names]


def to_undo(session: Session, reviewer: str, decision: int | None) -> list[ReviewEvent]:
    """Return the events of a decision; of the reviewer's last that is not undone, if none is named.

    Raises:
        UsageError: there is no decision of that number, or it was undone, or is itself an undoing.
        UserError: there is none to undo.
    """
    if decision is None:
        mine = select(ReviewEventRow.decision).where(ReviewEventRow.reviewer == reviewer, ReviewEventRow.what != "undo")
        decision = session.scalar(
            mine.where(ReviewEventRow.decision.not_in(_UNDONE)).order_by(ReviewEventRow.id.desc()).limit(1)
        )
        if decision is None:
            raise UserError(f"{reviewer} has no decision to undo")
    by = session.scalar(select(ReviewEventRow).where(ReviewEventRow.undoes == decision).limit(1))
    if by is not None:
        raise UsageError(f"Decision {decision} was undone by {by.reviewer} at {by.at:%Y-%m-%d %H:%M} UTC")
    found = session.scalars(
        select(ReviewEventRow).where(ReviewEventRow.decision == decision).order_by(ReviewEventRow.id)
    ).all()
    if not found or found[0].what == "undo":
        what = "is an undoing; decide anew instead" if found else "is none here"
        raise UsageError(f"Decision {decision} {what}. The decisions about a class: descgen history")
    return [event(row) for row in found]


def without_undone(states: Sequence[Seen], events: Sequence[ReviewEvent]) -> list[Seen]:
    """Return states of long ago in the versions that they came back in, as far as what came after was undone.

    Args:
        states: rows in the versions that decisions left them in.
        events: all events since, of these rows and of those that they were edited from.
    """
    next_to = {event.change.before.seen: event for event in events if event.change.before}
    undoing = {(event.undoes, event.change.descriptor): event.change.after for event in events if event.undoes}

    def now(state: Seen) -> Seen:
        while event := next_to.get(state):
            back = undoing.get((event.decision, event.change.descriptor))
            if back is None:
                break
            state = back.seen
        return state

    return [now(state) for state in states]


def standing(session: Session, reviewer: str, rows: Sequence[DescriptorRow]) -> dict[int, str]:
    """Return, for each of some descriptors that a reviewer decided on, the status that they gave it last."""
    ids = sorted({number for row in rows for number in (row.id, row.edited_from_id) if number is not None})
    given: dict[int, str] = {}
    for chunk in queries.chunks(ids):
        query = select(ReviewEventRow.after).where(
            ReviewEventRow.descriptor_id.in_(chunk),
            ReviewEventRow.reviewer == reviewer,
            ReviewEventRow.what.not_in(("reorder", "undo")),
            ReviewEventRow.decision.not_in(_UNDONE),
        )
        given.update((after["id"], after["status"]) for after in session.scalars(query.order_by(ReviewEventRow.id)))
    return given


def verdicts(session: Session, dataset: str | None) -> dict[str, dict[int, bool]]:
    """Return reviewer -> descriptor -> whether their last verdict on it, if it stands, accepted it as it was."""
    query = (
        select(ReviewEventRow.reviewer, ReviewEventRow.descriptor_id, ReviewEventRow.what)
        .where(ReviewEventRow.what.in_(list(_VERDICTS)), ReviewEventRow.decision.not_in(_UNDONE))
        .order_by(ReviewEventRow.id)
    )
    if dataset is not None:
        query = (
            query.join(DescriptorRow, DescriptorRow.id == ReviewEventRow.descriptor_id)
            .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
            .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
            .where(DatasetRow.name == dataset)
        )
    last: dict[str, dict[int, bool | None]] = defaultdict(dict)
    for reviewer, descriptor, what in session.execute(query):
        last[reviewer][descriptor] = _VERDICTS[what]
    return {
        reviewer: {descriptor: accepted for descriptor, accepted in given.items() if accepted is not None}
        for reviewer, given in last.items()
    }
