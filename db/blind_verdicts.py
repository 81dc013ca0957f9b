"""Blind review: verdicts that change no descriptor, given without knowing what others decided.

    own = store.blind_reviews(dataset, "anna")  # in place of store.reviews(): it shows anna nothing of others
    own.accept([descriptor.ref for descriptor in own.texts(dataset)], reviewer="anna")
    store.blind_verdicts().agreement(dataset)

A blind reviewer judges texts as they were written: edits, additions and other orders are decisions of others. Rows are
added, never changed; the verdicts of one decision share their time, and an undo adds rows too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal, NoReturn, get_args

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session

from db import queries
from db.agreement import agreements
from db.engine import Transactions
from db.errors import UsageError, UserError
from db.records import (
    Agreement,
    Change,
    Dataset,
    Decision,
    DecisionKind,
    Descriptor,
    DescriptorRef,
    DescriptorStatus,
    Progress,
    ReviewEvent,
    State,
)
from db.reviews import normalised_name
from db.schema import ActionRow, BlindVerdictRow, DatasetRow, DescriptorRow, utc_now
from db.written_texts import VERSION, are_in_use, as_written, by_id, in_use, judgeable, root_ids, written_by_id

Verdict = Literal["accepted", "rejected", "pending", "undone"]
"""`pending`: the reviewer took a verdict back; `undone`: the last decision that stood does so no more."""

_KINDS: Mapping[Verdict, DecisionKind] = dict(
    zip(get_args(Verdict), ("accept", "reject", "restore", "undo"), strict=True)
)
REFUSED = "A blind review changes no text: accept it or reject it, and say in a comment what to change"


@dataclass(frozen=True)
class _Given:
    """One decision of one reviewer: descriptor id -> (status before, status after), in the order of the request."""

    id: int
    what: DecisionKind
    at: datetime
    statuses: Mapping[int, tuple[DescriptorStatus, DescriptorStatus]]
    undoes: int | None = None


@dataclass
class _Sitting:
    """All that one reviewer decided, in time order, and the status of each text that results from it."""

    given: list[_Given] = field(default_factory=list)
    statuses: dict[int, DescriptorStatus] = field(default_factory=dict)
    standing: list[_Given] = field(default_factory=list)  # without those that were undone

    def take(self, rows: Sequence[Any]) -> None:
        """Add the decision of some rows."""
        verdict = rows[0].verdict
        undone = self.standing.pop() if verdict == "undone" else None
        statuses = {
            row.descriptor_id: (
                self.statuses.get(row.descriptor_id, "pending"),
                undone.statuses[row.descriptor_id][0] if undone else verdict,
            )
            for row in rows
        }
        decision = _Given(rows[0].id, _KINDS[verdict], rows[0].at, statuses, undone.id if undone else None)
        self.given.append(decision)
        self.statuses.update({id_: after for id_, (_, after) in statuses.items()})
        if not undone:
            self.standing.append(decision)


def _sitting(rows: Iterable[Any]) -> _Sitting:
    """Replay rows of one reviewer, in time order."""
    sitting = _Sitting()
    for _, of_one in groupby(rows, key=lambda row: row.at):
        sitting.take(list(of_one))
    return sitting


def _rows(dataset: str | None) -> Any:
    """Return the query of verdicts with kind and dataset of their texts, in time order."""
    row = BlindVerdictRow
    query = (
        select(row.id, row.descriptor_id, row.verdict, row.reviewer, row.at, DescriptorRow.kind, ActionRow.dataset_id)
        .join(DescriptorRow, DescriptorRow.id == row.descriptor_id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .order_by(row.id)
    )
    return query if dataset is None else query.where(DatasetRow.name == dataset)


class BlindReviews(Transactions):
    """The verdicts of one blind reviewer; what `Reviews` can do, but it reads and writes nothing of anybody else.

    Every method that makes a decision returns it as recorded, and raises

        UsageError: a text does not exist, or none is given.
        UserError: a build has replaced a text, or the decision would change one.
    """

    def __init__(self, engine: Engine, dataset: Dataset, reviewer: str) -> None:
        """Open the verdicts of a reviewer on a dataset.

        Raises:
            UsageError: the reviewer has no name, or a long one.
        """
        super().__init__(engine)
        self._dataset, self._reviewer = dataset, normalised_name(reviewer)

    def texts(self, dataset: Dataset) -> list[Descriptor]:
        """Return the texts of a dataset's actions as they were written; their status is this reviewer's verdict."""
        with self._read() as session:
            return self.with_verdicts(session, as_written(session, dataset))

    def with_verdicts(self, session: Session, texts: Sequence[Descriptor]) -> list[Descriptor]:
        """Return texts with this reviewer's verdicts as their status."""
        statuses = self._sitting(session).statuses
        return [replace(text, status=statuses.get(text.id, "pending")) for text in texts]

    def stamps(self) -> Mapping[str, tuple[int, ...]]:
        """Return, by action name, a value that changes with each of this reviewer's verdicts."""
        rows = _rows(self._dataset.stored_as).where(BlindVerdictRow.reviewer == self._reviewer).subquery()
        query = select(ActionRow.name, func.count(rows.c.id), func.max(rows.c.id)).join(
            DescriptorRow, DescriptorRow.action_id == ActionRow.id
        )
        query = query.join(rows, rows.c.descriptor_id == DescriptorRow.id).group_by(ActionRow.name)
        with self._read() as session:
            return {name: tuple(numbers) for name, *numbers in session.execute(query)}

    def accept(self, refs: Sequence[DescriptorRef], *, reviewer: str) -> Decision:
        """Accept texts; those accepted before are only counted."""
        return self._judge("accepted", refs, reviewer)

    def reject(self, refs: Sequence[DescriptorRef], *, reviewer: str) -> Decision:
        """Reject texts; those rejected before are only counted."""
        return self._judge("rejected", refs, reviewer)

    def restore(self, refs: Sequence[DescriptorRef], *, reviewer: str) -> Decision:
        """Take verdicts back."""
        return self._judge("pending", refs, reviewer)

    def edit(self, ref: DescriptorRef, text: str, *, reviewer: str) -> NoReturn:
        """Refuse it."""
        raise UserError(REFUSED)

    def add(self, dataset: Dataset, action: str, kind: str, text: str, *, reviewer: str) -> NoReturn:
        """Refuse it."""
        raise UserError(REFUSED)

    def reorder(self, refs: Sequence[DescriptorRef], *, reviewer: str) -> NoReturn:
        """Refuse it."""
        raise UserError(REFUSED)

    def undo(self, *, reviewer: str, decision: int | None = None) -> Decision:
        """Undo this reviewer's last decision that is not undone.

        Raises:
            UserError: there is none, or another one is named.
        """
        self._refuse_others(reviewer)
        with self._write() as session:
            standing = self._sitting(session).standing
            if not standing or decision not in (None, standing[-1].id):
                raise UserError(f"{self._reviewer} has no decision to undo")
            return self._append(session, "undone", list(standing[-1].statuses), 0)

    def _judge(self, verdict: DescriptorStatus, refs: Sequence[DescriptorRef], reviewer: str) -> Decision:
        self._refuse_others(reviewer)
        ids = list(dict.fromkeys(ref.id for ref in refs))
        if not ids:
            raise UsageError("A decision needs at least one descriptor")
        with self._write() as session:
            self._refuse_unusable(session, ids)
            statuses = self._sitting(session).statuses
            new = [id_ for id_ in ids if statuses.get(id_, "pending") != verdict]
            return self._append(session, verdict, new, len(ids) - len(new))

    def _append(self, session: Session, verdict: Verdict, ids: Sequence[int], already: int) -> Decision:
        """Add the rows of a decision; return it."""
        if not ids:
            return Decision(None, _KINDS[verdict], self._reviewer, utc_now(), (), already)
        last = session.scalar(select(func.max(BlindVerdictRow.at)).where(BlindVerdictRow.reviewer == self._reviewer))
        at = max(utc_now(), last + timedelta(microseconds=1)) if last else utc_now()  # a decision is one time
        versions = by_id(session, ids, DescriptorRow.version)
        shared = {"verdict": verdict, "reviewer": self._reviewer, "at": at}
        rows = [{"descriptor_id": id_, "version": versions[id_]} | shared for id_ in ids]
        session.execute(insert(BlindVerdictRow), rows)
        given = self._sitting(session).given[-1]
        changes = self._changes(session, [given])[given.id]
        return Decision(given.id, given.what, self._reviewer, given.at, changes, already, given.undoes)

    def descriptors(self, ids: Sequence[int]) -> list[Descriptor]:
        """Return texts as they were written by their ids, in that order.

        Raises:
            UsageError: one does not exist.
            UserError: one is out of use.
        """
        with self._read() as session:
            self._refuse_unusable(session, ids)
            texts = self.with_verdicts(session, written_by_id(session, ids))
        written = {text.id: replace(text, version=VERSION) for text in texts}
        return [written[id_] for id_ in ids]

    def history(self, descriptor: int) -> list[ReviewEvent]:
        """Return this reviewer's own decisions about a text, in time order."""
        return [event for event in self.events(self._dataset) if event.change.descriptor == descriptor]

    def events(self, dataset: Dataset, *, kinds: Sequence[str] | None = None) -> list[ReviewEvent]:
        """Return this reviewer's own decisions about a dataset's actions, in time order; `kinds` does not matter."""
        with self._read() as session:
            given = self._sitting(session).given
            changes = self._changes(session, given)
        return [
            ReviewEvent(decision.id, decision.id, decision.what, self._reviewer, decision.at, change, decision.undoes)
            for decision in given
            for change in changes[decision.id]
        ]

    def _sitting(self, session: Session) -> _Sitting:
        own = _rows(self._dataset.stored_as).where(BlindVerdictRow.reviewer == self._reviewer)
        return _sitting(session.execute(own))

    def _changes(self, session: Session, given: Sequence[_Given]) -> Mapping[int, tuple[Change, ...]]:
        """Return decision id -> what it changed in this reviewer's own view."""
        words = by_id(session, {id_ for decision in given for id_ in decision.statuses}, DescriptorRow.text)

        def change(id_: int, statuses: tuple[DescriptorStatus, DescriptorStatus]) -> Change:
            before, after = (State(id_, VERSION, words[id_], status, 0) for status in statuses)
            return Change(id_, before, after)

        return {each.id: tuple(change(*item) for item in each.statuses.items()) for each in given}

    def _refuse_others(self, reviewer: str) -> None:
        if " ".join(reviewer.split()) != self._reviewer:
            raise UsageError(f"These are the verdicts of {self._reviewer}, not of {reviewer}")

    def _refuse_unusable(self, session: Session, ids: Sequence[int]) -> None:
        """Refuse what a blind reviewer cannot judge; an edit is not told from a text that does not exist."""
        known = judgeable(session, ids, self._dataset)
        if unknown := [str(id_) for id_ in ids if id_ not in known]:
            raise UsageError(f"No descriptor {', '.join(unknown[:10])}{' ...' if len(unknown) > 10 else ''} to judge")
        if not are_in_use(session, ids):
            raise UserError("A build has replaced a text. Reload the page and decide again")


@dataclass(frozen=True)
class Judged:
    """A text that blind reviewers judged.

    Attributes:
        written: as they saw it, whatever its status is.
        now: what is in use in its place, itself or an edit of it; None if a build replaced it.
        verdicts: reviewer -> whether the verdict that stands accepted it, by name.
    """

    written: Descriptor
    now: Descriptor | None
    verdicts: Mapping[str, bool]


class BlindVerdicts(Transactions):
    """The verdicts of all blind reviewers, for those who settle them."""

    def given(self, dataset: Dataset | None = None) -> dict[str, dict[int, bool]]:
        """Return reviewer -> descriptor id -> whether the verdict that stands accepted the text, in use or not."""
        return {reviewer: _accepted(statuses) for reviewer, statuses in self._statuses(dataset)[0].items()}

    def agreement(self, dataset: Dataset | None = None) -> list[Agreement]:
        """Return the agreement of each pair of reviewers on texts of all kinds, followed by those of each kind."""
        statuses, kinds = self._statuses(dataset)
        verdicts = {reviewer: _accepted(of_one) for reviewer, of_one in statuses.items()}
        by_kind = {kind: _of_kind(verdicts, kinds, kind) for kind in sorted(set(kinds.values()))}
        parts = [agreements(verdicts), *(agreements(of_kind, kind=kind) for kind, of_kind in by_kind.items())]
        return [pair for of_pair in zip(*parts, strict=True) for pair in of_pair if pair.n or not pair.kind]

    def _statuses(self, dataset: Dataset | None) -> tuple[dict[str, dict[int, DescriptorStatus]], dict[int, str]]:
        """Return reviewer -> descriptor id -> status, and descriptor id -> kind; an undo is of one dataset."""
        with self._read() as session:
            rows = session.execute(_rows(dataset.stored_as if dataset else None)).all()
        sittings: dict[tuple[str, int], list[Any]] = defaultdict(list)
        for row in rows:
            sittings[row.reviewer, row.dataset_id].append(row)
        statuses: dict[str, dict[int, DescriptorStatus]] = defaultdict(dict)
        for (reviewer, _), of_one in sittings.items():
            statuses[reviewer].update(_sitting(of_one).statuses)
        return dict(statuses), {row.descriptor_id: row.kind for row in rows}

    def progress(self, dataset: Dataset) -> dict[str, Progress]:
        """Return reviewer -> what the reviewer has judged of a dataset."""
        with self._read() as session:
            times = {row.reviewer: row.at for row in session.execute(_rows(dataset.stored_as))}
        given = self.given(dataset)
        return {name: Progress.of(given[name], at) for name, at in times.items()}

    def judged(self, dataset: Dataset) -> list[Judged]:
        """Return every text with a verdict that stands, in order."""
        verdicts: dict[int, dict[str, bool]] = defaultdict(dict)
        for reviewer, of_one in sorted(self.given(dataset).items()):
            for id_, accepted in of_one.items():
                verdicts[id_][reviewer] = accepted
        with self._read() as session:
            texts = in_use(session, dataset)
            now = dict(zip(root_ids(session, texts), texts, strict=True))
            written = queries.in_order(dataset, written_by_id(session, list(verdicts)))
        return [Judged(text, now.get(text.id), verdicts[text.id]) for text in written]


def _accepted(statuses: Mapping[int, DescriptorStatus]) -> dict[int, bool]:
    return {id_: status == "accepted" for id_, status in statuses.items() if status != "pending"}


def _of_kind(
    verdicts: Mapping[str, Mapping[int, bool]], kinds: Mapping[int, str], kind: str
) -> dict[str, dict[int, bool]]:
    return {
        reviewer: {id_: accepted for id_, accepted in of_one.items() if kinds[id_] == kind}
        for reviewer, of_one in verdicts.items()
    }
