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


def descriptors(session: Session, query: Any, dataset: str | None = None) -> list[Descriptor]:
    rows = session.execute(query).all()
    edited_from = originals(session, dataset) if any(row[0].edited_from_id for row in rows) else {}
    return [
        queries.descriptor(row, action, llm, template, sample, edited_from)
        for row, action, llm, template, sample in rows
    ]


def originals(session: Session, dataset: str | None) -> dict[int, list[DescriptorRow]]:
    """Return, for each descriptor in use that was edited, what it was edited from: the last edited first."""
    parent, further = aliased(DescriptorRow), aliased(DescriptorRow)
    edited = queries.descriptor_query(dataset, None).with_only_columns(
        DescriptorRow.id.label("leaf"), parent.id, parent.edited_from_id
    )
    chain = edited.join(parent, parent.id == DescriptorRow.edited_from_id).cte("chain", recursive=True)
    above = select(chain.c.leaf, further.id, further.edited_from_id)
    chain = chain.union_all(above.join(chain, further.id == chain.c.edited_from_id))
    found: dict[int, list[DescriptorRow]] = defaultdict(list)
    query = select(chain.c.leaf, DescriptorRow).join(DescriptorRow, DescriptorRow.id == chain.c.id)
    for leaf, row in session.execute(query.order_by(DescriptorRow.id.desc())):
        found[leaf].append(row)
    return found
