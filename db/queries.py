"""Statements on an open session, and rows as records. Only the store calls these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from db.records import (
    Action,
    Descriptor,
    DescriptorSource,
    DescriptorStatus,
    Generation,
    GenerationStatus,
    HistoryEntry,
    LLMIdentity,
    Prediction,
    Run,
    Template,
    Written,
)
from db.schema import (
    ActionRow,
    DatasetRow,
    DescriptorRow,
    GenerationRow,
    LLMRow,
    PredictionRow,
    RunRow,
    TemplateRow,
    utc_now,
)

CHUNK = 500  # values in one IN clause; SQLite's oldest limit on parameters is 999


T = TypeVar("T")


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def actions(session: Session, dataset: str) -> Sequence[ActionRow]:
    query = select(ActionRow).join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
    return session.scalars(query.where(DatasetRow.name == dataset)).all()


def register(session: Session, dataset: str, wanted: Mapping[str, Action]) -> None:
    row = session.scalar(select(DatasetRow).where(DatasetRow.name == dataset))
    if row is None:
        session.add(row := DatasetRow(name=dataset))
        session.flush()
    sync_actions(session, row.id, wanted)


def sync_actions(session: Session, dataset_id: int, wanted: Mapping[str, Action]) -> None:
    stored = {row.name: row for row in session.scalars(select(ActionRow).where(ActionRow.dataset_id == dataset_id))}
    for name, row in stored.items():
        row.label = wanted[name].label if name in wanted else None
        row.phrase = wanted[name].phrase if name in wanted else row.phrase
    session.add_all(
        ActionRow(dataset_id=dataset_id, label=action.label, name=name, phrase=action.phrase)
        for name, action in wanted.items()
        if name not in stored
    )


def llm_id(session: Session, llm: LLMIdentity) -> int:
    values = {"provider": llm.provider, "model": llm.model, "revision": llm.revision}
    row = session.scalar(select(LLMRow).filter_by(**values)) or LLMRow(**values)
    session.add(row)
    session.flush()
    return row.id


def template_id(session: Session, template: Template) -> int:
    row = session.scalar(select(TemplateRow).where(TemplateRow.sha256 == template.sha256))
    if row is None:
        session.add(
            row := TemplateRow(
                kind=template.kind, version=template.version, sha256=template.sha256, source=template.source
            )
        )
        session.flush()
    return row.id


def add_generation(session: Session, item: Generation, action_id: int, llm_id: int, template_id: int) -> int:
    attempts = select(func.max(GenerationRow.attempt)).where(GenerationRow.cache_key == item.cache_key)
    row = GenerationRow(
        cache_key=item.cache_key,
        attempt=(session.scalar(attempts) or 0) + 1,
        action_id=action_id,
        template_id=template_id,
        llm_id=llm_id,
        sample=item.sample,
        parameters=dict(item.parameters),
        environment=dict(item.environment),
        messages=[dict(message) for message in item.messages],
        output_schema=dict(item.output_schema),
        reply=item.reply,
        finish_reason=item.finish_reason,
        status=item.status,
        error=item.error,
        tokens_in=item.tokens_in,
        tokens_out=item.tokens_out,
        seconds=item.seconds,
    )
    session.add(row)
    session.flush()
    return row.id


def use(session: Session, item: Written, action_id: int, kind: str, generation_id: int, model: str) -> None:
    """Put a generation's descriptors in use, and those it takes the place of out of use.

    A place is (action, kind, name of the model, sample): a newer revision of a model replaces the older one. Edited
    texts go and come with the reply that they were edited from; what reviewers withdrew stays out of use.
    """
    mine = (DescriptorRow.action_id == action_id) & (DescriptorRow.kind == kind)
    of_place = (
        select(DescriptorRow.id)  # through the index of a class's few descriptors, not through all calls of a model
        .join(GenerationRow, GenerationRow.id == DescriptorRow.generation_id)
        .join(LLMRow, LLMRow.id == GenerationRow.llm_id)
        .where(mine, DescriptorRow.superseded_at.is_(None), DescriptorRow.generation_id != generation_id)
        .where(LLMRow.model == model, GenerationRow.sample == item.generation.sample)
    )
    changed = update(DescriptorRow).values(version=DescriptorRow.version + 1)
    out = changed.where(DescriptorRow.id.in_(session.scalars(of_place).all()))
    session.execute(out.values(superseded_at=utc_now()))
    own = mine & (DescriptorRow.generation_id == generation_id)
    if session.scalar(select(exists().where(own))):
        back = changed.where(own, DescriptorRow.superseded_at.is_not(None), DescriptorRow.withdrawn.is_(False))
        session.execute(back.values(superseded_at=None))
        return
    session.add_all(
        DescriptorRow(
            action_id=action_id,
            kind=kind,
            position=position,
            text=text,
            source="llm",
            generation_id=generation_id,
        )
        for position, text in enumerate(item.texts)
    )


def descriptor_query(dataset: str | None, kinds: Sequence[str] | None) -> Any:
    query = every_descriptor(dataset).where(DescriptorRow.superseded_at.is_(None))
    return query if kinds is None else query.where(DescriptorRow.kind.in_(kinds))


def every_descriptor(dataset: str | None) -> Any:
    """Return the query of descriptors with who wrote them, in use or not."""
    query = (
        select(DescriptorRow, ActionRow, LLMRow, TemplateRow, GenerationRow.sample)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .outerjoin(GenerationRow, GenerationRow.id == DescriptorRow.generation_id)
        .outerjoin(LLMRow, LLMRow.id == GenerationRow.llm_id)
        .outerjoin(TemplateRow, TemplateRow.id == GenerationRow.template_id)
        .where(ActionRow.label.is_not(None))
    )
    if dataset is None:
        return query
    return query.join(DatasetRow, DatasetRow.id == ActionRow.dataset_id).where(DatasetRow.name == dataset)


def calls() -> Any:
    """Return the query of calls with who was asked, by which template, in time order."""
    return (
        select(GenerationRow, ActionRow.name, LLMRow, TemplateRow)
        .join(ActionRow, ActionRow.id == GenerationRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .join(LLMRow, LLMRow.id == GenerationRow.llm_id)
        .join(TemplateRow, TemplateRow.id == GenerationRow.template_id)
        .order_by(GenerationRow.id)
    )


def history(session: Session, query: Any) -> list[HistoryEntry]:
    used = set(session.scalars(select(DescriptorRow.generation_id).where(DescriptorRow.superseded_at.is_(None))))
    return [
        HistoryEntry(
            action=action,
            kind=template.kind,
            generation=generation(row),
            llm=LLMIdentity(llm.provider, llm.model, llm.revision),
            template_version=template.version,
            template_sha256=template.sha256,
            attempt=row.attempt,
            created_at=row.created_at,
            in_use=row.id in used,
        )
        for row, action, llm, template in session.execute(query)
    ]


def generation(row: GenerationRow) -> Generation:
    return Generation(
        cache_key=row.cache_key,
        sample=row.sample,
        parameters=row.parameters,
        environment=row.environment,
        messages=tuple(row.messages),
        output_schema=row.output_schema,
        reply=row.reply,
        finish_reason=row.finish_reason,
        status=cast(GenerationStatus, row.status),
        error=row.error,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        seconds=row.seconds,
        id=row.id,
    )


def descriptor(
    row: DescriptorRow,
    action: ActionRow,
    llm: LLMRow | None,
    template: TemplateRow | None,
    sample: int | None,
    originals: Mapping[int, Sequence[DescriptorRow]],
) -> Descriptor:
    return Descriptor(
        id=row.id,
        action=action.name,
        kind=row.kind,
        position=row.position,
        text=row.text,
        source=cast(DescriptorSource, row.source),
        status=cast(DescriptorStatus, row.status),
        llm=llm.model if llm else None,
        template=template.sha256 if template else None,
        origin=row.origin,
        generation=row.generation_id,
        sample=sample,
        version=row.version,
        edited_from=row.edited_from_id,
        original=originals[row.id][-1].text if row.edited_from_id else None,
    )


def prediction_values(run_id: int, item: Prediction) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "video": item.video,
        "label": item.label,
        "ranking": [list(entry) for entry in item.ranking],
        "rank": item.rank,
        "label_only_rank": item.label_only_rank,
    }


def prediction(row: PredictionRow) -> Prediction:
    ranking = tuple((int(label), float(score)) for label, score in row.ranking)
    return Prediction(row.video, row.label, ranking, row.rank, row.label_only_rank)


def run_row(run: Run) -> RunRow:
    return RunRow(
        dataset=run.dataset,
        settings=dict(run.settings),
        descriptors_sha256=run.descriptors_sha256,
        descriptor_ids=list(run.descriptor_ids),
        counts=dict(run.counts),
        left_out=[list(item) for item in run.left_out],
        results=dict(run.results),
        seconds=run.seconds,
    )


def run(row: RunRow, predictions: Sequence[Prediction] = ()) -> Run:
    return Run(
        dataset=row.dataset,
        settings=row.settings,
        descriptors_sha256=row.descriptors_sha256,
        descriptor_ids=tuple(row.descriptor_ids),
        counts=row.counts,
        left_out=tuple((video, reason) for video, reason in row.left_out),
        results=row.results,
        seconds=row.seconds,
        created_at=row.created_at,
        id=row.id,
        predictions=tuple(predictions),
    )
