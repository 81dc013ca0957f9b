"""Queries of the review application: calls, writers of texts, impacts, verdicts of controls.

review_queries = store.review_queries()
review_queries.stamps(dataset)  # cheap: shows which classes changed since the last call
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from db import queries, writers
from db.engine import Transactions
from db.errors import UsageError
from db.local_paths import without_folders
from db.records import Action, ClassVerdict, Dataset, Descriptor, HistoryEntry, Impact, Verdicts, Writer, Written
from db.schema import ActionRow, DatasetRow, DescriptorRow, GenerationRow, ImpactRow, ReviewEventRow, RunRow

Stamp = tuple[int, ...]


class ReviewQueries(Transactions):
    """Queries of the review application; each is one short transaction."""

    def stamps(self, dataset: Dataset) -> Mapping[str, Stamp]:
        """Return, by action name, a value that changes whenever a descriptor in use is changed, added or removed.

        The value of the empty name changes with the newest run that has impacts, and that which has verdicts.
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
            newest = (session.scalar(_newest_impact_run(dataset)) or 0, session.scalar(_newest_controls(dataset)) or 0)
            stamps = {name: tuple(numbers) for name, *numbers in session.execute(query) if name in names}
            return {**stamps, "": newest}

    def last_event(self) -> int:
        """Return the id of the last event in the log, 0 if there is none."""
        with self._read() as session:
            return session.scalar(select(func.max(ReviewEventRow.id))) or 0

    def changed_by(self, dataset: Dataset, action: Action, *, since: int) -> Mapping[str, int]:
        """Return reviewer -> number of texts of a class that the reviewer decided on after an event of the log."""
        query = (
            select(ReviewEventRow.reviewer, ReviewEventRow.descriptor_id, ReviewEventRow.after)
            .join(DescriptorRow, DescriptorRow.id == ReviewEventRow.descriptor_id)
            .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
            .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
            .where(DatasetRow.name == dataset.stored_as, ActionRow.name == action.name, ReviewEventRow.id > since)
            .order_by(ReviewEventRow.id)
        )
        edited_from: dict[int, int] = {}
        texts: dict[str, set[int]] = {}
        with self._read() as session:
            for reviewer, descriptor, after in session.execute(query):
                text = edited_from.get(descriptor, descriptor)
                edited_from[after.get("id", descriptor)] = text
                texts.setdefault(reviewer, set()).add(text)
        return {reviewer: len(of_one) for reviewer, of_one in texts.items()}

    def call(self, generation: int) -> HistoryEntry:
        """Return one LLM call by its id.

        Raises:
            UsageError: the call does not exist.
        """
        with self._read() as session:
            entries = queries.history(session, queries.calls().where(GenerationRow.id == generation))
        if not entries:
            raise UsageError(f"No call {generation}. Calls are listed by: descgen history --dataset NAME")
        return entries[0]

    def written(self, dataset: Dataset, kind: str) -> dict[Writer, Mapping[str, Written]]:
        """Return, by writer and action name, what was written of a kind; see `db.writers`. Empty: of all kinds."""
        with self._read() as session:
            return writers.written(session, dataset, kind)

    def out_of_use(self, dataset: Dataset, kind: str, calls: Collection[int]) -> Sequence[Descriptor]:
        """Return the texts of some calls that newer replies have put out of use."""
        with self._read() as session:
            return writers.out_of_use(session, dataset, kind, calls)

    def impacts(self, dataset: Dataset) -> Mapping[int, Impact]:
        """Return descriptor id -> impact in the newest run that has stored impacts."""
        query = select(ImpactRow).where(ImpactRow.run_id == _newest_impact_run(dataset).scalar_subquery())
        with self._read() as session:
            rows = session.scalars(query)
            return {row.descriptor_id: queries.to_record(Impact, row, run=row.run_id) for row in rows}

    def verdicts(self, dataset: Dataset) -> Verdicts | None:
        """Return what the controls of the newest run that has some say about its texts; None without such a run."""
        with self._read() as session:
            row = session.get(RunRow, session.scalar(_newest_controls(dataset)) or 0)
            return _verdicts(row) if row else None


def _verdicts(row: RunRow) -> Verdicts:
    controls, settings = row.results["controls"], row.settings
    made_with = (
        f"encoder {without_folders(settings['encoder'])}, method {settings['method']}, {row.counts['evaluated']} videos"
    )
    by_class = controls.get("by_class", {})  # older versions kept sentences about all texts alone
    return Verdicts(
        run=row.id,
        made_with=made_with,
        of_all=controls["verdicts"][: len(controls["texts"])],  # the others are about frames
        by_kind=controls.get("by_kind", {}),
        by_class={name: ClassVerdict(of["verdict"], frozenset(of["texts"])) for name, of in by_class.items()},
    )


def _newest_controls(dataset: Dataset) -> Any:
    has_controls = RunRow.results["controls"].as_string().is_not(None)
    return select(func.max(RunRow.id)).where(RunRow.dataset == dataset.name, has_controls)


def _newest_impact_run(dataset: Dataset) -> Any:
    newest = select(func.max(ImpactRow.run_id)).join(RunRow, RunRow.id == ImpactRow.run_id)
    return newest.where(RunRow.dataset == dataset.name)
