"""The changes that each decision of a reviewer makes. Only `db.reviews` calls these, in a write transaction.

Every function returns the changes for the log, in the order of the descriptors in the request, and raises

    UsageError: a descriptor does not exist, or none is given.
    ConflictError: a descriptor is not in the version that the reviewer read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from db import queries, review_log
from db.errors import ConflictError, UsageError
from db.records import Change, Conflict, DescriptorRef, DescriptorStatus, ReviewEvent, State
from db.schema import ActionRow, DescriptorRow, utc_now

_MAX_LISTED = 10


def load(session: Session, refs: Sequence[DescriptorRef]) -> list[DescriptorRow]:
    """Return the rows of descriptors that must be in use and in the versions given."""
    expected = {ref.id: ref for ref in refs}
    rows = rows_by_id(session, list(expected))
    if not refs or len(set(refs)) > len(expected):
        raise UsageError("A decision needs at least one descriptor, and each in one version only")
    changed = [row for row in rows if row.version != expected[row.id].version or row.superseded_at is not None]
    if changed:
        raise ConflictError([_conflict(session, expected[row.id], row) for row in changed])
    return rows


def rows_by_id(session: Session, ids: Sequence[int]) -> list[DescriptorRow]:
    """Return the rows of descriptors, in use or not, in the order of `ids`."""
    rows: dict[int, DescriptorRow] = {}
    for chunk in queries.chunks(ids):
        rows.update((row.id, row) for row in session.scalars(select(DescriptorRow).where(DescriptorRow.id.in_(chunk))))
    if unknown := [row_id for row_id in ids if row_id not in rows]:
        listed = ", ".join(map(str, unknown[:_MAX_LISTED])) + (" ..." if len(unknown) > _MAX_LISTED else "")
        raise UsageError(f"No descriptor {listed}. The ids are shown by: descgen show --dataset NAME --ids")
    return [rows[row_id] for row_id in ids]


def _conflict(session: Session, expected: DescriptorRef, row: DescriptorRow) -> Conflict:
    ids = [row.id] if row.edited_from_id is None else [row.id, row.edited_from_id]
    events = review_log.events_of(session, ids)
    about_row = [e for e in events if row.id in {state.id for state in (e.change.before, e.change.after) if state}]
    cause = about_row[-1] if about_row and _caused(about_row[-1], row) else None
    now = _replacement(session, row)
    return Conflict(expected, _state(now), now.superseded_at is None, cause, cause.at if cause else row.superseded_at)


def _caused(event: ReviewEvent, row: DescriptorRow) -> bool:
    """Return whether an event, and no build after it, left the row in its version."""
    before, after = event.change.before, event.change.after
    changed = after is not None and (after.id, after.version) == (row.id, row.version)
    withdrawn = before is not None and (before.id, before.version + 1) == (row.id, row.version)
    return changed or withdrawn


def _replacement(session: Session, row: DescriptorRow) -> DescriptorRow:
    """Return the row that replaces a withdrawn row: the one row of the text and its edits that is not withdrawn."""
    if not row.withdrawn:
        return row
    family = [row]
    while family[0].edited_from_id is not None:
        family.insert(0, session.get_one(DescriptorRow, family[0].edited_from_id))
    edits = [family[0]]
    while edits:
        family += edits
        ids = [edit.id for edit in edits]
        edits = list(session.scalars(select(DescriptorRow).where(DescriptorRow.edited_from_id.in_(ids))))
    return next((member for member in family if not member.withdrawn), row)


def judge(
    session: Session, refs: Sequence[DescriptorRef], *, status: DescriptorStatus, reviewer: str
) -> tuple[list[Change], int]:
    """Give descriptors a status; also return how many are skipped, since this reviewer gave them that status before.

    If another reviewer gave that status, it is recorded again, so that the verdict of each reviewer is known.
    """
    rows = load(session, refs)
    last_statuses = review_log.last_statuses(session, reviewer, [row for row in rows if row.status == status])
    changed = [row for row in rows if row.status != status or last_statuses.get(row.id, "pending") != status]
    return [_change(row, status, row.position) for row in changed], len(rows) - len(changed)


def edit(session: Session, ref: DescriptorRef, *, text: str) -> list[Change]:
    """Replace a descriptor by a new row with another text; the old row is withdrawn."""
    [row] = load(session, [ref])
    if row.text == text:
        raise UsageError(f"{row.id} has that text already: {text!r}. Accept it with: descgen accept {row.id}")
    return [_reworded(session, row, text, "accepted")]


def replace(session: Session, texts: Mapping[DescriptorRef, str]) -> list[Change]:
    """Replace descriptors by new rows with other texts, which keep the status; the old rows are withdrawn."""
    rows = load(session, list(texts))
    if same := [row.id for row in rows if row.text == texts[DescriptorRef(row.id, row.version)]]:
        raise UsageError(f"These have that text already: {_listed(set(same))}. Leave them out")
    return [_reworded(session, row, texts[DescriptorRef(row.id, row.version)], row.status) for row in rows]


def _reworded(session: Session, row: DescriptorRow, text: str, status: DescriptorStatus) -> Change:
    columns = {name: getattr(row, name) for name in ("action_id", "kind", "position", "origin", "generation_id")}
    new = _add(session, text, status=status, edited_from_id=row.id, **columns)
    before = _state(row)
    _withdraw(row)
    return Change(row.id, before, _state(new))


def add(session: Session, action: ActionRow, *, kind: str, text: str) -> list[Change]:
    """Add a reviewer's own text after the others that people wrote for that action and kind."""
    same_kind = and_(
        DescriptorRow.action_id == action.id, DescriptorRow.kind == kind, DescriptorRow.superseded_at.is_(None)
    )
    twin = session.scalar(select(DescriptorRow).where(same_kind, DescriptorRow.text == text).limit(1))
    if twin is not None:
        raise UsageError(
            f"{twin.id} has that text already, and is {twin.status}. Accept it with: descgen accept {twin.id}"
        )
    by_people = same_kind & DescriptorRow.generation_id.is_(None) & DescriptorRow.origin.is_(None)
    last_position = session.scalar(select(func.max(DescriptorRow.position)).where(by_people))
    new = _add(
        session, text, action_id=action.id, kind=kind, position=0 if last_position is None else last_position + 1
    )
    return [Change(new.id, None, _state(new))]


def _add(
    session: Session, text: str, *, status: DescriptorStatus = "accepted", **columns: int | str | None
) -> DescriptorRow:
    row = DescriptorRow(text=text, source="human", status=status, version=1, **columns)
    session.add(row)
    session.flush()
    return row


def reorder(session: Session, refs: Sequence[DescriptorRef]) -> list[Change]:
    """Set the positions of texts to their order in the request, from 0.

    The request must hold all texts of one reply, of one imported file, or of people, for one action and kind.
    """
    rows = load(session, refs)
    same_reply = select(DescriptorRow.id).where(DescriptorRow.superseded_at.is_(None), _same_reply(rows[0]))
    expected, named = set(session.scalars(same_reply)), {row.id for row in rows}
    if named != expected:
        extra, missing = named - expected, expected - named
        fault = f"not of that reply: {_listed(extra)}" if extra else f"missing: {_listed(missing)}"
        raise UsageError(
            f"Name all texts of one reply, file or person for a class and kind, including rejected ones; {fault}"
        )
    return [_change(row, row.status, position) for position, row in enumerate(rows) if row.position != position]


def _same_reply(row: DescriptorRow) -> ColumnElement[bool]:
    columns = (DescriptorRow.action_id, DescriptorRow.kind, DescriptorRow.generation_id, DescriptorRow.origin)
    return and_(*(column.is_not_distinct_from(getattr(row, column.key)) for column in columns))


def _listed(ids: set[int]) -> str:
    return ", ".join(map(str, sorted(ids)))


def undo(session: Session, events: Sequence[ReviewEvent]) -> list[Change]:
    """Restore the state before a decision, unless somebody has changed it since; undone changes do not count.

    Args:
        events: the events of the decision.
    """
    changes = [event.change for event in events]
    after_decision = [change.after.ref for change in changes if change.after]
    ids = {row_id for change in changes for row_id in (change.descriptor, change.after and change.after.id) if row_id}
    later = review_log.events_of(session, ids, after=events[-1].id)
    rows = load(session, review_log.current_versions(after_decision, later))
    return [_restore(session, row, change) for row, change in zip(rows, changes, strict=True)]


def _restore(session: Session, row: DescriptorRow, change: Change) -> Change:
    if change.before and change.before.id == row.id:
        return _change(row, change.before.status, change.before.position)
    now = _state(row)
    _withdraw(row)
    if change.before is None:
        return Change(change.descriptor, now, None)
    original = session.get_one(DescriptorRow, change.before.id)
    original.superseded_at, original.withdrawn = None, False
    original.version += 1
    return Change(change.descriptor, now, _state(original))


def _change(row: DescriptorRow, status: DescriptorStatus, position: int) -> Change:
    before = _state(row)
    row.status, row.position = status, position
    row.version += 1
    return Change(row.id, before, _state(row))


def _withdraw(row: DescriptorRow) -> None:
    row.superseded_at, row.withdrawn = utc_now(), True
    row.version += 1


def _state(row: DescriptorRow) -> State:
    return queries.to_record(State, row)
