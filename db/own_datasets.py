"""Datasets of one's own in the database: subsets, what is stored about them, renaming, removal."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from db import queries, vocabulary
from db.engine import Transactions
from db.errors import UsageError, did_you_mean, first_few
from db.records import Dataset
from db.schema import (
    ActionRow,
    BlindVerdictRow,
    CommentRow,
    DatasetRow,
    DescriptorRow,
    GenerationRow,
    GuidelineRow,
    ImpactRow,
    PredictionRow,
    ReviewEventRow,
    RunRow,
)


@dataclass(frozen=True)
class DatasetContents:
    """What the database holds about a dataset, and what goes if it is removed.

    Attributes:
        origin: the file or folder that it was read from; None if that is not recorded.
        parent: the dataset that it is a subset of: texts, calls and decisions are that one's, and stay.
        classes: with those that it no longer lists.
        texts: in use and replaced.
        calls: to LLMs, valid or not.
        decisions: of reviewers, counted by text.
        runs: their numbers.
        subsets: names of the datasets that are subsets of it.
    """

    name: str
    origin: str | None
    parent: str | None
    classes: int
    texts: int
    calls: int
    decisions: int
    runs: tuple[int, ...]
    subsets: tuple[str, ...]


class OwnDatasets(Transactions):
    """Changes of the stored datasets. Each is one transaction."""

    def add_subset(self, dataset: Dataset) -> None:
        """Store a subset of another dataset, or its new classes; it shares the descriptors of that one."""
        with self._write() as session:
            parent = session.scalar(select(DatasetRow).where(DatasetRow.name == dataset.stored_as))
            if parent is None:
                queries.register(session, vocabulary.load(dataset.stored_as))
                parent = _row(session, dataset.stored_as)
            row = session.scalar(select(DatasetRow).where(DatasetRow.name == dataset.name))
            session.add(row := row or DatasetRow(name=dataset.name))
            row.parent_id, row.classes = parent.id, [action.name for action in dataset.actions]

    def contents(self, name: str) -> DatasetContents:
        """Return what the database holds about a stored dataset.

        Raises:
            UsageError: it is not stored.
        """
        with self._read() as session:
            return _contents(session, _row(session, name))

    def removable(self, name: str) -> DatasetContents:
        """Return what would go with a dataset.

        Raises:
            UsageError: it is built in or not stored, or other datasets are subsets of it.
        """
        with self._read() as session:
            return _removable(session, _own(session, name))

    def rename(self, old: str, new: str) -> DatasetContents:
        """Give a dataset another name, also in its runs.

        Raises:
            UsageError: it is built in or not stored, or the new name is taken or no name.
        """
        with self._write() as session:
            row = _own(session, old)
            if session.scalar(select(DatasetRow).where(DatasetRow.name == vocabulary.checked_name(new))):
                raise UsageError(f"There is a dataset {new} already. Choose another name. Known: descgen datasets")
            row.name = new
            session.execute(update(RunRow).where(RunRow.dataset == old).values(dataset=new))
            session.flush()
            return _contents(session, row)

    def remove(self, name: str) -> DatasetContents:
        """Remove a dataset with everything about it; of a subset, only its list of classes and its runs.

        A call whose reply another dataset uses too is kept, as a call about the class of that dataset.

        Raises:
            UsageError: it is built in or not stored, or other datasets are subsets of it.
        """
        with self._write() as session:
            row = _own(session, name)
            contents = _removable(session, row)
            _keep_shared_calls(session, row.id)
            _delete_all(session, row)
            return contents


def _row(session: Session, name: str) -> DatasetRow:
    row = session.scalar(select(DatasetRow).where(DatasetRow.name == name))
    if row is None:
        near = did_you_mean(name, session.scalars(select(DatasetRow.name).order_by(DatasetRow.name)))
        raise UsageError(f"No stored dataset {name}. {near}All datasets: descgen datasets")
    return row


def _own(session: Session, name: str) -> DatasetRow:
    if vocabulary.canonical(name) in vocabulary.BUILT_IN:
        raise UsageError(f"{name} is built in: it cannot be renamed or removed. Your own datasets: descgen datasets")
    return _row(session, name)


def _removable(session: Session, row: DatasetRow) -> DatasetContents:
    contents = _contents(session, row)
    if contents.subsets:
        raise UsageError(
            f"Subsets of {row.name} share its texts: {first_few(contents.subsets)}. Remove them first, such as: "
            f"descgen datasets remove {shlex.quote(contents.subsets[0])} --yes"
        )
    return contents


def _actions(dataset_id: int) -> Any:
    return select(ActionRow.id).where(ActionRow.dataset_id == dataset_id)


def _descriptors(dataset_id: int) -> Any:
    return select(DescriptorRow.id).where(DescriptorRow.action_id.in_(_actions(dataset_id)))


def _contents(session: Session, row: DatasetRow) -> DatasetContents:
    def count(column: Any, within: Any) -> int:
        return session.scalar(select(func.count()).where(column.in_(within))) or 0

    subsets = select(DatasetRow.name).where(DatasetRow.parent_id == row.id).order_by(DatasetRow.name)
    runs = select(RunRow.id).where(RunRow.dataset == row.name).order_by(RunRow.id)
    actions, parent = _actions(row.id), session.get(DatasetRow, row.parent_id) if row.parent_id else None
    return DatasetContents(
        name=row.name,
        origin=row.origin,
        parent=parent.name if parent else None,
        classes=len(row.classes) if row.classes else count(ActionRow.id, actions),
        texts=count(DescriptorRow.action_id, actions),
        calls=count(GenerationRow.action_id, actions),
        decisions=count(ReviewEventRow.descriptor_id, _descriptors(row.id)),
        runs=tuple(session.scalars(runs)),
        subsets=tuple(session.scalars(subsets)),
    )


def _keep_shared_calls(session: Session, dataset_id: int) -> None:
    """Move the calls whose replies other datasets use to the classes there: replies are cached for all datasets."""
    actions = _actions(dataset_id)
    query = (
        select(DescriptorRow.generation_id, func.min(DescriptorRow.action_id))
        .join(GenerationRow, GenerationRow.id == DescriptorRow.generation_id)
        .where(GenerationRow.action_id.in_(actions), DescriptorRow.action_id.not_in(actions))
        .group_by(DescriptorRow.generation_id)
    )
    for generation, action in session.execute(query).all():
        session.execute(update(GenerationRow).where(GenerationRow.id == generation).values(action_id=action))


def _delete_all(session: Session, row: DatasetRow) -> None:
    """Delete the rows of a dataset, those that refer to others first."""
    actions, descriptors = _actions(row.id), _descriptors(row.id)
    runs = select(RunRow.id).where(RunRow.dataset == row.name)
    conditions = (
        (ImpactRow, or_(ImpactRow.run_id.in_(runs), ImpactRow.descriptor_id.in_(descriptors))),
        (PredictionRow, PredictionRow.run_id.in_(runs)),
        (RunRow, RunRow.dataset == row.name),
        *((table, table.descriptor_id.in_(descriptors)) for table in (ReviewEventRow, CommentRow, BlindVerdictRow)),
        (GuidelineRow, GuidelineRow.dataset_id == row.id),
        (DescriptorRow, DescriptorRow.action_id.in_(actions)),
        (GenerationRow, GenerationRow.action_id.in_(actions)),
        (ActionRow, ActionRow.dataset_id == row.id),
        (DatasetRow, DatasetRow.id == row.id),
    )
    for table, condition in conditions:
        session.execute(delete(table).where(condition).execution_options(synchronize_session=False))
