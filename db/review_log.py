"""The log of review: events are added and read, never changed. Callers pass the session of their transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db import queries
from db.errors import UsageError, UserError
from db.records import Change, Dataset, Decision, DecisionKind, DescriptorRef, ReviewEvent, State
from db.schema import ActionRow, DatasetRow, DescriptorRow, ReviewEventRow, utc_now

_NO_VERDICTS = ("reorder", "replace", "undo")  # these leave the status as it is, whoever gave it
UNDONE = select(ReviewEventRow.undoes).where(ReviewEventRow.undoes.is_not(None))  # ids of the decisions


def append(
    session: Session,
    kind: DecisionKind,
    changes: Sequence[Change],
    *,
    reviewer: str,
    already: int = 0,
    undoes: int | None = None,
) -> Decision:
    """Add the events of a decision to the log, if it changed anything; return the decision."""
    decision_id = (session.scalar(select(func.max(ReviewEventRow.decision))) or 0) + 1 if changes else None
    decision = Decision(decision_id, kind, reviewer, utc_now(), tuple(changes), already, undoes)
    if changes:
        session.flush()
        session.execute(insert(ReviewEventRow), [_values(decision, change) for change in changes])
    return decision


def _values(decision: Decision, change: Change) -> dict[str, Any]:
    return queries.row_values(
        ReviewEventRow,
        decision,
        decision=decision.id,
        descriptor_id=change.descriptor,
        before=dict(vars(change.before)) if change.before else {},
        after=dict(vars(change.after)) if change.after else {},
    )


def _event(row: ReviewEventRow) -> ReviewEvent:
    return queries.to_record(ReviewEvent, row, change=Change(row.descriptor_id, _state(row.before), _state(row.after)))


def _state(values: Mapping[str, Any]) -> State | None:
    return State(**values) if "id" in values else None


def events_of(session: Session, ids: Iterable[int], *, after: int = 0) -> list[ReviewEvent]:
    """Return the events about descriptors with a higher id than `after`, in time order."""
    rows: list[ReviewEventRow] = []
    for chunk in queries.chunks(sorted(set(ids))):
        query = select(ReviewEventRow).where(ReviewEventRow.descriptor_id.in_(chunk), ReviewEventRow.id > after)
        rows += session.scalars(query)
    return [_event(row) for row in sorted(rows, key=lambda row: row.id)]


def dataset_events(session: Session, dataset: Dataset, kinds: Sequence[str] | None) -> list[ReviewEvent]:
    """Return the events about a dataset's descriptors, in use or not, in time order."""
    query = _of_dataset(ReviewEventRow, dataset)
    query = query if kinds is None else query.where(DescriptorRow.kind.in_(kinds))
    names = {action.name for action in dataset.actions}
    return [_event(row) for row, action in session.execute(query) if action in names]


def dataset_event_ids(session: Session, dataset: Dataset) -> list[int]:
    """Return the ids of the events about a dataset's descriptors, in use or not, in time order."""
    names = {action.name for action in dataset.actions}
    return [row for row, action in session.execute(_of_dataset(ReviewEventRow.id, dataset)) if action in names]


def events_by_id(session: Session, ids: Sequence[int]) -> list[ReviewEvent]:
    """Return events in time order."""
    parts = (select(ReviewEventRow).where(ReviewEventRow.id.in_(chunk)) for chunk in queries.chunks(ids))
    rows = [row for part in parts for row in session.scalars(part)]
    return [_event(row) for row in sorted(rows, key=lambda row: row.id)]


def _of_dataset(columns: Any, dataset: Dataset) -> Any:
    """Return the query of the events about a dataset's descriptors, each with the name of its action."""
    query = (
        select(columns, ActionRow.name)
        .join(DescriptorRow, DescriptorRow.id == ReviewEventRow.descriptor_id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .where(DatasetRow.name == dataset.stored_as)
        .order_by(ReviewEventRow.id)
    )
    return queries.only_actions(query, dataset)


def last_times(session: Session, dataset: Dataset) -> dict[str, datetime]:
    """Return reviewer -> time of the last decision about a dataset."""
    query = (
        select(ReviewEventRow.reviewer, func.max(ReviewEventRow.at))
        .join(DescriptorRow, DescriptorRow.id == ReviewEventRow.descriptor_id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .where(DatasetRow.name == dataset.stored_as)
        .group_by(ReviewEventRow.reviewer)
    )
    return dict(session.execute(query).all())


def events_to_undo(session: Session, reviewer: str, decision: int | None) -> list[ReviewEvent]:
    """Return the events of a decision; by default, of the reviewer's last decision that is not undone.

    Raises:
        UsageError: the decision does not exist, was undone already, or is itself an undo.
        UserError: the reviewer has no decision to undo.
    """
    if decision is None:
        own = select(ReviewEventRow.decision).where(ReviewEventRow.reviewer == reviewer, ReviewEventRow.what != "undo")
        decision = session.scalar(
            own.where(ReviewEventRow.decision.not_in(UNDONE)).order_by(ReviewEventRow.id.desc()).limit(1)
        )
        if decision is None:
            raise UserError(f"{reviewer} has no decision to undo")
    undo = session.scalar(select(ReviewEventRow).where(ReviewEventRow.undoes == decision).limit(1))
    if undo is not None:
        raise UsageError(f"Decision {decision} was undone by {undo.reviewer} at {undo.at:%Y-%m-%d %H:%M} UTC")
    query = select(ReviewEventRow).where(ReviewEventRow.decision == decision).order_by(ReviewEventRow.id)
    rows = session.scalars(query).all()
    if not rows or rows[0].what == "undo":
        reason = "is an undo; decide again instead" if rows else "does not exist"
        raise UsageError(f"Decision {decision} {reason}. Decisions are listed by: descgen history --dataset NAME")
    return [_event(row) for row in rows]


def current_versions(states: Sequence[DescriptorRef], events: Sequence[ReviewEvent]) -> list[DescriptorRef]:
    """Return the version of each state after the changes and undos that followed, if all those changes were undone.

    Args:
        states: descriptors in the versions that a decision made.
        events: all later events about them and about their edits.
    """
    next_event = {event.change.before.ref: event for event in events if event.change.before}
    undone_to = {(event.undoes, event.change.descriptor): event.change.after for event in events if event.undoes}

    def follow(state: DescriptorRef) -> DescriptorRef:
        while event := next_event.get(state):
            restored = undone_to.get((event.decision, event.change.descriptor))
            if restored is None:
                break
            state = restored.ref
        return state

    return [follow(state) for state in states]


def last_statuses(session: Session, reviewer: str, rows: Sequence[DescriptorRow]) -> dict[int, str]:
    """Return descriptor id -> last status given by a reviewer, for the descriptors that the reviewer judged."""
    ids = sorted({row_id for row in rows for row_id in (row.id, row.edited_from_id) if row_id is not None})
    statuses: dict[int, str] = {}
    for chunk in queries.chunks(ids):
        query = select(ReviewEventRow.after).where(
            ReviewEventRow.descriptor_id.in_(chunk),
            ReviewEventRow.reviewer == reviewer,
            ReviewEventRow.what.not_in(_NO_VERDICTS),
            ReviewEventRow.decision.not_in(UNDONE),
        )
        statuses.update((after["id"], after["status"]) for after in session.scalars(query.order_by(ReviewEventRow.id)))
    return statuses
