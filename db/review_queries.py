"""What a reviewer looks at beside the descriptors themselves: calls, other writers, what a run measured.

readings = store.readings()
readings.stamps(dataset)          # cheap: which classes changed since the last look
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.orm import Session

from db import current as in_use
from db import queries
from db.engine import told, write_session
from db.errors import UsageError
from db.records import Dataset, Descriptor, HistoryEntry, Impact, Writer
from db.schema import ActionRow, DatasetRow, DescriptorRow, GenerationRow, ImpactRow, LLMRow, RunRow, TemplateRow

Stamp = tuple[int, ...]


class Readings:
    """Reads for the review application; each method is one short transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with told(self._engine.url), Session(self._engine) as session:
            yield session

    def stamps(self, dataset: Dataset) -> Mapping[str, Stamp]:
        """Return, by action name, what changes whenever a descriptor in use of it does, comes or goes.

        The empty name stands for what runs measured.
        """
        names = {action.name for action in dataset.actions}
        query = (
            select(
                ActionRow.name,
                func.count(DescriptorRow.id),
                func.sum(DescriptorRow.id),
                func.sum(DescriptorRow.version),
            )
            .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
            .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
            .where(DatasetRow.name == dataset.stored_as, DescriptorRow.superseded_at.is_(None))
            .group_by(ActionRow.name)
        )
        with self._read() as session:
            measured = session.scalar(_newest_measured(dataset)) or 0
            stamps = {name: tuple(numbers) for name, *numbers in session.execute(query) if name in names}
            return {**stamps, "": (measured,)}

    def call(self, generation: int) -> HistoryEntry:
        """Return one call with its provenance.

        Raises:
            UsageError: there is none of that id.
        """
        with self._read() as session:
            found = queries.history(session, queries.calls().where(GenerationRow.id == generation))
        if not found:
            raise UsageError(f"No call {generation}. The calls about a class: descgen history")
        return found[0]

    def writers(self, dataset: Dataset, kind: str) -> list[Writer]:
        """Return who wrote that kind, by name, the newest template first; texts that are out of use count too."""
        rows = _replies(dataset, kind).subquery()
        columns = (rows.c.model, rows.c.sha256, rows.c.version)
        query = select(*columns, func.count(func.distinct(rows.c.name))).group_by(*columns)
        with self._read() as session:
            found = session.execute(query.order_by(rows.c.model, rows.c.version.desc(), rows.c.sha256))
            return [Writer(*row) for row in found]

    def replies(self, dataset: Dataset, kind: str, writer: Writer) -> Mapping[str, int]:
        """Return, by action name, the newest call of a writer that gave texts."""
        rows = _replies(dataset, kind).subquery()
        newest = select(rows.c.name, func.max(rows.c.id)).group_by(rows.c.name)
        newest = newest.where(rows.c.model == writer.llm, rows.c.sha256 == writer.template_sha256)
        with self._read() as session:
            return dict(session.execute(newest).all())

    def texts(self, dataset: Dataset, kind: str, calls: Collection[int]) -> Mapping[str, Sequence[Descriptor]]:
        """Return, by action name, the texts of some calls, as reviewers left them, in order."""
        mine = (DescriptorRow.kind == kind) & ~DescriptorRow.withdrawn & DescriptorRow.generation_id.in_(calls)
        query = queries.every_descriptor(dataset.stored_as).where(mine).order_by(DescriptorRow.position)
        texts: dict[str, list[Descriptor]] = {}
        with self._read() as session:
            for descriptor in in_use.descriptors(session, query):
                texts.setdefault(descriptor.action, []).append(descriptor)
        return texts

    def by_id(self, ids: Sequence[int]) -> list[Descriptor]:
        """Return descriptors, in use or not, in the order of their ids; those that are not there are left out."""
        with self._read() as session:
            of_ids = (queries.every_descriptor(None).where(DescriptorRow.id.in_(ch)) for ch in queries.chunks(ids))
            found = [descriptor for query in of_ids for descriptor in in_use.descriptors(session, query)]
        return sorted(found, key=lambda descriptor: descriptor.id)

    def impacts(self, dataset: Dataset) -> Mapping[int, Impact]:
        """Return, by descriptor id, what the newest run that was measured says of it; empty where none was."""
        query = select(ImpactRow).where(ImpactRow.run_id == _newest_measured(dataset).scalar_subquery())
        with self._read() as session:
            return {
                row.descriptor_id: Impact(row.run_id, row.top1_change, row.margin_change)
                for row in session.scalars(query)
            }

    def save_impacts(self, impacts: Mapping[int, Impact]) -> None:
        """Store what runs say of descriptors, by descriptor id, in the place of what those runs said before."""
        rows = [
            {
                "run_id": impact.run,
                "descriptor_id": descriptor,
                "top1_change": impact.top1_change,
                "margin_change": impact.margin_change,
            }
            for descriptor, impact in impacts.items()
        ]
        with told(self._engine.url), write_session(self._engine) as session:
            session.execute(delete(ImpactRow).where(ImpactRow.run_id.in_({impact.run for impact in impacts.values()})))
            if rows:
                session.execute(insert(ImpactRow), rows)


def _newest_measured(dataset: Dataset) -> Any:
    newest = select(func.max(ImpactRow.run_id)).join(RunRow, RunRow.id == ImpactRow.run_id)
    return newest.where(RunRow.dataset == dataset.name)


def _replies(dataset: Dataset, kind: str) -> Any:
    """Return the query of first samples that gave texts about a dataset's actions, in use or not."""
    return (
        select(ActionRow.name, LLMRow.model, TemplateRow.sha256, TemplateRow.version, GenerationRow.id)
        .join(DescriptorRow, DescriptorRow.generation_id == GenerationRow.id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .join(LLMRow, LLMRow.id == GenerationRow.llm_id)
        .join(TemplateRow, TemplateRow.id == GenerationRow.template_id)
        .where(DatasetRow.name == dataset.stored_as, DescriptorRow.kind == kind, ActionRow.label.is_not(None))
        .where(GenerationRow.sample == 0)
        .distinct()
    )
