"""What became of a descriptor that is not what a reviewer saw: what it is now, and whose doing that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import review_log
from db.records import Conflict, DescriptorStatus, ReviewEvent, Seen
from db.schema import DescriptorRow


def conflicts(session: Session, moved: Sequence[tuple[Seen, DescriptorRow]]) -> list[Conflict]:
    """Return what a reviewer is told about rows that moved on."""
    ids = {number for _, row in moved for number in (row.id, row.edited_from_id) if number is not None}
    events: dict[int, list[ReviewEvent]] = defaultdict(list)
    for event in review_log.of_descriptors(session, ids):
        for state in (event.change.before, event.change.after):
            if state:
                events[state.id].append(event)
    return [_conflict(session, seen, row, events[row.id]) for seen, row in moved]


def _conflict(session: Session, seen: Seen, row: DescriptorRow, events: Sequence[ReviewEvent]) -> Conflict:
    now = _standing(session, row)
    last = events[-1] if events and _made(events[-1], row) else None
    return Conflict(
        seen=seen,
        id=now.id,
        version=now.version,
        text=now.text,
        status=cast(DescriptorStatus, now.status),
        in_use=now.superseded_at is None,
        what=last.what if last else None,
        reviewer=last.reviewer if last else None,
        at=last.at if last else row.superseded_at,
    )


def _standing(session: Session, row: DescriptorRow) -> DescriptorRow:
    """Return the row that stands where a row stood: of a text and its edits all but one are withdrawn."""
    if not row.withdrawn:
        return row
    family = [row]
    while family[0].edited_from_id is not None:
        family.insert(0, session.get_one(DescriptorRow, family[0].edited_from_id))
    edits = [family[0]]
    while edits:
        family += edits
        ids = [each.id for each in edits]
        edits = list(session.scalars(select(DescriptorRow).where(DescriptorRow.edited_from_id.in_(ids))))
    return next((each for each in family if not each.withdrawn), row)


def _made(event: ReviewEvent, row: DescriptorRow) -> bool:
    """Return whether an event made the row what it is; else a build did. What goes out of use has no state after it."""
    before, after = event.change.before, event.change.after
    became = after is not None and (after.id, after.version) == (row.id, row.version)
    went = before is not None and (before.id, before.version + 1) == (row.id, row.version)
    return became or went
