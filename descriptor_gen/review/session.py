"""What lies before one reviewer: the descriptors as they are now, what lint says of them, and the decisions."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from db.errors import ConflictError, UsageError, UserError
from db.records import Action, Dataset, Decision, Descriptor, DescriptorRef, Impact, ReviewEvent
from db.store import Store
from descriptor_gen.prompting.prompt import load_prompts
from descriptor_gen.review import views
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.flags import Flags, Linter
from descriptor_gen.review.jobs import Job, Jobs, OpenLLM

_FRESH_SECONDS = 0.1  # one request looks several times; a decision on something older is a conflict, no loss
_EVERY = ("pending", "accepted", "rejected")


@dataclass(frozen=True)
class State:
    """The descriptors in use, by label, and what the newest measured run says of them."""

    by_action: Mapping[str, Sequence[Descriptor]]
    impacts: Mapping[int, Impact]

    @property
    def descriptors(self) -> list[Descriptor]:
        """All of them, in label order."""
        return [descriptor for of_action in self.by_action.values() for descriptor in of_action]

    def of(self, action: str) -> Sequence[Descriptor]:
        """Return those of one class, by name."""
        return self.by_action.get(action, ())


@dataclass(frozen=True)
class Wish:
    """A decision as a page asks for it.

    Attributes:
        what: accept, reject, restore, edit, add, reorder or undo.
        seen: (id, version) of each descriptor that it is about; with a `stamp` those of the filter.
        text: of an edit or an addition.
        kind, action: of an addition.
        filter: whose pending texts are decided on together.
        stamp: what the reviewer saw of them, by `views.stamp`.
    """

    what: str
    seen: tuple[tuple[int, int], ...] = ()
    text: str = ""
    kind: str = ""
    action: Action | None = None
    filter: Filter = field(default_factory=Filter)
    stamp: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a wish, in words; where there are conflicts, nothing was changed."""

    said: str
    conflicts: tuple[str, ...] = ()


class Desk:
    """One dataset, one reviewer."""

    def __init__(self, store: Store, dataset: Dataset, *, reviewer: str, open_llm: OpenLLM | None = None) -> None:
        self.store, self.dataset, self.reviewer = store, dataset, reviewer
        self.phrases = {action.name: action.phrase for action in dataset.actions}
        self.reviews, self.readings = store.reviews(), store.review_queries()
        self._stamps: Mapping[str, tuple[int, ...]] = {}
        self._state = State({}, {})
        self._looked = float("-inf")
        self._lock = threading.Lock()
        self._linter = Linter(dataset)
        self._jobs = Jobs(store, dataset, open_llm) if open_llm else None

    def close(self) -> None:
        """End the jobs."""
        if self._jobs:
            self._jobs.close()

    def state(self) -> State:
        """Return how things are now; only classes that changed since the last look are read again."""
        with self._lock:
            if time.monotonic() - self._looked < _FRESH_SECONDS:
                return self._state
            stamps = self.readings.stamps(self.dataset)
            changed = {name for name, _ in stamps.items() ^ self._stamps.items()}
            if changed:
                self._read(changed)
                self._stamps = stamps
            self._looked = time.monotonic()
            return self._state

    def _read(self, changed: set[str]) -> None:
        actions = tuple(action for action in self.dataset.actions if action.name in changed)
        new: dict[str, list[Descriptor]] = {}
        for descriptor in self.store.descriptors(replace(self.dataset, actions=actions), statuses=_EVERY):
            new.setdefault(descriptor.action, []).append(descriptor)
        old = self._state
        names = (action.name for action in self.dataset.actions)
        by_action = {name: texts for name in names if (texts := (new if name in changed else old.by_action).get(name))}
        self._state = State(by_action, self.readings.impacts(self.dataset))
        if [_said(d) for d in old.descriptors] != [_said(d) for d in self._state.descriptors]:
            self._linter.look_at(self._state.descriptors)

    def flags(self, *, wait: float = 0.0) -> tuple[Flags, bool]:
        """Return what lint says, and whether it is still reading what changed last."""
        return self._linter.now(wait=wait)

    def totals(self) -> views.Counts:
        """Return how many descriptors are in each status."""
        return views.Counts.of(self.state().descriptors)

    def decide(self, wish: Wish) -> Outcome:
        """Make a decision on record.

        Raises:
            UserError: it cannot be made; nothing was changed.
        """
        if wish.what not in _DECIDE:
            raise UsageError(f"Unknown decision {wish.what!r}. Known: {', '.join(_DECIDE)}")
        self._looked = float("-inf")
        try:
            seen = self._of_filter(wish) if wish.stamp else [DescriptorRef(*each) for each in wish.seen]
            return Outcome(_told(_DECIDE[wish.what](self, wish, seen)))
        except ConflictError as error:
            return Outcome("Nothing was changed: see what is new", tuple(str(error).splitlines()[1:]))
        finally:
            self._looked = float("-inf")  # the page that is shown next must have it

    def _of_filter(self, wish: Wish) -> list[DescriptorRef]:
        """Return the pending descriptors of a filter, if they are those that the reviewer saw."""
        passes = wish.filter.predicate(self.phrases, self.flags()[0].rules)
        pending = [d for d in self.state().descriptors if d.status == "pending" and passes(d)]
        if views.stamp(pending) != wish.stamp:
            raise UserError("The texts of this filter changed since this page was made. Reload it, and decide again")
        return [d.ref for d in pending]

    def events(self, *, limit: int) -> Sequence[ReviewEvent]:
        """Return the newest events of the dataset, the newest first."""
        return self.reviews.events(self.dataset)[::-1][:limit]

    def history(self, descriptor: int) -> Sequence[ReviewEvent]:
        """Return the events of a descriptor and of what it was edited from, in time order."""
        return self.reviews.history(descriptor)

    @property
    def can_regenerate(self) -> bool:
        """Whether texts can be written anew from here."""
        return self._jobs is not None

    def regenerate(self, action: Action, kind: str) -> Job:
        """Ask for new texts of a class and kind; the old ones stay as history.

        Raises:
            UserError: there is no LLM, or no template of that kind.
        """
        if self._jobs is None:
            raise UserError("This server was started without an LLM. Start it with: descgen review --llm NAME")
        [prompt] = load_prompts([kind])
        if prompt.compares:
            raise UserError(f"{kind} compares classes. Write it anew with: descgen build --kind {kind} --refresh")
        return self._jobs.start(action, prompt)

    def job(self, job_id: int) -> Job | None:
        """Return how a job stands."""
        return self._jobs.get(job_id) if self._jobs else None


def _said(descriptor: Descriptor) -> tuple[Any, ...]:
    """Return what lint reads of a descriptor: a verdict alone changes no flag."""
    return descriptor.id, descriptor.text, descriptor.position


Decide = Callable[[Desk, Wish, Sequence[DescriptorRef]], Decision]


def _add(desk: Desk, wish: Wish, _seen: Sequence[DescriptorRef]) -> Decision:
    if wish.action is None:
        raise UsageError("An addition is about a class")
    return desk.reviews.add(desk.dataset, wish.action.name, wish.kind, wish.text, reviewer=desk.reviewer)


def _edit(desk: Desk, wish: Wish, seen: Sequence[DescriptorRef]) -> Decision:
    if len(seen) != 1:
        raise UsageError("An edit is of one text")
    return desk.reviews.edit(seen[0], wish.text, reviewer=desk.reviewer)


_DECIDE: Mapping[str, Decide] = {
    "accept": lambda desk, _, seen: desk.reviews.accept(seen, reviewer=desk.reviewer),
    "reject": lambda desk, _, seen: desk.reviews.reject(seen, reviewer=desk.reviewer),
    "restore": lambda desk, _, seen: desk.reviews.restore(seen, reviewer=desk.reviewer),
    "reorder": lambda desk, _, seen: desk.reviews.reorder(seen, reviewer=desk.reviewer),
    "undo": lambda desk, _wish, _seen: desk.reviews.undo(reviewer=desk.reviewer),
    "edit": _edit,
    "add": _add,
}
_PAST = {
    "accept": "Accepted",
    "reject": "Rejected",
    "restore": "Back to pending",
    "edit": "Edited, and accepted",
    "add": "Added",
    "reorder": "Moved",
    "undo": "Undone",
}


def _told(decision: Decision) -> str:
    """Return what was done, in words."""
    done = len(decision.changes)
    if not done:
        return "As you had decided before: nothing to change"
    many = f" {done} texts" if done > 1 and decision.what != "reorder" else ""
    return f"{_PAST[decision.what]}{many}" + (f"; {decision.already} were so before" if decision.already else "")
