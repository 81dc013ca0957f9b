"""Statements on an open session, and rows as records. Callers pass the session of their transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session, aliased

from db import vocabulary
from db.records import Action, Dataset, Descriptor, GeneratedTexts, Generation, HistoryEntry, LLMIdentity
from db.schema import (
    ActionRow,
    Base,
    DatasetRow,
    DescriptorRow,
    GenerationRow,
    LLMRow,
    TemplateRow,
    utc_now,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CHUNK = 500  # values in one IN clause; SQLite's oldest limit on parameters is 999

T = TypeVar("T")
R = TypeVar("R", bound="DataclassInstance")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield parts that are short enough for one IN clause."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def to_record(kind: type[R], source: object, **overrides: Any) -> R:
    """Return a record with the values of the source's attributes of the same names, except for `overrides`."""
    names = [field.name for field in fields(kind) if field.name not in overrides]
    return kind(**{name: getattr(source, name) for name in names}, **overrides)


def row_values(table: type[Base], record: DataclassInstance, **overrides: Any) -> dict[str, Any]:
    """Return the values of a new row from a record and `overrides`; the database sets id and time."""
    names = {field.name for field in fields(record)} & set(table.__table__.columns.keys()) - {"id", "created_at"}
    return {name: getattr(record, name) for name in names} | overrides


def row_id(session: Session, table: type[Base], record: DataclassInstance, *key: str) -> int:
    """Return the id of the row with the same key (by default all of the record's fields); it is added if missing."""
    values = asdict(record)
    row = session.scalar(select(table).filter_by(**{name: values[name] for name in key or values})) or table(**values)
    session.add(row)
    session.flush()
    return row.id


def stored_dataset(dataset: Dataset) -> Dataset | None:
    """Return the dataset whose actions are stored for this one: itself, or the built-in one it is a subset of.

    None: it is a subset of a user's own dataset, which is stored already.
    """
    if dataset.stored_as == dataset.name:
        return dataset
    return vocabulary.load(dataset.stored_as) if dataset.stored_as in vocabulary.BUILT_IN else None


def own_dataset(session: Session, name: str) -> Dataset | None:
    """Return a built-in or stored dataset by its name; None if there is none, or no class is left of it."""
    if name in vocabulary.BUILT_IN:
        return vocabulary.load(name)
    row = session.scalar(select(DatasetRow).where(DatasetRow.name == name))
    if row is None:
        return None
    if row.parent_id is not None:
        parent = own_dataset(session, session.scalars(select(DatasetRow.name).filter_by(id=row.parent_id)).one())
        return vocabulary.subset(name, parent, row.classes or ()) if parent else None
    query = select(ActionRow).where(ActionRow.dataset_id == row.id, ActionRow.label.is_not(None))
    listed = tuple(to_record(Action, action) for action in session.scalars(query.order_by(ActionRow.label)))
    return Dataset(name, listed, stored_as=name) if listed else None


def actions(session: Session, dataset: Dataset) -> dict[str, ActionRow]:
    """Return the stored actions of a dataset by name."""
    query = select(ActionRow).join(DatasetRow).where(DatasetRow.name == dataset.stored_as)
    return {row.name: row for row in session.scalars(query)}


def register(session: Session, dataset: Dataset) -> None:
    """Store a dataset's actions: labels and phrases are updated, actions that are no longer listed lose their label."""
    whole = stored_dataset(dataset)
    if whole is None:
        return
    row = session.scalar(select(DatasetRow).where(DatasetRow.name == whole.name)) or DatasetRow(name=whole.name)
    row.origin = str(Path(whole.path).resolve()) if whole.path else row.origin
    session.add(row)
    session.flush()
    stored = actions(session, whole)
    for unlisted in stored.keys() - {action.name for action in whole.actions}:
        stored[unlisted].label = None
    for action in whole.actions:
        if action.name in stored:
            stored[action.name].label, stored[action.name].phrase = action.label, action.phrase
        else:
            session.add(ActionRow(dataset_id=row.id, **asdict(action)))
    session.flush()


def add_generation(session: Session, item: Generation, action_id: int, llm_id: int, template_id: int) -> int:
    """Add a call under the next attempt number of its key; return its id."""
    attempts = select(func.max(GenerationRow.attempt)).where(GenerationRow.cache_key == item.cache_key)
    ids = {"action_id": action_id, "llm_id": llm_id, "template_id": template_id}
    row = GenerationRow(**row_values(GenerationRow, item, attempt=(session.scalar(attempts) or 0) + 1, **ids))
    session.add(row)
    session.flush()
    return row.id


def late(session: Session, items: Sequence[Generation], known: Collection[int] | None) -> set[str]:
    """Return the keys of the `ok` items that come after the reply of another builder.

    That is a newest `ok` generation which is not among the ids `known`, or not the item itself if it is stored.
    """
    keys = [item.cache_key for item in items if item.status == "ok"]
    newest: dict[str, int] = {}
    for chunk in chunks(keys):
        query = select(GenerationRow.cache_key, func.max(GenerationRow.id)).where(GenerationRow.cache_key.in_(chunk))
        rows = session.execute(query.where(GenerationRow.status == "ok").group_by(GenerationRow.cache_key))
        newest |= {key: generation_id for key, generation_id in rows}  # noqa: C416 - rows, not pairs
    expected = {item.cache_key: {item.id} if item.id else known for item in items}
    return {key for key, newest_id in newest.items() if (ids := expected[key]) is not None and newest_id not in ids}


def put_in_use(
    session: Session, item: GeneratedTexts, action_id: int, kind: str, generation_id: int, model: str
) -> None:
    """Put a generation's descriptors in use, and the descriptors they replace out of use.

    They replace those of the same action, kind, model name and sample, so a newer revision of a model replaces an
    older one. Edits go in and out of use with the reply they belong to; withdrawn texts stay out of use.
    """
    same_kind = (DescriptorRow.action_id == action_id) & (DescriptorRow.kind == kind)
    replaced = (
        select(DescriptorRow.id)  # uses the index on a class's few descriptors instead of reading all calls of a model
        .join(GenerationRow, GenerationRow.id == DescriptorRow.generation_id)
        .join(LLMRow, LLMRow.id == GenerationRow.llm_id)
        .where(same_kind, DescriptorRow.superseded_at.is_(None), DescriptorRow.generation_id != generation_id)
        .where(LLMRow.model == model, GenerationRow.sample == item.generation.sample)
    )
    change = update(DescriptorRow).values(version=DescriptorRow.version + 1)
    out_of_use = change.where(DescriptorRow.id.in_(session.scalars(replaced).all()))
    session.execute(out_of_use.values(superseded_at=utc_now()))
    own = same_kind & (DescriptorRow.generation_id == generation_id)
    if session.scalar(select(exists().where(own))):
        restored = change.where(own, DescriptorRow.superseded_at.is_not(None), DescriptorRow.withdrawn.is_(False))
        session.execute(restored.values(superseded_at=None))
        return
    shared = {"action_id": action_id, "kind": kind, "source": "llm", "generation_id": generation_id}
    session.add_all(DescriptorRow(position=position, text=text, **shared) for position, text in enumerate(item.texts))


def descriptor_query(dataset: str | None = None, kinds: Sequence[str] | None = None) -> Any:
    """Return the query of the descriptors in use with their provenance."""
    query = every_descriptor(dataset).where(DescriptorRow.superseded_at.is_(None))
    return query if kinds is None else query.where(DescriptorRow.kind.in_(kinds))


def every_descriptor(dataset: str | None = None) -> Any:
    """Return the query of the descriptors with their provenance, in use or not."""
    query = (
        select(DescriptorRow, ActionRow.name, LLMRow.model, TemplateRow.sha256, GenerationRow.sample)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .outerjoin(GenerationRow, GenerationRow.id == DescriptorRow.generation_id)
        .outerjoin(LLMRow, LLMRow.id == GenerationRow.llm_id)
        .outerjoin(TemplateRow, TemplateRow.id == GenerationRow.template_id)
        .where(ActionRow.label.is_not(None))
    )
    return query if dataset is None else query.where(DatasetRow.name == dataset)


def only_actions(query: Any, dataset: Dataset) -> Any:
    """Restrict a query to the dataset's actions, if they are few enough for one IN clause."""
    names = [action.name for action in dataset.actions]
    return query.where(ActionRow.name.in_(names)) if len(names) <= CHUNK else query


def descriptors(session: Session, query: Any) -> list[Descriptor]:
    """Return the results of a `descriptor_query` or `every_descriptor`."""
    rows = session.execute(query).all()
    edited_from = originals(session, [row.id for row, *_ in rows if row.edited_from_id])
    return [
        to_record(
            Descriptor,
            row,
            action=action,
            llm=llm,
            template=template,
            generation=row.generation_id,
            sample=sample,
            edited_from=row.edited_from_id,
            original=edited_from[row.id][-1].text if row.edited_from_id else None,
        )
        for row, action, llm, template, sample in rows
    ]


def in_order(dataset: Dataset, descriptors: Sequence[Descriptor]) -> list[Descriptor]:
    """Return descriptors of a dataset's actions by label, kind, LLM, reply or file (oldest first), and position."""
    label = {action.name: action.label for action in dataset.actions}
    selected = [d for d in descriptors if d.action in label]
    oldest: dict[tuple[Any, ...], int] = {}
    for d in selected:
        oldest[_reply(d)] = min(d.id, oldest.get(_reply(d), d.id))
    return sorted(selected, key=lambda d: (label[d.action], d.kind, d.llm or "", oldest[_reply(d)], d.position, d.id))


def _reply(d: Descriptor) -> tuple[Any, ...]:
    """Return the key shared by the texts of one reply, or of one imported file."""
    return d.action, d.kind, d.llm, d.generation, d.origin


def originals(session: Session, edited: Sequence[int]) -> Mapping[int, Sequence[DescriptorRow]]:
    """Return, by the id of an edited descriptor, the texts it was edited from, most recent first."""
    texts: dict[int, list[DescriptorRow]] = defaultdict(list)
    for chunk in chunks(edited):
        for edit, original in session.execute(_originals_query(chunk)):
            texts[edit].append(original)
    return texts


def _originals_query(edited: Sequence[int]) -> Any:
    """Return the query of (edited descriptor, original), over any number of edits."""
    edit, parent = aliased(DescriptorRow), aliased(DescriptorRow)
    first = select(edit.id.label("edit"), edit.edited_from_id.label("parent")).where(edit.id.in_(edited))
    chain = first.cte("chain", recursive=True)
    chain = chain.union_all(select(chain.c.edit, parent.edited_from_id).join(parent, parent.id == chain.c.parent))
    return (
        select(chain.c.edit, DescriptorRow)
        .join(DescriptorRow, DescriptorRow.id == chain.c.parent)
        .order_by(DescriptorRow.id.desc())
    )


def calls() -> Any:
    """Return the query of LLM calls with action, model and template, in time order."""
    return (
        select(GenerationRow, ActionRow.name, LLMRow, TemplateRow)
        .join(ActionRow, ActionRow.id == GenerationRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .join(LLMRow, LLMRow.id == GenerationRow.llm_id)
        .join(TemplateRow, TemplateRow.id == GenerationRow.template_id)
        .order_by(GenerationRow.id)
    )


def generation(row: GenerationRow) -> Generation:
    """Return the record of a generation row."""
    return to_record(Generation, row, messages=tuple(row.messages))


def history(session: Session, query: Any) -> list[HistoryEntry]:
    """Return the results of a `calls` query."""
    used = set(session.scalars(select(DescriptorRow.generation_id).where(DescriptorRow.superseded_at.is_(None))))
    return [
        HistoryEntry(
            action=action,
            kind=template.kind,
            generation=generation(row),
            llm=to_record(LLMIdentity, llm),
            template_version=template.version,
            template_sha256=template.sha256,
            attempt=row.attempt,
            created_at=row.created_at,
            in_use=row.id in used,
        )
        for row, action, llm, template in session.execute(query)
    ]
