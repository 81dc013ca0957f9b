"""A review session: one reviewer with the descriptors of one dataset, their lint flags, and the decisions."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from db.blind_verdicts import REFUSED, BlindReviews
from db.errors import ConflictError, UsageError, UserError
from db.records import (
    STATUSES,
    Action,
    Comment,
    Conflict,
    Dataset,
    Decision,
    Descriptor,
    DescriptorRef,
    Impact,
    PortableDescriptor,
    Verdicts,
)
from db.review_queries import ReviewQueries
from db.reviews import Reviews
from db.store import Store
from descriptor_gen.prompting.prompt import load_prompts
from descriptor_gen.review.conflicts import cause
from descriptor_gen.review.faults import Faults
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.flags import Flags, Linter
from descriptor_gen.review.jobs import Job, Jobs, OpenLLM
from descriptor_gen.review.pace import Pace

_log = logging.getLogger(__name__)
_FRESH_SECONDS = 0.1  # one request reads several times; a decision about an outdated text is a conflict


@dataclass(frozen=True)
class Counts:
    """Number of descriptors in each status."""

    accepted: int = 0
    rejected: int = 0
    pending: int = 0

    @classmethod
    def of(cls, descriptors: Iterable[Descriptor]) -> Counts:
        """Count descriptors by status."""
        return cls(**Counter[str](descriptor.status for descriptor in descriptors))

    @property
    def decided(self) -> int:
        """Accepted or rejected."""
        return self.accepted + self.rejected

    @property
    def all(self) -> int:
        """All of them."""
        return self.decided + self.pending


@dataclass(frozen=True)
class Snapshot:
    """The descriptors in use by action name, in label order; the impacts by descriptor id; the verdicts of controls.

    `event` is the last event of the log that the descriptors include.
    """

    by_action: Mapping[str, Sequence[Descriptor]]
    impacts: Mapping[int, Impact]
    verdicts: Verdicts | None = None
    event: int = 0

    @property
    def descriptors(self) -> list[Descriptor]:
        """All descriptors, in label order."""
        return [descriptor for descriptors in self.by_action.values() for descriptor in descriptors]


@dataclass(frozen=True)
class DecisionRequest:
    """A decision to be made.

    Attributes:
        decision: accept, reject, restore, edit, add, reorder or undo.
        refs: the descriptors decided on; ignored if there is a `stamp`.
        text: for edit and add.
        kind, action: for add.
        filter: if there is a `stamp`, its pending descriptors are decided on.
        stamp: `stamp` of those descriptors when the reviewer read them.
    """

    decision: str
    refs: tuple[DescriptorRef, ...] = ()
    text: str = ""
    kind: str = ""
    action: Action | None = None
    filter: Filter = field(default_factory=Filter)
    stamp: str = ""


@dataclass(frozen=True)
class Outcome:
    """The result of a request, as a message and as recorded; if there are conflicts, nothing was changed."""

    message: str
    decision: Decision | None = None
    conflicts: tuple[Conflict, ...] = ()


class ReviewSession:
    """One reviewer of one dataset."""

    def __init__(
        self,
        store: Store,
        dataset: Dataset,
        *,
        reviewer: str,
        open_llm: OpenLLM | None = None,
        blind: bool = False,
        classes: frozenset[str] | None = None,
        beside: ReviewSession | None = None,
        report: Callable[[str], None] = _log.error,
    ) -> None:
        """Open a session; without `open_llm` it cannot regenerate texts, and blind it changes none.

        Args:
            blind: whether the reviewer must not learn what others decided or said.
            classes: names of the classes that are the reviewer's own; None: all.
            beside: the session of another reviewer. Both share the jobs, and the linter if both are blind or neither
                is.
            report: prints a fault of the database, which pages do not show.
        """
        self.dataset, self.reviewer, self.blind, self.classes = dataset, reviewer, blind, classes
        self.phrases = {action.name: action.phrase for action in dataset.actions}
        own = store.blind_reviews(dataset, reviewer) if blind else None
        self.reviews: Reviews | BlindReviews = own or store.reviews()
        self.queries: ReviewQueries = store.blind_queries(own) if own else store.review_queries()
        self.notes = store.comments()
        self.faults: Faults = beside.faults if beside else Faults(report)
        jobs = Jobs(store, dataset, open_llm, faults=self.faults) if open_llm and not blind else None
        self.jobs: Jobs | None = beside.jobs if beside and not blind else jobs
        self.log = None if blind else store.reviews()
        self.all_verdicts = None if blind else store.blind_verdicts()
        self._own = own
        self._store = store
        self._stamps: Mapping[str, tuple[int, ...]] = {}
        self._snapshot = self._everything = Snapshot({}, {})
        self._read_at = float("-inf")
        self._lock = threading.Lock()
        self._linter: Linter = beside._linter if beside and beside.blind == blind else Linter(dataset)
        self._pace = Pace()

    def for_reviewer(
        self, reviewer: str, *, blind: bool, classes: frozenset[str] | None, beside: ReviewSession
    ) -> ReviewSession:
        """Return a session of another reviewer of the same texts."""
        other = ReviewSession(self._store, self.dataset, reviewer=reviewer, blind=blind, classes=classes, beside=beside)
        other.all_verdicts = None  # only the person who started the server settles
        return other

    @property
    def store(self) -> Store:
        """The database of the session."""
        return self._store

    def close(self) -> None:
        """End the jobs."""
        if self.jobs:
            self.jobs.close()

    def refresh(self) -> None:
        """Make the next call of `snapshot` read the database."""
        self._read_at = float("-inf")

    def snapshot(self) -> Snapshot:
        """Return the current descriptors; only classes that changed since the last call are read again."""
        with self._lock:
            if time.monotonic() - self._read_at < _FRESH_SECONDS:
                return self._snapshot
            event = self.queries.last_event()  # read before the texts, so that a decision in between is not missed
            stamps = self.queries.stamps(self.dataset)
            changed = {name for name, _ in stamps.items() ^ self._stamps.items()}
            if changed:
                self._read(changed)
                self._stamps = stamps
            self._snapshot = replace(self._snapshot, event=event)
            self._read_at = time.monotonic()
            return self._snapshot

    def _read(self, changed: set[str]) -> None:
        actions = tuple(action for action in self.dataset.actions if action.name in changed)
        new: dict[str, list[Descriptor]] = {}
        for descriptor in self._texts(replace(self.dataset, actions=actions)):
            new.setdefault(descriptor.action, []).append(descriptor)
        old = self._everything
        names = (action.name for action in self.dataset.actions)
        by_action = {name: texts for name in names if (texts := (new if name in changed else old.by_action).get(name))}
        impacts, verdicts = self.queries.impacts(self.dataset), self.queries.verdicts(self.dataset)
        self._everything = Snapshot(by_action, impacts, verdicts)
        # one linter for all blind reviewers: flags that depend on a verdict would tell it to the others
        self._linter.submit(self._everything.descriptors, regardless=self.blind)
        shown = self.classes if self.blind else None
        of_reviewer = {name: texts for name, texts in by_action.items() if shown is None or name in shown}
        self._snapshot = Snapshot(of_reviewer, impacts, verdicts)

    def _texts(self, part: Dataset) -> list[Descriptor]:
        """Return the texts of some classes; a blind reviewer sees them as they were written."""
        return self._own.texts(part) if self._own else self._store.descriptors(part, statuses=STATUSES)

    def flags(self, *, wait: float = 0.0) -> tuple[Flags, bool]:
        """Return the lint flags, and whether newer texts are still being linted after `wait` seconds."""
        return self._linter.flags(wait=wait)

    def comments(self) -> Mapping[int, Sequence[Comment]]:
        """Return the comments by descriptor id, see `db.comments`; a blind reviewer gets only their own."""
        return self.notes.of_dataset(self.dataset, reviewer=self.reviewer if self.blind else None)

    def comment(self, descriptor: int, text: str) -> None:
        """Add a comment to a text in use; a blind reviewer knows it by the id that it was written under.

        Raises:
            UserError: there is no such text, or the comment is empty or too long.
        """
        if self.blind:
            self.reviews.descriptors([descriptor])
        self.notes.add(descriptor, text, reviewer=self.reviewer, in_use=not self.blind)

    def set_guidelines(self, text: str, *, replaces: int) -> None:
        """Set the guidelines in place of those that the reviewer read, see `db.comments`.

        Raises:
            UserError: they were replaced meanwhile, the text is too long, or the reviewer is blind.
        """
        if self.blind:
            raise UserError("A blind reviewer cannot change the guidelines: others have judged by the present ones")
        self.notes.set_guidelines(self.dataset, text, reviewer=self.reviewer, replaces=replaces)

    def matching(self, filter_: Filter, *, wait: float = 0.0) -> list[Descriptor]:
        """Return the descriptors that pass a filter, in label order; `wait`: seconds to wait for lint flags.

        Only those of the reviewer's own classes, unless the filter asks for all.
        """
        texts = self.snapshot().descriptors if filter_.classes else self.own()  # first: lint waits for new texts
        commented = self.comments() if filter_.comments else ()
        passes = filter_.predicate(self.phrases, self.flags(wait=wait)[0].rules, commented)
        return [descriptor for descriptor in texts if passes(descriptor)]

    def own(self) -> list[Descriptor]:
        """Return the descriptors of the reviewer's own classes, in label order."""
        texts = self.snapshot().descriptors
        return texts if self.classes is None else [text for text in texts if text.action in self.classes]

    def portable(self, filter_: Filter) -> list[PortableDescriptor]:
        """Return the descriptors that pass a filter with all of their provenance."""
        return self._store.portable(self.dataset, {descriptor.id for descriptor in self.matching(filter_)})

    def totals(self) -> Counts:
        """Count the descriptors of the reviewer's own classes by status."""
        return Counts.of(self.own())

    def time_left(self) -> str:
        """Return how long all pending texts take at the pace of this sitting, see `Pace.left`."""
        return self._pace.left(self.totals().pending)

    def decide(self, request: DecisionRequest) -> Outcome:
        """Make a decision and record it.

        Raises:
            UserError: the decision is not possible; nothing was changed.
        """
        if request.decision not in _DECIDE:
            raise UsageError(f"Unknown decision {request.decision!r}. Known: {', '.join(_DECIDE)}")
        self.refresh()
        try:
            refs = self._pending(request) if request.stamp else request.refs
            self._refuse_foreign(refs)
            decision = _DECIDE[request.decision](self, request, refs)
            if decision.what in ("accept", "reject", "edit"):
                self._pace.decided(len(decision.changes) + decision.already)
            return Outcome(_message(decision), decision)
        except ConflictError as error:
            return Outcome(_conflicted(error.conflicts, self.reviewer), conflicts=error.conflicts)
        finally:
            self.refresh()  # the next page must show the decision

    def _refuse_foreign(self, refs: Sequence[DescriptorRef]) -> None:
        """Refuse texts that a blind reviewer was not given."""
        given = {text.id for text in self.snapshot().descriptors} if self.blind else set()
        if self.blind and (foreign := [str(ref.id) for ref in refs if ref.id not in given]):
            raise UserError(f"Not among your texts: {', '.join(foreign[:10])}. Reload the page and decide again")

    def _pending(self, request: DecisionRequest) -> list[DescriptorRef]:
        """Return the pending descriptors of a filter, if they are unchanged since the reviewer read them.

        Raises:
            UserError: they changed.
        """
        pending = [d for d in self.matching(request.filter) if d.status == "pending"]
        if stamp(pending) != request.stamp:
            raise UserError("The texts that match this filter have changed. Reload the page and decide again")
        return [d.ref for d in pending]

    def regenerate(self, action: Action, kind: str) -> Job:
        """Start to write new texts of a class and kind; the old ones stay as history.

        Raises:
            UserError: the session has no LLM, or the kind no template.
        """
        if self.blind:
            raise UserError(REFUSED)
        if self.jobs is None:
            raise UserError("This server was started without an LLM. Start it with: descgen review --llm NAME")
        [prompt] = load_prompts([kind], stored=self._store.templates())
        if prompt.compares:
            raise UserError(f"{kind} compares classes. Regenerate it with: descgen build --kind {kind} --refresh")
        return self.jobs.start(action, prompt)


def stamp(descriptors: Iterable[Descriptor]) -> str:
    """Return a digest of the versions of descriptors."""
    versions = ",".join(f"{d.id}.{d.version}" for d in sorted(descriptors, key=lambda d: d.id))
    return hashlib.sha256(versions.encode()).hexdigest()[:16]


def _add(session: ReviewSession, request: DecisionRequest, _refs: Sequence[DescriptorRef]) -> Decision:
    if request.action is None:
        raise UsageError("A new text needs a class")
    dataset, action = session.dataset, request.action.name
    return session.reviews.add(dataset, action, request.kind, request.text, reviewer=session.reviewer)


def _edit(session: ReviewSession, request: DecisionRequest, refs: Sequence[DescriptorRef]) -> Decision:
    if len(refs) != 1:
        raise UsageError("Only one text can be edited at a time")
    return session.reviews.edit(refs[0], request.text, reviewer=session.reviewer)


_DECIDE: Mapping[str, Callable[[ReviewSession, DecisionRequest, Sequence[DescriptorRef]], Decision]] = {
    "accept": lambda session, _, refs: session.reviews.accept(refs, reviewer=session.reviewer),
    "reject": lambda session, _, refs: session.reviews.reject(refs, reviewer=session.reviewer),
    "restore": lambda session, _, refs: session.reviews.restore(refs, reviewer=session.reviewer),
    "reorder": lambda session, _, refs: session.reviews.reorder(refs, reviewer=session.reviewer),
    "undo": lambda session, _request, _refs: session.reviews.undo(reviewer=session.reviewer),
    "edit": _edit,
    "add": _add,
}
_DONE = {
    "accept": "Accepted",
    "reject": "Rejected",
    "restore": "Back to pending",
    "edit": "Edited, and accepted",
    "replace": "Replaced words in",
    "add": "Added",
    "reorder": "Moved",
}


def _message(decision: Decision) -> str:
    changed = len(decision.changes)
    if not changed:
        return "Nothing changed: you made the same decision before"
    if decision.what == "undo":
        return _undone(decision)
    count = f" {changed} texts; one undo restores them" if changed > 1 and decision.what != "reorder" else ""
    already = f"; {decision.already} unchanged: same decision before" if decision.already else ""
    return f"{_DONE[decision.what]}{count}{already}"


def _undone(decision: Decision) -> str:
    """Say what an undo restored."""
    states = [change.after for change in decision.changes if change.after]
    if len(decision.changes) > 1:
        statuses = Counter(state.status for state in states)
        counts = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        return f"Undone: {len(decision.changes)} texts are as before ({counts})" if counts else "Undone"
    return f"Undone: {states[0].text!r} is {states[0].status}" if states else "Undone: your text is gone again"


def _conflicted(conflicts: Sequence[Conflict], reviewer: str) -> str:
    others = f", and {len(conflicts) - 1} more" if len(conflicts) > 1 else ""
    return f"Nothing was changed: {cause(conflicts[0], reviewer)}{others}"
