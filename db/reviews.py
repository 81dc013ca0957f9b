"""The decisions of reviewers. No text of an LLM is overwritten, and every decision stays in the log.

    reviews = store.reviews()
    decision = reviews.accept([descriptor.ref for descriptor in shown], reviewer="anna")
    reviews.undo(reviewer="anna")

A decision names each descriptor in the version that the reviewer read. If somebody has changed one of them
since, nothing is changed, and a `ConflictError` reports the change. Decisions are made one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sqlalchemy.orm import Session

from db import queries, review_decisions, review_log
from db.agreement import agreements, verdicts
from db.engine import Transactions
from db.errors import UsageError, did_you_mean
from db.kinds import refuse_unknown_kind
from db.records import (
    Agreement,
    Dataset,
    Decision,
    DecisionKind,
    Descriptor,
    DescriptorRef,
    DescriptorStatus,
    Progress,
    ReviewEvent,
)
from db.schema import ActionRow, DescriptorRow
from db.storable import NOT_STORABLE
from db.texts import clean

_LONGEST_NAME = 200


class Reviews(Transactions):
    """Make and read the decisions of reviewers.

    Every method that makes a decision returns it as recorded, and raises

        UsageError: a descriptor does not exist, a text is empty, a kind is unknown, the reviewer has no name.
        ConflictError: a descriptor is not in the version that the reviewer read; nothing was changed.
    """

    def accept(self, refs: Sequence[DescriptorRef], *, reviewer: str) -> Decision:
        """Accept descriptors; those that this reviewer accepted before are only counted."""
        return self._judge("accept", "accepted", refs, reviewer)

    def reject(self, refs: Sequence[DescriptorRef], *, reviewer: str) -> Decision:
        """Reject descriptors; those that this reviewer rejected before are only counted."""
        return self._judge("reject", "rejected", refs, reviewer)

    def restore(self, refs: Sequence[DescriptorRef], *, reviewer: str) -> Decision:
        """Make descriptors pending again."""
        return self._judge("restore", "pending", refs, reviewer)

    def _judge(
        self, kind: DecisionKind, status: DescriptorStatus, refs: Sequence[DescriptorRef], reviewer: str
    ) -> Decision:
        with self._decide(reviewer) as (session, name):
            changes, already = review_decisions.judge(session, refs, status=status, reviewer=name)
            return review_log.append(session, kind, changes, reviewer=name, already=already)

    def edit(self, ref: DescriptorRef, text: str, *, reviewer: str) -> Decision:
        """Replace a descriptor by a new, accepted row with the reviewer's text; the old row is kept, out of use.

        The new row keeps the generation of the old one, and so its LLM.
        """
        with self._decide(reviewer) as (session, name):
            changes = review_decisions.edit(session, ref, text=normalised(text))
            return review_log.append(session, "edit", changes, reviewer=name)

    def replace(self, texts: Mapping[DescriptorRef, str], *, reviewer: str) -> Decision:
        """Replace several descriptors by new rows with the reviewer's texts, as `edit`; each keeps its status."""
        with self._decide(reviewer) as (session, name):
            changes = review_decisions.replace(session, {ref: normalised(text) for ref, text in texts.items()})
            return review_log.append(session, "replace", changes, reviewer=name)

    def add(self, dataset: Dataset, action: str, kind: str, text: str, *, reviewer: str) -> Decision:
        """Add a reviewer's own text, with status accepted, for an action (its name in the dataset) and a known kind."""
        with self._decide(reviewer) as (session, name):
            refuse_unknown_kind(session, kind)
            row = _action(session, dataset, action)
            changes = review_decisions.add(session, row, kind=kind, text=normalised(text))
            return review_log.append(session, "add", changes, reviewer=name)

    def reorder(self, refs: Sequence[DescriptorRef], *, reviewer: str) -> Decision:
        """Put the texts of one reply, of one imported file, or of people, in the order given.

        Raises:
            UsageError: the request is not all texts of one reply, file or person for one action and kind.
        """
        with self._decide(reviewer) as (session, name):
            return review_log.append(session, "reorder", review_decisions.reorder(session, refs), reviewer=name)

    def undo(self, *, reviewer: str, decision: int | None = None) -> Decision:
        """Undo a decision of any reviewer by its id; by default this reviewer's last one that is not undone.

        Raises:
            UsageError: the decision does not exist, was undone already, or is itself an undo.
            UserError: the reviewer has no decision to undo.
            ConflictError: one of its descriptors has changed since.
        """
        with self._decide(reviewer) as (session, name):
            events = review_log.events_to_undo(session, name, decision)
            changes = review_decisions.undo(session, events)
            return review_log.append(session, "undo", changes, reviewer=name, undoes=events[0].decision)

    def descriptors(self, ids: Sequence[int]) -> list[Descriptor]:
        """Return descriptors in use by their ids, in that order.

        Raises:
            UsageError: one does not exist, or is out of use.
        """
        in_use: dict[int, Descriptor] = {}
        with self._read() as session:
            review_decisions.rows_by_id(session, ids)
            for chunk in queries.chunks(ids):
                query = queries.descriptor_query().where(DescriptorRow.id.in_(chunk))
                in_use.update((descriptor.id, descriptor) for descriptor in queries.descriptors(session, query))
        if superseded := [row_id for row_id in ids if row_id not in in_use]:
            raise UsageError(
                f"Out of use: {', '.join(map(str, superseded))}. To see why: descgen history {superseded[0]}"
            )
        return [in_use[row_id] for row_id in ids]

    def history(self, descriptor: int) -> list[ReviewEvent]:
        """Return every event about a descriptor and about the texts it was edited from, in time order.

        Raises:
            UsageError: the descriptor does not exist.
        """
        with self._read() as session:
            [row] = review_decisions.rows_by_id(session, [descriptor])
            originals = queries.originals(session, [row.id]) if row.edited_from_id else {}
            return review_log.events_of(session, [row.id, *(original.id for original in originals.get(row.id, ()))])

    def events(self, dataset: Dataset, *, kinds: Sequence[str] | None = None) -> list[ReviewEvent]:
        """Return every event about a dataset's actions, in time order."""
        with self._read() as session:
            return review_log.dataset_events(session, dataset, kinds)

    def event_ids(self, dataset: Dataset) -> list[int]:
        """Return the ids of the events about a dataset's actions, in time order."""
        with self._read() as session:
            return review_log.dataset_event_ids(session, dataset)

    def events_by_id(self, ids: Sequence[int]) -> list[ReviewEvent]:
        """Return events by their ids, in time order."""
        with self._read() as session:
            return review_log.events_by_id(session, ids)

    def agreement(self, dataset: Dataset | None = None) -> list[Agreement]:
        """Return the agreement of each pair of reviewers on a dataset, or on all datasets."""
        with self._read() as session:
            return agreements(verdicts(session, dataset.stored_as if dataset else None))

    def progress(self, dataset: Dataset) -> dict[str, Progress]:
        """Return reviewer -> what the reviewer has decided on a dataset."""
        with self._read() as session:
            times = review_log.last_times(session, dataset)
            given = verdicts(session, dataset.stored_as)
        return {name: Progress.of(given.get(name, {}), at) for name, at in times.items()}

    @contextmanager
    def _decide(self, reviewer: str) -> Iterator[tuple[Session, str]]:
        """Open a write transaction; yield it with the reviewer's normalised name."""
        name = reviewer_name(reviewer)
        with self._write() as session:
            yield session, name


def reviewer_name(reviewer: str) -> str:
    """Return the name of a reviewer with one space between its words.

    Raises:
        UsageError: it is empty or too long.
    """
    name = " ".join(reviewer.split())
    if not name or len(name) > _LONGEST_NAME:
        raise UsageError(f"A reviewer has a name of at most {_LONGEST_NAME} characters, not {reviewer!r}")
    return name


def normalised(text: str) -> str:
    """Return a reviewer's text with one space between words, and without what terminals obey.

    Raises:
        UsageError: it is empty, or has characters that databases refuse.
    """
    if bad := NOT_STORABLE.search(text):
        raise UsageError(f"A text cannot hold the character {bad.group()!r}")
    words = " ".join(clean(text).split())
    if not words:
        raise UsageError("A descriptor needs a text. To remove one, reject it: descgen reject ID")
    return words


def _action(session: Session, dataset: Dataset, name: str) -> ActionRow:
    """Return the row of an action; stores the dataset first if necessary."""
    if name not in {action.name for action in dataset.actions}:
        near = did_you_mean(name, [action.name for action in dataset.actions])
        raise UsageError(
            f"{dataset.name} has no action {name}. {near}Its names: descgen list --dataset {dataset.argument}"
        )
    if name not in queries.actions(session, dataset):
        queries.register(session, dataset)
    return queries.actions(session, dataset)[name]
