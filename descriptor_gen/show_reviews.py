"""What the commands of review show: decisions, their log, and how far reviewers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from db.records import Agreement, Change, Decision, Descriptor, ReviewEvent, State, What

_DONE: dict[What, str] = {
    "accept": "accepted",
    "reject": "rejected",
    "restore": "made pending",
    "edit": "edited",
    "add": "added",
    "reorder": "moved",
    "undo": "put back",
}
_LISTED = 10  # changes of a decision that are shown one by one


def decision(made: Decision) -> RenderableType:
    """Return what was decided, with counts, and for a few descriptors each of them."""
    changes = made.changes if len(made.changes) <= _LISTED else ()
    were = Counter(change.before.status for change in made.changes if change.before)
    before = ", ".join(f"{count} {status}" for status, count in sorted(were.items()))
    parts = [f"{len(made.changes)} {_DONE[made.what]} by {made.reviewer}" + (f" (before: {before})" if before else "")]
    parts += [f"{made.already} left as they were: decided so before"] if made.already else []
    lines = [*map(_line, changes), ", ".join(parts)]
    return Text("\n".join([*lines, *_number(made)]))


def _number(made: Decision) -> list[str]:
    if made.undoes:
        return [f"decision {made.id}, which takes back decision {made.undoes}"]
    return [f"decision {made.id}; to take it back: descgen undo --decision {made.id}"] if made.id else []


def _line(change: Change) -> str:
    """Return one change: the status, the position, or the text that another one took the place of."""
    before, after = change.before, change.after
    if before and after and before.id == after.id:
        status = after.status if before.status == after.status else f"{before.status} -> {after.status}"
        moved = "" if before.position == after.position else f", position {before.position} -> {after.position}"
        return f"  {after.id}  {after.text}  [{status}{moved}]"
    return f"  {_state(before)} -> {_state(after)}" if before else f"  {_state(after)}"


def _state(state: State | None) -> str:
    return f"{state.id}  {state.text}  [{state.status}]" if state else "out of use"


def text_of(descriptor: Descriptor, *, ids: bool) -> str:
    """Return a descriptor as one line: its id if wanted, its text and status, and what it was edited from."""
    number = f"{descriptor.id}  " if ids else ""
    edited = f"  (edited; it was: {descriptor.original})" if descriptor.original is not None else ""
    return f"{number}{descriptor.text}  [{descriptor.status}]{edited}"


def log(events: Sequence[ReviewEvent]) -> RenderableType:
    """Return the events as a table, in time order."""
    body = [
        (
            event.decision,
            f"{event.at:%Y-%m-%d %H:%M}",
            event.reviewer,
            f"undo of {event.undoes}" if event.undoes else event.what,
            _cell(event.change.before, event),
            _cell(event.change.after, event),
        )
        for event in events
    ]
    return table(">decision", "UTC", "reviewer", "what", "before", "after", title="Decisions", rows=body)


def _cell(state: State | None, event: ReviewEvent) -> str:
    """Return what stood there; the position where it is that which changed."""
    if state is None:
        return ""
    before, after = event.change.before, event.change.after
    moved = before and after and before.position != after.position
    return f"{state.id} {state.text} [{state.status}]" + (f", position {state.position}" if moved else "")


def agreements(found: Sequence[Agreement]) -> RenderableType:
    """Return one row for each two reviewers."""
    body = [
        (
            f"{each.first}, {each.second}",
            each.n,
            each.both_accepted,
            each.only_first,
            each.only_second,
            each.both_refused,
            "" if each.observed is None else f"{100 * each.observed:.1f}",
            "" if each.kappa is None else f"{each.kappa:.3f}",
        )
        for each in found
    ]
    columns = (">both accepted", ">only the first", ">only the second", ">both refused", ">agree %", ">Cohen's kappa")
    title = "Agreement of reviewers: accepted as it was, or not (rejected, edited)"
    notes = [f"{each.first}, {each.second}: no kappa, {each.undefined}" for each in found if each.undefined]
    made = table("reviewers", ">judged by both", *columns, title=title, rows=body)
    return Group(made, *([Text("\n".join(notes))] if notes else []))
