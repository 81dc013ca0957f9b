"""Descriptors in use: where each stands, in which order, and what it was edited from. Only stores call these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from db import queries
from db.records import Dataset, Descriptor
from db.schema import ActionRow, DescriptorRow

T = TypeVar("T")


def of_actions(query: Any, dataset: Dataset) -> Any:
    """Leave the actions of a part of a dataset to the database where they are few."""
    names = [action.name for action in dataset.actions]
    return query.where(ActionRow.name.in_(names)) if len(names) <= queries.CHUNK else query


class Place(NamedTuple):
    """Where a text stands: texts of one reply, or of one imported file, follow each other by position."""

    action: str
    kind: str
    llm: str
    generation: int | None
    origin: str | None
    position: int
    id: int


def in_order(dataset: Dataset, found: Sequence[tuple[Place, T]]) -> list[T]:
    """Return what belongs to a dataset's actions by label, kind, LLM, reply or file (the oldest first), position."""
    label = {action.name: action.label for action in dataset.actions}
    mine = [(place, item) for place, item in found if place.action in label]
    oldest: dict[tuple[Any, ...], int] = {}
    for place, _ in mine:
        oldest[place[:5]] = min(place.id, oldest.get(place[:5], place.id))
    mine.sort(key=lambda each: (label[each[0].action], *each[0][1:3], oldest[each[0][:5]], *each[0][5:]))
    return [item for _, item in mine]


def descriptors(session: Session, query: Any) -> list[Descriptor]:
    """Return the descriptors of a `queries.descriptor_query`."""
    rows = session.execute(query).all()
    edited_from = originals(session, [row[0].id for row in rows if row[0].edited_from_id])
    return [
        queries.descriptor(row, action, llm, template, sample, edited_from)
        for row, action, llm, template, sample in rows
    ]


def originals(session: Session, edited: Sequence[int]) -> dict[int, list[DescriptorRow]]:
    """Return, for each of some edited descriptors, what it was edited from: the last edited first."""
    found: dict[int, list[DescriptorRow]] = defaultdict(list)
    for chunk in queries.chunks(edited):
        for leaf, row in session.execute(_above(chunk)):
            found[leaf].append(row)
    return found


def _above(edited: Sequence[int]) -> Any:
    """Return the query of (edited descriptor, one that it was edited from), however often it was edited."""
    leaf, parent = aliased(DescriptorRow), aliased(DescriptorRow)
    first = select(leaf.id.label("leaf"), leaf.edited_from_id.label("parent")).where(leaf.id.in_(edited))
    chain = first.cte("chain", recursive=True)
    further = select(chain.c.leaf, parent.edited_from_id).join(parent, parent.id == chain.c.parent)
    chain = chain.union_all(further)
    return (
        select(chain.c.leaf, DescriptorRow)
        .join(DescriptorRow, DescriptorRow.id == chain.c.parent)
        .order_by(DescriptorRow.id.desc())
    )
