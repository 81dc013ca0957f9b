"""Blind review: verdicts that change no descriptor, given without knowing what others decided.

    own = store.blind_reviews(dataset, "anna")  # in place of store.reviews(): it shows anna nothing of others
    own.accept([descriptor.ref for descriptor in own.texts(dataset)], reviewer="anna")
    store.blind_verdicts().agreement(dataset)

A blind reviewer judges texts as they were written: edits, additions and other orders are decisions of others. Rows are
added, never changed; the verdicts of one decision share their time, and an undo adds rows too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NoReturn

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
    Descriptor,
    DescriptorRef,
    DescriptorStatus,
    Progress,
    ReviewEvent,
    State,
)
from db.reviews import reviewer_name
from db.schema import ActionRow, BlindVerdictRow, DatasetRow, DescriptorRow, utc_now
from db.sittings import KINDS, Given, Sitting, Sittings, Verdict
from db.written_texts import VERSION, are_in_use, as_written, by_id, judgeable, root_ids, written_by_id

REFUSED = "A blind review changes no text: accept it or reject it, and say in a comment what to change"


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
        self._dataset, self._reviewer = dataset, reviewer_name(reviewer)
        self._sittings = Sittings(dataset.stored_as, self._reviewer)

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
        query = (
            select(ActionRow.name, func.count(BlindVerdictRow.id), func.max(BlindVerdictRow.id))
            .join(DescriptorRow, DescriptorRow.id == BlindVerdictRow.descriptor_id)
            .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
            .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
            .where(DatasetRow.name == self._dataset.stored_as, BlindVerdictRow.reviewer == self._reviewer)
            .group_by(ActionRow.name)
        )
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

    def replace(self, texts: Mapping[DescriptorRef, str], *, reviewer: str) -> NoReturn:
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
            sitting = self._sitting(session)
            if not sitting.standing or decision not in (None, sitting.standing[-1].id):
                raise UserError(f"{self._reviewer} has no decision to undo")
            return self._append(session, sitting, "undone", list(sitting.standing[-1].statuses), 0)

    def _judge(self, verdict: DescriptorStatus, refs: Sequence[DescriptorRef], reviewer: str) -> Decision:
        self._refuse_others(reviewer)
        ids = list(dict.fromkeys(ref.id for ref in refs))
        if not ids:
            raise UsageError("A decision needs at least one descriptor")
        with self._write() as session:
            self._refuse_unusable(session, ids)
            sitting = self._sitting(session)
            new = [id_ for id_ in ids if sitting.statuses.get(id_, "pending") != verdict]
            return self._append(session, sitting, verdict, new, len(ids) - len(new))

    def _append(
        self, session: Session, sitting: Sitting, verdict: Verdict, ids: Sequence[int], already: int
    ) -> Decision:
        """Add the rows of a decision; return it."""
        if not ids:
            return Decision(None, KINDS[verdict], self._reviewer, utc_now(), (), already)
        last = session.scalar(select(func.max(BlindVerdictRow.at)).where(BlindVerdictRow.reviewer == self._reviewer))
        at = max(utc_now(), last + timedelta(microseconds=1)) if last else utc_now()  # a decision is one time
        versions = by_id(session, ids, DescriptorRow.version)
        shared = {"verdict": verdict, "reviewer": self._reviewer, "at": at}
        rows = [{"descriptor_id": id_, "version": versions[id_]} | shared for id_ in ids]
        session.execute(insert(BlindVerdictRow), rows)
        own = (BlindVerdictRow.reviewer == self._reviewer) & (BlindVerdictRow.at == at)
        first = session.scalars(select(func.min(BlindVerdictRow.id)).where(own)).one()
        given = sitting.after(verdict, ids, id_=first, at=at)
        words = by_id(session, ids, DescriptorRow.text)
        changes = tuple(_change(given, text, words[text]) for text in given.statuses)
        return Decision(given.id, given.kind, self._reviewer, given.at, changes, already, given.undoes)

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
        return self.events_by_id(self.event_ids(dataset))

    def event_ids(self, dataset: Dataset) -> list[int]:
        """Return the ids of this reviewer's own events, from 1, in time order; `dataset` does not matter."""
        with self._read() as session:
            return list(range(1, 1 + sum(len(decision.statuses) for decision in self._sitting(session).given)))

    def events_by_id(self, ids: Sequence[int]) -> list[ReviewEvent]:
        """Return events by their ids, in time order."""
        with self._read() as session:
            given = self._sitting(session).given
            every = [(decision, text) for decision in given for text in decision.statuses]
            chosen = [(id_, *every[id_ - 1]) for id_ in sorted(ids)]
            words = by_id(session, {text for *_, text in chosen}, DescriptorRow.text)
        return [
            ReviewEvent(
                id_, given.id, given.kind, self._reviewer, given.at, _change(given, text, words[text]), given.undoes
            )
            for id_, given, text in chosen
        ]

    def _sitting(self, session: Session) -> Sitting:
        return next(iter(self._sittings.read(session).values()), Sitting())

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


def _change(given: Given, id_: int, words: str) -> Change:
    """Return what a decision changed about one text, in the view of its reviewer."""
    before, after = (State(id_, VERSION, words, status, 0) for status in given.statuses[id_])
    return Change(id_, before, after)


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

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._sittings: dict[str | None, Sittings] = {}

    def agreement(self, dataset: Dataset | None = None) -> list[Agreement]:
        """Return the agreement of each pair of reviewers on texts of all kinds, followed by those of each kind."""
        verdicts, kinds = self._given(dataset)
        by_kind = {kind: _of_kind(verdicts, kinds, kind) for kind in sorted(set(kinds.values()))}
        parts = [agreements(verdicts), *(agreements(of_kind, kind=kind) for kind, of_kind in by_kind.items())]
        return [pair for of_pair in zip(*parts, strict=True) for pair in of_pair if pair.n or not pair.kind]

    def progress(self, dataset: Dataset) -> dict[str, Progress]:
        """Return reviewer -> what the reviewer has judged of a dataset."""
        sittings = self._read_sittings(dataset)
        return {name: Progress.of(sitting.accepted(), sitting.given[-1].at) for (name, _), sitting in sittings.items()}

    def judged(self, dataset: Dataset, in_use: Sequence[Descriptor]) -> list[Judged]:
        """Return every text with a verdict that stands, in order.

        Args:
            in_use: all descriptors in use of the dataset.
        """
        verdicts: dict[int, dict[str, bool]] = defaultdict(dict)
        for reviewer, of_one in sorted(self._given(dataset)[0].items()):
            for id_, accepted in of_one.items():
                verdicts[id_][reviewer] = accepted
        with self._read() as session:
            now = dict(zip(root_ids(session, in_use), in_use, strict=True))
            written = {id_: text for id_, text in now.items() if text.id == id_ and id_ in verdicts}
            replaced = written_by_id(session, [id_ for id_ in verdicts if id_ not in written])
        texts = queries.in_order(dataset, [*written.values(), *replaced])
        return [Judged(text, now.get(text.id), verdicts[text.id]) for text in texts]

    def _given(self, dataset: Dataset | None) -> tuple[dict[str, dict[int, bool]], Mapping[int, str]]:
        """Return reviewer -> descriptor id -> whether the verdict that stands accepted it; descriptor id -> kind."""
        verdicts: dict[str, dict[int, bool]] = defaultdict(dict)
        for (reviewer, _), sitting in self._read_sittings(dataset).items():
            verdicts[reviewer].update(sitting.accepted())
        return dict(verdicts), self._sittings[dataset.stored_as if dataset else None].kinds

    def _read_sittings(self, dataset: Dataset | None) -> dict[tuple[str, int], Sitting]:
        name = dataset.stored_as if dataset else None
        with self._read() as session:
            return self._sittings.setdefault(name, Sittings(name)).read(session)


def _of_kind(
    verdicts: Mapping[str, Mapping[int, bool]], kinds: Mapping[int, str], kind: str
) -> dict[str, dict[int, bool]]:
    return {
        reviewer: {id_: accepted for id_, accepted in of_one.items() if kinds[id_] == kind}
        for reviewer, of_one in verdicts.items()
    }
