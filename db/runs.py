"""What people call stored runs and say about them, and the deletion of runs. Nothing that was measured is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db import queries
from db.engine import Transactions
from db.errors import UsageError, UserError, did_you_mean, shortened
from db.records import Prediction, Run
from db.schema import ImpactRow, PredictionRow, RunRow
from db.storable import NOT_STORABLE, storable
from db.texts import clean

LONGEST_NAME = 200
LONGEST_NOTE = 10_000
LONGEST_TAG = 100


@dataclass(frozen=True)
class RunChange:
    """A change of what people say about runs; None leaves a value as it is, and an empty text takes it away.

    Attributes:
        name: of one run; it stands for its number in every command, so no two runs have the same.
        note: any text.
        tag, untag: tags to add and to take away.
    """

    name: str | None = None
    note: str | None = None
    tag: tuple[str, ...] = ()
    untag: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunLabels:
    """What people call a run and say about it, as somebody has read it."""

    name: str
    note: str
    tags: tuple[str, ...]

    @classmethod
    def of(cls, run: Run) -> RunLabels:
        """Return those of a run."""
        return cls(run.name or "", run.note or "", run.tags)


@dataclass(frozen=True)
class RunHeading:
    """What of a run may change, with its number and time."""

    id: int
    created_at: datetime
    dataset: str
    name: str | None
    note: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True)
class RunContents:
    """What goes when a run is deleted."""

    run: int
    name: str | None
    dataset: str
    created_at: datetime
    predictions: int
    impacts: int


class Runs(Transactions):
    """Name, describe and delete runs. A run is given by its number or its name.

    Every method raises UsageError if a run does not exist.
    """

    def change(self, runs: Sequence[int | str], change: RunChange, *, read: RunLabels | None = None) -> list[Run]:
        """Change what people say about runs, all of them or none; return them without their predictions.

        Args:
            runs: the runs.
            change: what to change.
            read: what the one run said when the user read it; None: whatever it says.

        Raises:
            UsageError: a name is a number, too long, that of another run, or for several runs; or a run has not the
                tag to take away.
            UserError: the run says something else than was read.
        """
        if change.name and len(runs) > 1:
            raise UsageError(f"A name is for one run, not for {len(runs)}. To mark several, give them a tag: --tag TAG")
        with self._write() as session:
            rows = [run_row(session, run) for run in runs]
            if read and any(RunLabels.of(run_record(row)) != read for row in rows):
                raise UserError(f"Nothing was changed: run {rows[0].id} has been changed meanwhile. {_now(rows[0])}")
            for row in rows:
                _apply(session, row, change)
            return [run_record(row) for row in rows]

    def contents(self, runs: Sequence[int | str]) -> list[RunContents]:
        """Return what goes when runs are deleted."""
        with self._read() as session:
            return [_contents(session, run_row(session, run)) for run in runs]

    def delete(self, expected: Sequence[RunContents]) -> None:
        """Delete runs with their predictions and impacts, all of them or none.

        Args:
            expected: as `contents` returned them: a number may be used again after the newest run was deleted.

        Raises:
            UserError: a run is not the same any more.
        """
        with self._write() as session:
            for contents in expected:
                now = _contents(session, run_row(session, contents.run))
                if now != contents:
                    raise UserError(f"Nothing was deleted: run {contents.run} has changed meanwhile. Look at it again")
            runs = [contents.run for contents in expected]
            for column in (ImpactRow.run_id, PredictionRow.run_id, RunRow.id):
                session.execute(delete(column.class_).where(column.in_(runs)))

    def without_predictions(self, run: int | str) -> Run:
        """Return one run without its predictions."""
        with self._read() as session:
            return run_record(run_row(session, run))

    def headings(self, dataset: str | None = None) -> list[RunHeading]:
        """Return what may change of the runs of a dataset, or of all, oldest first."""
        columns = (RunRow.id, RunRow.created_at, RunRow.dataset, RunRow.name, RunRow.note, RunRow.tags)
        query = select(*columns).order_by(RunRow.id)
        query = query.where(RunRow.dataset == dataset) if dataset else query
        with self._read() as session:
            rows = session.execute(query).all()
        return [RunHeading(i, at, name, called, note, tuple(tags or ())) for i, at, name, called, note, tags in rows]

    def newest(self, dataset: str | None = None) -> Run | None:
        """Return the newest run, of a dataset or of all, without its predictions; None if there is none."""
        query = select(RunRow).order_by(RunRow.id.desc()).limit(1)
        query = query.where(RunRow.dataset == dataset) if dataset else query
        with self._read() as session:
            row = session.scalar(query)
            return run_record(row) if row else None


def run_row(session: Session, run: int | str) -> RunRow:
    """Return the row of a run by its number, or by its name.

    Raises:
        UsageError: there is none.
    """
    number = int(run) if isinstance(run, int) or _is_number(run) else None
    named = select(RunRow).where(RunRow.name == storable(run))
    row = session.scalar(named) if number is None else session.get(RunRow, number)
    if row is None:
        names = [name for name in session.scalars(select(RunRow.name)) if name] if number is None else ()
        near = did_you_mean(str(run), names)
        raise UsageError(f"No run {shortened(str(run))}. {near}The runs are listed by: recognize runs")
    return row


def run_record(row: RunRow, predictions: Sequence[Prediction] = ()) -> Run:
    """Return a row as a run."""
    ids, left_out = tuple(row.descriptor_ids), tuple(map(tuple, row.left_out))
    labels = {"tags": tuple(row.tags or ()), "predictions": tuple(predictions)}
    return queries.to_record(Run, row, descriptor_ids=ids, left_out=left_out, **labels)


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdecimal()


def _contents(session: Session, row: RunRow) -> RunContents:
    def count(column: Any) -> int:
        return session.scalar(select(func.count()).where(column == row.id)) or 0

    counts = count(PredictionRow.run_id), count(ImpactRow.run_id)
    return RunContents(row.id, row.name, row.dataset, row.created_at, *counts)


def _now(row: RunRow) -> str:
    tags = ", ".join(row.tags or ()) or "none"
    return f"Now its name is {row.name or 'none'}, its tags are {tags}, and its note is: {row.note or 'none'}"


def _apply(session: Session, row: RunRow, change: RunChange) -> None:
    if change.name is not None:
        row.name = _free_name(session, row, change.name) or None
    if change.note is not None:
        row.note = _text("note", change.note, longest=LONGEST_NOTE, lines=True) or None
    tags = list(row.tags or ())
    for tag in (_tag(tag) for tag in change.untag):
        if tag not in tags:
            raise UsageError(f"Run {row.id} has no tag {tag}. Its tags: {', '.join(tags) or 'none'}")
        tags.remove(tag)
    row.tags = sorted({*tags, *map(_tag, change.tag)}) or None


def _free_name(session: Session, row: RunRow, given: str) -> str:
    """Return a name as it is stored.

    Raises:
        UsageError: it could be meant as something else, or is that of another run.
    """
    name = _text("name", given, longest=LONGEST_NAME)
    if _is_number(name) or name.startswith("-"):
        raise UsageError(f"A run cannot have the name {name}: in commands it would mean a number or an option")
    other = session.scalar(select(RunRow.id).where(RunRow.name == name, RunRow.id != row.id)) if name else None
    if other is not None:
        raise UsageError(f"Run {other} has the name {name}. Take it away first: recognize runs {other} --name ''")
    return name


def _tag(given: str) -> str:
    tag = _text("tag", given, longest=LONGEST_TAG)
    if not tag or "," in tag:
        raise UsageError(f"A tag is a word or a few, without commas, not {given!r}")
    return tag


def _text(noun: Literal["name", "note", "tag"], given: str, *, longest: int, lines: bool = False) -> str:
    """Return a text as it is stored: without what terminals obey, and with one space between words unless it has lines.

    Raises:
        UsageError: it is too long, or has characters that databases refuse.
    """
    if bad := NOT_STORABLE.search(given):
        raise UsageError(f"A {noun} cannot hold the character {bad.group()!r}")
    text = clean(given).strip() if lines else " ".join(clean(given).split())
    if len(text) > longest:
        raise UsageError(f"A {noun} has at most {longest} characters, not {len(text)}")
    return text
