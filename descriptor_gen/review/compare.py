"""Two writers of one kind side by side: two LLMs, or two versions of a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any
from urllib.parse import urlencode

from db.records import Action, Descriptor, Writer
from descriptor_gen.review.session import Desk
from descriptor_gen.review.views import Counts

_A_PAGE = 50  # classes
_DIGITS = 8


@dataclass(frozen=True)
class Side:
    """One of the two, and what it wrote by class."""

    name: str
    texts_of: Mapping[str, Sequence[Descriptor]]

    @property
    def all(self) -> list[Descriptor]:
        """Every text."""
        return [text for texts in self.texts_of.values() for text in texts]

    @property
    def counts(self) -> Counts:
        """Of every text, by status."""
        return Counts.of(self.all)

    @property
    def words(self) -> float:
        """Words in a text, on average."""
        return mean([len(text.text.split()) for text in self.all] or [0])


def key(writer: Writer) -> str:
    """Return what names a writer in an address."""
    return f"{writer.llm}@{writer.template_sha256[:_DIGITS]}"


def page(desk: Desk, query: Mapping[str, str]) -> dict[str, Any]:
    """Return what the page shows: a table of the classes that either has written about, 50 at a time."""
    kinds = sorted({d.kind for d in desk.state().descriptors if d.generation})
    kind = query.get("kind") if query.get("kind") in kinds else next(iter(kinds), "")
    writers = {key(writer): writer for writer in desk.readings.writers(desk.dataset, kind or "")}
    left, right = _two(list(writers), query)
    two = [writers[name] for name in (left, right) if name]
    calls = [desk.readings.replies(desk.dataset, kind or "", writer) for writer in two]
    actions = _actions(desk, calls, query.get("q", "").casefold())
    pages = -(-len(actions) // _A_PAGE)
    number = min(max(1, int(query["page"]) if query.get("page", "").isdecimal() else 1), max(1, pages))
    shown = actions[(number - 1) * _A_PAGE : number * _A_PAGE]
    sides = [_side(desk, kind or "", writer, of, shown) for writer, of in zip(two, calls, strict=True)]
    return {
        "kinds": kinds,
        "kind_chosen": kind,
        "writers": [{"key": name, "name": _name(writer)} for name, writer in writers.items()],
        "left": left,
        "right": right,
        "sides": sides,
        "rows": [_row(action, sides) for action in shown],
        "pages": pages,
        "number": number,
        "page_query": urlencode({"kind": kind, "left": left, "right": right, "q": query.get("q", "")}),
        "why": "no LLM has written about this dataset yet" if not writers else "no class matches the search",
    }


def _name(writer: Writer) -> str:
    template = f"template {writer.template_version} ({writer.template_sha256[:_DIGITS]})"
    return f"{writer.llm}, {template}, {writer.actions} classes"


def _two(names: Sequence[str], query: Mapping[str, str]) -> tuple[str, str]:
    """Return the two that are asked for, else the first two."""
    left = query.get("left", "") if query.get("left") in names else next(iter(names), "")
    others = [name for name in names if name != left]
    return left, query.get("right", "") if query.get("right") in names else next(iter(others), left)


def _side(desk: Desk, kind: str, writer: Writer, calls: Mapping[str, int], shown: Sequence[Action]) -> Side:
    wanted = [calls[action.name] for action in shown if action.name in calls]
    return Side(_name(writer), desk.readings.texts(desk.dataset, kind, wanted))


def _actions(desk: Desk, calls: Sequence[Mapping[str, int]], q: str) -> list[Action]:
    """Return the classes that either has written about, and whose name the search is in."""
    return [
        action
        for action in desk.dataset.actions
        if any(action.name in of for of in calls) and (q in action.phrase.casefold() or q in action.name.casefold())
    ]


def _row(action: Action, sides: Sequence[Side]) -> dict[str, Any]:
    texts = [side.texts_of.get(action.name, ()) for side in sides]
    return {"label": action.label, "phrase": action.phrase, "sides": texts}
