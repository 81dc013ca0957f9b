"""The texts in use as their LLM or file wrote them, whatever people decided on them since. Callers pass the session."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import queries
from db.records import Dataset, Descriptor
from db.schema import ActionRow, DatasetRow, DescriptorRow, ReviewEventRow

VERSION = 1  # of every text as it was written: the number of versions would tell of decisions
_BY_PEOPLE = DescriptorRow.generation_id.is_(None) & DescriptorRow.origin.is_(None)


def as_written(session: Session, dataset: Dataset) -> list[Descriptor]:
    """Return the texts in use as they were written, in order, all pending; not those that people added."""
    texts = [text for text in in_use(session, dataset) if not text.by_hand]
    moved = _first_positions(session, dataset)
    written = [
        replace(
            text,
            id=root.id,
            text=root.text,
            source=root.source,
            position=moved.get(root.id, root.position),
            status="pending",
            version=VERSION,
            edited_from=None,
            original=None,
        )
        for text, root in zip(texts, _roots(session, texts), strict=True)
    ]
    return queries.in_order(dataset, written)


def written_in(session: Session, dataset: Dataset, kind: str, calls: Collection[int]) -> list[Descriptor]:
    """Return the texts of a kind (empty: of all) that some calls wrote, in use or not, in order, all pending."""
    query = queries.every_descriptor(dataset.stored_as).where(DescriptorRow.edited_from_id.is_(None))
    query = query.where(DescriptorRow.kind == kind) if kind else query
    moved = _first_positions(session, dataset)
    parts = (query.where(DescriptorRow.generation_id.in_(chunk)) for chunk in queries.chunks(sorted(calls)))
    texts = [
        replace(text, position=moved.get(text.id, text.position), status="pending", version=VERSION)
        for part in parts
        for text in queries.descriptors(session, part)
    ]
    return queries.in_order(dataset, texts)


def in_use(session: Session, dataset: Dataset) -> list[Descriptor]:
    """Return the descriptors in use, of any status, in order."""
    query = queries.only_actions(queries.descriptor_query(dataset.stored_as), dataset)
    return queries.in_order(dataset, queries.descriptors(session, query))


def written_by_id(session: Session, ids: Sequence[int]) -> list[Descriptor]:
    """Return texts by the ids that they were written under, in use or not, in no order."""
    query = queries.every_descriptor()
    parts = [query.where(DescriptorRow.id.in_(chunk)) for chunk in queries.chunks(ids)]
    return [text for part in parts for text in queries.descriptors(session, part)]


def root_ids(session: Session, texts: Sequence[Descriptor]) -> list[int]:
    """Return the id of each text as it was written."""
    return [root.id for root in _roots(session, texts)]


def _roots(session: Session, texts: Sequence[Descriptor]) -> list[Descriptor | DescriptorRow]:
    """Return the text that each one was edited from at first, or itself."""
    earlier = queries.originals(session, [text.id for text in texts if text.edited_from])
    return [earlier[text.id][-1] if text.edited_from else text for text in texts]


def _first_positions(session: Session, dataset: Dataset) -> Mapping[int, int]:
    """Return the positions, before anybody changed them, of the texts that somebody moved."""
    query = (
        select(ReviewEventRow.descriptor_id, ReviewEventRow.before)
        .join(DescriptorRow, DescriptorRow.id == ReviewEventRow.descriptor_id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .where(DatasetRow.name == dataset.stored_as, ReviewEventRow.what == "reorder")
        .order_by(ReviewEventRow.id.desc())
    )
    return {descriptor: before["position"] for descriptor, before in session.execute(query)}


def judgeable(session: Session, ids: Sequence[int], dataset: Dataset) -> set[int]:
    """Return those ids that are texts of a dataset as an LLM or a file wrote them, in use or not."""
    written = (
        select(DescriptorRow.id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .where(DatasetRow.name == dataset.stored_as, DescriptorRow.edited_from_id.is_(None), ~_BY_PEOPLE)
    )
    return {id_ for chunk in queries.chunks(ids) for id_ in session.scalars(written.where(DescriptorRow.id.in_(chunk)))}


def are_in_use(session: Session, ids: Sequence[int]) -> bool:
    """Return whether each text, or an edit of it, is in use."""
    family = {id_: id_ for id_ in ids}  # a text or an edit of it -> the text
    used: set[int] = set()
    while family:
        superseded = by_id(session, family, DescriptorRow.superseded_at)
        used.update(family[id_] for id_, since in superseded.items() if since is None)
        edits: dict[int, int] = {}
        for chunk in queries.chunks(list(family)):
            query = select(DescriptorRow.id, DescriptorRow.edited_from_id)
            rows = session.execute(query.where(DescriptorRow.edited_from_id.in_(chunk)))
            edits.update((edit, family[source]) for edit, source in rows if source is not None)
        family = edits
    return used == set(ids)


def by_id(session: Session, ids: Iterable[int], column: Any) -> dict[int, Any]:
    """Return descriptor id -> value of a column."""
    values: dict[int, Any] = {}
    for chunk in queries.chunks(sorted(ids)):
        values.update(session.execute(select(DescriptorRow.id, column).where(DescriptorRow.id.in_(chunk))).all())
    return values
