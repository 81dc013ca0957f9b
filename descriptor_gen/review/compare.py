"""The page that compares two writers: LLMs, versions of a template, imported files, text packs, people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from statistics import mean
from typing import Any
from urllib.parse import urlencode

from db.records import Action, Conflict, Decision, Descriptor, Writer, Written
from descriptor_gen.review.pages import Text, as_texts
from descriptor_gen.review.paging import Paged, of_parts
from descriptor_gen.review.session import Counts, ReviewSession
from descriptor_gen.review.wording import differences, lacking, marked

EVERY_KIND = "*"
_PAGE_TEXTS = 120
_DIGITS = 8
_GOES_ON = ("accept", "reject", "edit")  # after other decisions the reviewer stays at the text


@dataclass(frozen=True)
class Cell:
    """One text of a side; `reason`: why it cannot be decided on, empty if it can."""

    text: Text
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """The texts of both sides about one class, of one kind."""

    action: Action
    kind: str
    sides: tuple[Sequence[Cell], ...]


@dataclass(frozen=True)
class Side:
    """A writer with what is on the page: counts by status, texts out of use, and the mean number of words in a text."""

    name: str
    counts: Counts
    out_of_use: int
    words: float


@dataclass(frozen=True)
class Choice:
    """What the page shows: a kind or `*`, two writers, the classes that `q` matches, the number of a page."""

    kind: str = ""
    left: str = ""
    right: str = ""
    q: str = ""
    page: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Choice:
        """Return the choice in the query of an address."""
        return cls(**{name: query.get(name, "") for name in ("kind", "left", "right", "q", "page")})


@dataclass(frozen=True)
class _Compared:
    """What is compared.

    Attributes:
        kinds, kind: to choose from, and the one chosen.
        writers, chosen: to choose from, by their names in addresses, and one or two of these names.
        written: by writer and action, what was written.
        classes: of the page.
    """

    kinds: Sequence[str]
    kind: str
    writers: Mapping[str, Writer]
    chosen: tuple[str, ...]
    written: Mapping[Writer, Mapping[str, Written]]
    classes: Paged[Action]

    @property
    def of_kind(self) -> str:
        return "" if self.kind == EVERY_KIND else self.kind


def page(session: ReviewSession, chosen: Choice, *, request: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the values of the page: a table of the classes that either writer wrote about, 120 texts at a time.

    Args:
        session, chosen: of the page.
        request: as in `pages.panel`.
    """
    request = request or {"conflicts": (), "decision": "", "text": ""}
    compared = _compared(session, chosen)
    rows = _rows(session, compared, request["conflicts"])
    left, right = (*compared.chosen, "", "")[:2]
    return {
        "kinds": compared.kinds,
        "every_kind": EVERY_KIND,
        "kind_chosen": compared.kind,
        "writers": [{"key": key, "name": _name(compared, key)} for key in compared.writers],
        "left_writer": left,
        "right_writer": right or left,
        "sides": [_side(compared, rows, index) for index in range(len(compared.chosen))],
        "rows": rows,
        "pages": compared.classes,
        "request": request,
        "gone": [conflict for conflict in request["conflicts"] if not conflict.in_use],
        "reason": "no class matches the search" if compared.writers else "nobody has written about this dataset yet",
    }


def focus_after(session: ReviewSession, chosen: Choice, decision: Decision, current: int) -> tuple[int | None, str]:
    """Return the text that gets the focus after a decision, and the message that everything is done.

    The text is None if it is not on the page; the message is empty if there is more to do.
    """
    order = [cell.text.descriptor for cell in _cells(_rows(session, _compared(session, chosen), ())) if not cell.reason]
    ids = [d.id for d in order]
    state = next((change.after for change in decision.changes if change.after), None)
    decided = state.id if state and state.id in ids else current
    if decision.what not in _GOES_ON or decided not in ids:
        return (decided if decided in ids else None), ""
    place = ids.index(decided)
    pending = [d.id for d in order[place + 1 :] + order[:place] if d.status == "pending"]
    return next(iter(pending), decided), "" if pending else "Everything on this page is decided"


def _compared(session: ReviewSession, chosen: Choice) -> _Compared:
    dataset, kinds = session.dataset, sorted({d.kind for d in session.snapshot().descriptors})
    kind = _known_or_first(chosen.kind, kinds, known=(EVERY_KIND,))
    of_kind = "" if kind == EVERY_KIND else kind
    written = session.queries.written(dataset, of_kind)
    writers = {_key(writer): writer for writer in written}
    left = _known_or_first(chosen.left, list(writers))
    right = _known_or_first(chosen.right, [name for name in writers if name != left], known=(left,))
    sides = tuple(dict.fromkeys(name for name in (left, right) if name))
    parts = [written[writers[name]] for name in sides]
    query = urlencode({"kind": kind, "left": left, "right": right, "q": chosen.q})
    classes = of_parts(_parts(_actions(session, parts, chosen.q.casefold()), parts), chosen.page, query)
    return _Compared(kinds, kind, writers, sides, written, classes)


def _key(writer: Writer) -> str:
    """Return the name of a writer for the page's address; it tells a model from a file of the same name."""
    template = f"@{writer.template_sha256[:_DIGITS]}" if writer.template_sha256 else ""
    return f"{writer.name}{template}" if writer.source == "model" else f"{writer.source}:{writer.name}"


def _name(compared: _Compared, key: str) -> str:
    writer = compared.writers[key]
    name = "by hand" if writer.source == "hand" else writer.name
    version = f"template {writer.template_version} ({writer.template_sha256[:_DIGITS]}), "
    return f"{name}, {version if writer.template_sha256 else ''}{len(compared.written[writer])} classes"


def _known_or_first(value: str, choices: Sequence[str], *, known: Sequence[str] = ()) -> str:
    """Return the value if it is known, else the first of the choices; empty if there is none."""
    return value if value and value in (*choices, *known) else next(iter(choices), "")


def _actions(session: ReviewSession, written: Sequence[Mapping[str, Written]], search: str) -> list[Action]:
    """Return the classes that either writer wrote about, and whose name or phrase contains `search`."""
    names = set().union(*written)
    names &= session.snapshot().by_action.keys() if session.blind else names  # a blind reviewer's own classes
    matching = (a for a in session.dataset.actions if search in a.phrase.casefold() or search in a.name.casefold())
    return [action for action in matching if action.name in names]


def _parts(actions: Sequence[Action], written: Sequence[Mapping[str, Written]]) -> list[list[Action]]:
    """Return the classes of each page: as many as have 120 texts together, at least one."""
    parts: list[list[Action]] = []
    room = 0
    for action in actions:
        texts = sum(side[action.name].texts for side in written if action.name in side)
        if not parts or texts > room:
            parts.append([])
            room = _PAGE_TEXTS
        parts[-1].append(action)
        room -= texts
    return parts


def _rows(session: ReviewSession, compared: _Compared, conflicts: tuple[Conflict, ...]) -> list[Row]:
    """Return the rows of the page: a row for each class and kind."""
    names = {action.name: action for action in compared.classes.shown}
    sides = [_texts(session, compared, index, conflicts) for index in range(len(compared.chosen))]
    places = sorted({place for side in sides for place in side}, key=lambda place: (names[place[0]].label, place[1]))
    return [
        Row(names[name], kind, _marked(tuple(side.get((name, kind), []) for side in sides))) for name, kind in places
    ]


def _texts(
    session: ReviewSession, compared: _Compared, index: int, conflicts: tuple[Conflict, ...]
) -> dict[tuple[str, str], list[Cell]]:
    """Return the texts of one side by (class, kind), in order."""
    writer = compared.writers[compared.chosen[index]]
    written = compared.written[writer]
    calls = {call for a in compared.classes.shown if a.name in written for call in written[a.name].calls}
    wrote = _WROTE[writer.source](writer, calls)
    by_action = session.snapshot().by_action
    own = (d for action in compared.classes.shown for d in by_action.get(action.name, ()))
    in_use = [d for d in own if compared.of_kind in ("", d.kind) and wrote(d)]
    known = {d.id for d in in_use}
    replaced = session.queries.out_of_use(session.dataset, compared.of_kind, calls) if calls else ()
    cells = [Cell(text) for text in as_texts(session, in_use, known, conflicts)]
    reason = "not in use: a newer reply has replaced it"
    cells += [Cell(Text(d, (), None), reason) for d in replaced if d.id not in known]
    cells.sort(key=lambda cell: _order(cell.text.descriptor))
    places: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        places.setdefault((cell.text.descriptor.action, cell.text.descriptor.kind), []).append(cell)
    return places


_WROTE: Mapping[str, Callable[[Writer, set[int]], Callable[[Descriptor], bool]]] = {
    "model": lambda _, calls: lambda d: d.generation in calls,
    "file": lambda writer, _: lambda d: d.generation is None and d.origin == writer.name,
    "hand": lambda _writer, _calls: lambda d: d.by_hand,
}


def _order(descriptor: Descriptor) -> tuple[int, int, int]:
    return descriptor.sample or 0, descriptor.position, descriptor.id


def _marked(sides: tuple[Sequence[Cell], ...]) -> tuple[Sequence[Cell], ...]:
    """Return the texts of both sides with the words marked in which those at the same place differ."""
    if len(sides) < 2:
        return sides
    pairs = [_pair(left, right) for left, right in zip_longest(*sides)]
    return tuple([cell for cell in side if cell] for side in zip(*pairs, strict=True))


def _pair(left: Cell | None, right: Cell | None) -> tuple[Cell | None, Cell | None]:
    if left is None or right is None:
        return left, right
    parts = differences(left.text.descriptor.text, right.text.descriptor.text)
    new = [
        replace(cell, text=replace(cell.text, marks=marked(part, "mark"), lacking=lacking(part)))
        for cell, part in zip((left, right), parts, strict=True)
    ]
    return new[0], new[1]


def _cells(rows: Sequence[Row]) -> list[Cell]:
    return [cell for row in rows for side in row.sides for cell in side]


def _side(compared: _Compared, rows: Sequence[Row], index: int) -> Side:
    cells = [cell for row in rows for cell in row.sides[index]]
    words = mean([len(cell.text.descriptor.text.split()) for cell in cells] or [0])
    in_use = Counts.of(cell.text.descriptor for cell in cells if not cell.reason)
    return Side(_name(compared, compared.chosen[index]), in_use, len(cells) - in_use.all, words)
