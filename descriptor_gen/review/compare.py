"""The page that compares two writers of one kind: two LLMs, or two versions of a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any
from urllib.parse import urlencode

from db.records import Action, Descriptor, Writer
from descriptor_gen.review.session import Counts, ReviewSession

_PAGE_CLASSES = 50
_DIGITS = 8


@dataclass(frozen=True)
class Side:
    """One writer with its texts by class name; `words` is the mean number of words in a text."""

    name: str
    texts: Mapping[str, Sequence[Descriptor]]
    counts: Counts
    words: float


@dataclass(frozen=True)
class Choice:
    """What the page is asked to show: a kind, two writers, the classes that `q` matches, the number of a page."""

    kind: str = ""
    left: str = ""
    right: str = ""
    q: str = ""
    page: str = ""


def page(session: ReviewSession, chosen: Choice) -> dict[str, Any]:
    """Return the values of the page: a table of the classes that either writer wrote about, 50 at a time."""
    kinds = sorted({d.kind for d in session.snapshot().descriptors if d.generation})
    kind = _known_or_first(chosen.kind, kinds)
    writers = {_key(writer): writer for writer in session.queries.writers(session.dataset, kind)}
    left = _known_or_first(chosen.left, list(writers))
    right = _known_or_first(chosen.right, list(writers), default=[name for name in writers if name != left] or [left])
    compared = [writers[name] for name in (left, right) if name]
    calls = [session.queries.replies(session.dataset, kind, writer) for writer in compared]
    actions = _actions(session, calls, chosen.q.casefold())
    pages = -(-len(actions) // _PAGE_CLASSES)
    asked = chosen.page
    number = int(asked) if asked.isdecimal() and len(asked) <= _DIGITS else 1
    number = min(max(1, number), max(1, pages))
    shown = actions[(number - 1) * _PAGE_CLASSES : number * _PAGE_CLASSES]
    sides = [_side(session, kind, writer, replies, shown) for writer, replies in zip(compared, calls, strict=True)]
    return {
        "kinds": kinds,
        "kind_chosen": kind,
        "writers": [{"key": key, "name": _name(writer)} for key, writer in writers.items()],
        "left": left,
        "right": right,
        "sides": sides,
        "rows": [{"action": action, "sides": [side.texts.get(action.name, ()) for side in sides]} for action in shown],
        "pages": pages,
        "number": number,
        "page_query": urlencode({"kind": kind, "left": left, "right": right, "q": chosen.q}),
        "reason": "no class matches the search" if writers else "no LLM has written about this dataset yet",
    }


def _key(writer: Writer) -> str:
    """Return the name of a writer for the page's address."""
    return f"{writer.llm}@{writer.template_sha256[:_DIGITS]}"


def _name(writer: Writer) -> str:
    template = f"template {writer.template_version} ({writer.template_sha256[:_DIGITS]})"
    return f"{writer.llm}, {template}, {writer.actions} classes"


def _known_or_first(value: str | None, known: Sequence[str], default: Sequence[str] = ()) -> str:
    """Return the value if it is known, else the first of `default` and `known`; empty if there is none."""
    return value if value and value in known else next(iter([*default, *known]), "")


def _side(session: ReviewSession, kind: str, writer: Writer, calls: Mapping[str, int], shown: Sequence[Action]) -> Side:
    call_ids = [calls[action.name] for action in shown if action.name in calls]
    by_class = session.queries.texts(session.dataset, kind, call_ids)
    texts = [text for texts in by_class.values() for text in texts]
    words = mean([len(text.text.split()) for text in texts] or [0])
    return Side(_name(writer), by_class, Counts.of(texts), words)


def _actions(session: ReviewSession, calls: Sequence[Mapping[str, int]], search: str) -> list[Action]:
    """Return the classes that either writer wrote about, and whose name or phrase contains `search`."""
    written = set().union(*calls)
    matching = (a for a in session.dataset.actions if search in a.phrase.casefold() or search in a.name.casefold())
    return [action for action in matching if action.name in written]
