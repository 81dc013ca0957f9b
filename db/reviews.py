"""Review: what people decide about descriptors. What an LLM said is never overwritten, and no decision is forgotten.

    reviews = store.reviews()
    decision = reviews.accept([descriptor.seen for descriptor in shown], reviewer="anna")
    reviews.undo(reviewer="anna")

A decision names each descriptor in the version that the reviewer saw. If one of them was changed since, nothing is
changed, and the `ConflictError` tells what it is now and whose doing that is. Of two decisions at once one is first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db import current as in_use
from db import queries, review_log, vocabulary
from db import review_decisions as decisions
from db.agreement import agreements
from db.engine import told, write_session
from db.errors import UsageError
from db.records import (
    Agreement,
    Change,
    Dataset,
    Decision,
    Descriptor,
    DescriptorStatus,
    ReviewEvent,
    Seen,
    What,
)
from db.schema import ActionRow, DescriptorRow

_LONGEST_NAME = 200


class Reviews:
    """The decisions of reviewers, to make and to read.

    Everything that decides returns the decision as it was recorded, and raises

        UsageError: a descriptor is not there, a text is empty, the reviewer has no name.
        ConflictError: a descriptor is not what the reviewer saw; nothing was changed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def accept(self, seen: Sequence[Seen], *, reviewer: str) -> Decision:
        """Accept descriptors; those that this reviewer had accepted before are left alone and counted."""
        return self._judge("accept", "accepted", seen, reviewer)

    def reject(self, seen: Sequence[Seen], *, reviewer: str) -> Decision:
        """Reject descriptors; those that this reviewer had rejected before are left alone and counted."""
        return self._judge("reject", "rejected", seen, reviewer)

    def restore(self, seen: Sequence[Seen], *, reviewer: str) -> Decision:
        """Make descriptors pending again; a reviewer takes back an own verdict so."""
        return self._judge("restore", "pending", seen, reviewer)

    def _judge(self, what: What, status: DescriptorStatus, seen: Sequence[Seen], reviewer: str) -> Decision:
        with self._deciding(reviewer) as (session, name):
            changes, already = decisions.judge(session, seen, status=status, reviewer=name)
            return review_log.record(session, what, changes, reviewer=name, already=already)

    def edit(self, seen: Seen, text: str, *, reviewer: str) -> Decision:
        """Put a reviewer's text in the place of a descriptor. It is a new row, accepted; the old one stays as it was.

        The new row keeps the generation of the old one, and with it who wrote what was edited.
        """
        with self._deciding(reviewer) as (session, name):
            return self._record(session, "edit", name, decisions.edit(session, seen, text=plain(text)))

    def add(self, dataset: Dataset, action: str, kind: str, text: str, *, reviewer: str) -> Decision:
        """Add a reviewer's own text, accepted, for an action (by its dataset's name for it) and a kind."""
        with self._deciding(reviewer) as (session, name):
            row = _action(session, dataset, action)
            return self._record(session, "add", name, decisions.add(session, row, kind=kind, text=plain(text)))

    def reorder(self, seen: Sequence[Seen], *, reviewer: str) -> Decision:
        """Put the texts of one reply, of one imported file, or those that people added, in the order named.

        Raises:
            UsageError: they are not all texts of one place for one action and kind, rejected ones included.
        """
        with self._deciding(reviewer) as (session, name):
            return self._record(session, "reorder", name, decisions.reorder(session, seen))

    def undo(self, *, reviewer: str, decision: int | None = None) -> Decision:
        """Take back a decision: the one named, whosever it is, else the reviewer's last that is not undone.

        Raises:
            UsageError: there is none of that number, or it was undone, or is itself an undoing.
            UserError: the reviewer has none to undo.
            ConflictError: something it decided was changed since.
        """
        with self._deciding(reviewer) as (session, name):
            events = review_log.to_undo(session, name, decision)
            changes = decisions.take_back(session, events)
            return review_log.record(session, "undo", changes, reviewer=name, undoes=events[0].decision)

    def _record(self, session: Session, what: What, reviewer: str, changes: Sequence[Change]) -> Decision:
        return review_log.record(session, what, changes, reviewer=reviewer)

    def descriptors(self, ids: Sequence[int]) -> list[Descriptor]:
        """Return descriptors in use by their ids, in that order.

        Raises:
            UsageError: one is not there, or out of use.
        """
        found: dict[int, Descriptor] = {}
        with self._read() as session:
            decisions.rows_of(session, ids)
            for chunk in queries.chunks(ids):
                query = queries.descriptor_query(None, None).where(DescriptorRow.id.in_(chunk))
                found.update((each.id, each) for each in in_use.descriptors(session, query))
        if out := [number for number in ids if number not in found]:
            raise UsageError(
                f"Out of use: {', '.join(map(str, out))}. What became of each says: descgen history {out[0]}"
            )
        return [found[number] for number in ids]

    def history(self, descriptor: int) -> list[ReviewEvent]:
        """Return every event of a descriptor and of those that it was edited from, in time order.

        Raises:
            UsageError: there is no such descriptor.
        """
        with self._read() as session:
            [row] = decisions.rows_of(session, [descriptor])
            ids = [row.id]
            while row.edited_from_id is not None:
                row = session.get_one(DescriptorRow, row.edited_from_id)
                ids.append(row.id)
            return review_log.of_descriptors(session, ids)

    def events(self, dataset: Dataset, *, kinds: Sequence[str] | None = None) -> list[ReviewEvent]:
        """Return every event about a dataset's actions, in time order."""
        with self._read() as session:
            return review_log.of_dataset(session, dataset, kinds)

    def agreement(self, dataset: Dataset | None = None) -> list[Agreement]:
        """Return how far each two reviewers agree, on a dataset or on everything, by their names."""
        with self._read() as session:
            return agreements(review_log.verdicts(session, dataset.stored_as if dataset else None))

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with told(self._engine.url), Session(self._engine) as session:
            yield session

    @contextmanager
    def _deciding(self, reviewer: str) -> Iterator[tuple[Session, str]]:
        """Give a session that no other decision overlaps, and the reviewer's name."""
        name = " ".join(reviewer.split())
        if not name or len(name) > _LONGEST_NAME:
            raise UsageError(f"A reviewer has a name of at most {_LONGEST_NAME} characters, not {reviewer!r}")
        with told(self._engine.url), write_session(self._engine) as session:
            yield session, name


def plain(text: str) -> str:
    """Return a reviewer's text with one space between words.

    Raises:
        UsageError: it is empty, or holds what databases do not take.
    """
    words = " ".join(text.split())
    if not words:
        raise UsageError("A descriptor needs a text. To have none, reject it: descgen reject ID")
    if bad := re.search("[\x00\ud800-\udfff]", words):
        raise UsageError(f"A text cannot hold the character {bad.group()!r}")
    return words


def _action(session: Session, dataset: Dataset, name: str) -> ActionRow:
    """Return the row of an action; a dataset that is not stored yet is stored."""
    if name not in {action.name for action in dataset.actions}:
        raise UsageError(f"{dataset.name} has no action {name}. Its names: descgen list --dataset {dataset.name}")
    if name not in {row.name for row in queries.actions(session, dataset.stored_as)}:
        whole = dataset if dataset.stored_as == dataset.name else vocabulary.load(dataset.stored_as)
        queries.register(session, whole.name, {action.name: action for action in whole.actions})
        session.flush()
    return next(row for row in queries.actions(session, dataset.stored_as) if row.name == name)
