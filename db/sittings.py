"""What blind reviewers decided, replayed from rows that are only ever added. Callers pass the session."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.records import DecisionKind, DescriptorStatus
from db.schema import ActionRow, BlindVerdictRow, DatasetRow, DescriptorRow

Verdict = Literal["accepted", "rejected", "pending", "undone"]
"""`pending`: the reviewer took a verdict back; `undone`: the last decision that stood does so no more."""

KINDS: Mapping[Verdict, DecisionKind] = dict(
    zip(get_args(Verdict), ("accept", "reject", "restore", "undo"), strict=True)
)


@dataclass(frozen=True)
class Given:
    """One decision of one reviewer: descriptor id -> (status before, status after), in the order of the request."""

    id: int
    kind: DecisionKind
    at: datetime
    statuses: Mapping[int, tuple[DescriptorStatus, DescriptorStatus]]
    undoes: int | None = None


@dataclass
class Sitting:
    """All that one reviewer decided on one dataset, in time order, and the status of each text that results from it.

    Attributes:
        standing: decisions that were not undone.
    """

    given: list[Given] = field(default_factory=list)
    statuses: dict[int, DescriptorStatus] = field(default_factory=dict)
    standing: list[Given] = field(default_factory=list)

    def after(self, verdict: Verdict, ids: Sequence[int], *, id_: int, at: datetime) -> Given:
        """Return a further decision about texts; `id_` is that of its first row."""
        undone = self.standing[-1] if verdict == "undone" else None
        statuses = {
            text: (
                self.statuses.get(text, "pending"),
                undone.statuses[text][0] if undone else _status(verdict),
            )
            for text in ids
        }
        return Given(id_, KINDS[verdict], at, statuses, undone.id if undone else None)

    def add(self, decision: Given) -> None:
        """Take a decision in."""
        self.given.append(decision)
        self.statuses.update({text: after for text, (_, after) in decision.statuses.items()})
        if decision.kind == "undo":
            self.standing.pop()
        else:
            self.standing.append(decision)

    def accepted(self) -> dict[int, bool]:
        """Return descriptor id -> whether the verdict that stands accepted it; texts without one are left out."""
        return {text: status == "accepted" for text, status in self.statuses.items() if status != "pending"}

    def copy(self) -> Sitting:
        """Return an independent copy."""
        return Sitting(list(self.given), dict(self.statuses), list(self.standing))


def _status(verdict: Verdict) -> DescriptorStatus:
    assert verdict != "undone"  # noqa: S101 - the caller has told them apart
    return verdict


class Sittings:
    """The sittings of one reviewer or all, on one dataset or all. Each reading takes in the rows that are new."""

    def __init__(self, dataset: str | None, reviewer: str | None = None) -> None:
        """Start with nothing read; None: all."""
        self._dataset, self._reviewer = dataset, reviewer
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._last, self._kept = 0, dict[tuple[str, int], Sitting]()
        self.kinds: dict[int, str] = {}

    def read(self, session: Session) -> dict[tuple[str, int], Sitting]:
        """Return the sittings by reviewer and id of the dataset, as they are now, in time order of their first rows.

        The session must not have added verdicts: they could still be rolled back.
        """
        with self._lock:
            newest = session.scalar(select(func.max(BlindVerdictRow.id))) or 0
            if newest < self._last:  # another database is in its place, such as a backup
                self._forget()
            if newest > self._last:
                self._take(session.execute(self._rows()).all())
                self._last = newest
            return {key: sitting.copy() for key, sitting in self._kept.items()}

    def _rows(self) -> Any:
        """Return the query of new verdicts, with kind and dataset of their texts, in time order."""
        row = BlindVerdictRow
        columns = (row.id, row.descriptor_id, row.verdict, row.reviewer, row.at, DescriptorRow.kind)
        query = (
            select(*columns, ActionRow.dataset_id)
            .join(DescriptorRow, DescriptorRow.id == row.descriptor_id)
            .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
            .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
            .where(row.id > self._last)
            .order_by(row.id)
        )
        query = query if self._dataset is None else query.where(DatasetRow.name == self._dataset)
        return query if self._reviewer is None else query.where(row.reviewer == self._reviewer)

    def _take(self, rows: Sequence[Any]) -> None:
        """Take in rows; those of one decision follow each other and have one time."""
        self.kinds.update({row.descriptor_id: row.kind for row in rows})
        for (reviewer, dataset, at), group in groupby(rows, key=lambda row: (row.reviewer, row.dataset_id, row.at)):
            of_one = list(group)
            sitting = self._kept.setdefault((reviewer, dataset), Sitting())
            texts = [row.descriptor_id for row in of_one]
            sitting.add(sitting.after(of_one[0].verdict, texts, id_=of_one[0].id, at=at))
