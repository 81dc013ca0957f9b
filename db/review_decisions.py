"""What each decision of a reviewer does to descriptors. Only `db.reviews` calls these, in a write transaction.

Every function returns the changes for the log, in the order in which the descriptors were named, and raises

    UsageError: a descriptor is not there, or none is named.
    ConflictError: a descriptor is not what the reviewer saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from db import queries, review_log
from db.conflicts import conflicts
from db.errors import ConflictError, UsageError
from db.records import Change, DescriptorStatus, ReviewEvent, Seen, State
from db.schema import ActionRow, DescriptorRow, utc_now

_SHOWN = 10


def load(session: Session, seen: Sequence[Seen]) -> list[DescriptorRow]:
    """Return the rows that a reviewer saw, if they are what they were."""
    versions = {each.id: each.version for each in seen}
    rows = rows_of(session, list(versions))
    if not seen or len(set(seen)) > len(versions):
        raise UsageError("A decision names at least one descriptor, and each in one version")
    moved = [row for row in rows if row.version != versions[row.id] or row.superseded_at is not None]
    if moved:
        raise ConflictError(conflicts(session, [(Seen(row.id, versions[row.id]), row) for row in moved]))
    return rows


def rows_of(session: Session, ids: Sequence[int]) -> list[DescriptorRow]:
    """Return the rows of descriptors, in use or not, in that order."""
    found: dict[int, DescriptorRow] = {}
    for chunk in queries.chunks(ids):
        query = select(DescriptorRow).where(DescriptorRow.id.in_(chunk))
        found.update((row.id, row) for row in session.scalars(query))
    if unknown := [number for number in ids if number not in found]:
        some = ", ".join(map(str, unknown[:_SHOWN])) + (" ..." if len(unknown) > _SHOWN else "")
        raise UsageError(f"No descriptor {some}. The ids are shown by: descgen show --ids")
    return [found[number] for number in ids]


def judge(
    session: Session, seen: Sequence[Seen], *, status: DescriptorStatus, reviewer: str
) -> tuple[list[Change], int]:
    """Give descriptors a status; return also how many this reviewer had given it before, which are left alone.

    That another reviewer gave the same status before is no reason: the verdict of each is recorded.
    """
    rows = load(session, seen)
    given = review_log.standing(session, reviewer, [row for row in rows if row.status == status])
    new = [row for row in rows if row.status != status or given.get(row.id, "pending") != status]
    return [_changed(row, status, row.position) for row in new], len(rows) - len(new)


def edit(session: Session, seen: Seen, *, text: str) -> list[Change]:
    """Put a new text in the place of one that stays as it was, out of use."""
    [row] = load(session, [seen])
    if row.text == text:
        raise UsageError(f"That is what {row.id} says already: {text!r}. Accept it with: descgen accept {row.id}")
    new = DescriptorRow(
        action_id=row.action_id,
        kind=row.kind,
        position=row.position,
        text=text,
        source="human",
        origin=row.origin,
        generation_id=row.generation_id,
        edited_from_id=row.id,
        status="accepted",
        version=1,
    )
    session.add(new)
    session.flush()
    before = _state(row)
    _withdraw(row)
    return [Change(row.id, before, _state(new))]


def add(session: Session, action: ActionRow, *, kind: str, text: str) -> list[Change]:
    """Add a reviewer's own text after the others that people wrote for that action and kind."""
    mine = (DescriptorRow.action_id == action.id) & (DescriptorRow.kind == kind) & DescriptorRow.superseded_at.is_(None)
    there = session.scalar(select(DescriptorRow).where(mine, DescriptorRow.text == text).limit(1))
    if there is not None:
        raise UsageError(
            f"{there.id} says that already, and is {there.status}. Accept it with: descgen accept {there.id}"
        )
    own = mine & DescriptorRow.generation_id.is_(None) & DescriptorRow.origin.is_(None)
    last = session.scalar(select(func.max(DescriptorRow.position)).where(own))
    position = 0 if last is None else last + 1
    new = DescriptorRow(
        action_id=action.id, kind=kind, position=position, text=text, source="human", status="accepted", version=1
    )
    session.add(new)
    session.flush()
    return [Change(new.id, None, _state(new))]


def reorder(session: Session, seen: Sequence[Seen]) -> list[Change]:
    """Number the texts of one place in the order in which they are named, from 0.

    A place holds the texts of one reply, or of one imported file, or what people added, for one action and kind.
    """
    rows = load(session, seen)
    of_first = select(DescriptorRow.id).where(DescriptorRow.superseded_at.is_(None), _same_place(rows[0]))
    place = set(session.scalars(of_first))
    named = {row.id for row in rows}
    if named != place:
        odd = f"not of it: {_listed(named - place)}" if named - place else f"left out: {_listed(place - named)}"
        raise UsageError(f"Name all texts of one reply, file or person for a class and kind, rejected ones too; {odd}")
    return [
        _changed(row, cast(DescriptorStatus, row.status), position)
        for position, row in enumerate(rows)
        if row.position != position
    ]


def _same_place(row: DescriptorRow) -> ColumnElement[bool]:
    columns = (DescriptorRow.action_id, DescriptorRow.kind, DescriptorRow.generation_id, DescriptorRow.origin)
    values = (row.action_id, row.kind, row.generation_id, row.origin)
    return and_(*(column.is_not_distinct_from(value) for column, value in zip(columns, values, strict=True)))


def _listed(ids: set[int]) -> str:
    return ", ".join(map(str, sorted(ids)))


def take_back(session: Session, events: Sequence[ReviewEvent]) -> list[Change]:
    """Bring back what was there before a decision, if nobody has changed it since; what was undone is no change."""
    changes = [event.change for event in events]
    states = [change.after.seen for change in changes if change.after]
    ids = {number for change in changes for number in (change.descriptor, _row_of(change))}
    later = review_log.of_descriptors(session, ids, after=events[-1].id)
    rows = load(session, review_log.without_undone(states, later))
    return [_taken_back(session, row, change) for row, change in zip(rows, changes, strict=True)]


def _row_of(change: Change) -> int:
    return change.after.id if change.after else change.descriptor


def _taken_back(session: Session, row: DescriptorRow, change: Change) -> Change:
    if change.before and change.before.id == row.id:
        return _changed(row, change.before.status, change.before.position)
    now = _state(row)
    _withdraw(row)
    if change.before is None:
        return Change(change.descriptor, now, None)
    original = session.get_one(DescriptorRow, change.before.id)
    original.superseded_at, original.withdrawn = None, False
    original.version += 1
    return Change(change.descriptor, now, _state(original))


def _changed(row: DescriptorRow, status: DescriptorStatus, position: int) -> Change:
    before = _state(row)
    row.status, row.position = status, position
    row.version += 1
    return Change(row.id, before, _state(row))


def _withdraw(row: DescriptorRow) -> None:
    row.superseded_at, row.withdrawn = utc_now(), True
    row.version += 1


def _state(row: DescriptorRow) -> State:
    return State(row.id, row.version, row.text, cast(DescriptorStatus, row.status), row.position)
