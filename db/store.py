"""The store: the only place with database sessions. It takes and returns the values of `records`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session

from db import current as in_use
from db import queries, transfer, vocabulary
from db.claims import Claims
from db.engine import open_engine, sqlite_path, told, write_session
from db.errors import UsageError, UserError
from db.records import (
    Action,
    Added,
    Dataset,
    Descriptor,
    Generation,
    HistoryEntry,
    LLMIdentity,
    Portable,
    Run,
    Template,
    Written,
)
from db.review_queries import Readings
from db.reviews import Reviews
from db.schema import (
    ActionRow,
    DatasetRow,
    DescriptorRow,
    GenerationRow,
    LLMRow,
    PredictionRow,
    RunRow,
    TemplateRow,
)


class Store:
    """Everything that descgen and recognize keep."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Open a database by SQLAlchemy URL or SQLite file, and bring it to the newest schema.

        Raises:
            UserError: it cannot be opened, or it is not there and `create` is false.
        """
        path = sqlite_path(url) if not create else None
        if path and not path.exists():
            raise UserError(
                f"No database at {path}. Make one with: descgen build --dataset hmdb51, or name yours with --db"
            )
        return cls(open_engine(url))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with told(self._engine.url), Session(self._engine) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with told(self._engine.url), write_session(self._engine) as session:
            yield session

    def dataset(self, name: str) -> Dataset:
        """Return a built-in dataset, or one that was registered before.

        Raises:
            UsageError: the name is neither.
        """
        if vocabulary.canonical(name) in vocabulary.BUILT_IN:
            return vocabulary.load(name)
        with self._read() as session:
            rows = session.scalars(
                select(ActionRow)
                .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
                .where(DatasetRow.name == name, ActionRow.label.is_not(None))
                .order_by(ActionRow.label)
            ).all()
            own = session.scalars(select(DatasetRow.name).order_by(DatasetRow.name)).all()
        if not rows:
            known = ", ".join(dict.fromkeys([*vocabulary.BUILT_IN, *own]))
            raise UsageError(
                f"Unknown dataset {name!r}. Known: {known}. For your own classes give a text file with one label a "
                "line, or a folder that holds one folder a class"
            )
        actions = tuple(Action(row.label or 0, row.name, row.phrase) for row in rows)
        return Dataset(name, actions, stored_as=name)

    def resolve(self, name: str) -> Dataset:
        """Return the dataset that `--dataset` names: built in, stored, or read from a file or folder.

        A known name wins over a file or folder of that name; write `./name` or a suffix to mean the path.

        Raises:
            UsageError: the name is none of these.
        """
        known = vocabulary.canonical(name) in vocabulary.BUILT_IN or name in self.datasets()
        return self.dataset(name) if known or not name or not Path(name).exists() else vocabulary.from_path(Path(name))

    def datasets(self) -> list[str]:
        """Return the names of the stored datasets."""
        with self._read() as session:
            return list(session.scalars(select(DatasetRow.name).order_by(DatasetRow.name)))

    def register(self, dataset: Dataset) -> None:
        """Store a dataset's actions; changed labels and phrases are updated, actions that went lose their label."""
        if dataset.stored_as != dataset.name:
            dataset = vocabulary.load(dataset.stored_as)
        wanted = {action.name: action for action in dataset.actions}
        with self._read() as session:
            stored = {row.name: (row.label, row.phrase) for row in queries.actions(session, dataset.name)}
        if stored == {name: (action.label, action.phrase) for name, action in wanted.items()}:
            return
        with self._write() as session:
            queries.register(session, dataset.name, wanted)

    def generations(self, keys: Iterable[str]) -> dict[str, Generation]:
        """Return the newest good generation of each key that has one; these are the cache's hits."""
        found: dict[str, Generation] = {}
        with self._read() as session:
            for chunk in queries.chunks(list(keys)):
                query = select(GenerationRow).where(GenerationRow.cache_key.in_(chunk), GenerationRow.status == "ok")
                rows = session.scalars(query.order_by(GenerationRow.attempt))
                found.update((row.cache_key, queries.generation(row)) for row in rows)
        return found

    def batches(self) -> dict[str, set[str]]:
        """Return, by a provider's batch, the keys of the calls whose replies from it are stored, good or bad."""
        batch = GenerationRow.environment["batch"].as_string()
        stored: dict[str, set[str]] = {}
        with self._read() as session:
            for name, key in session.execute(select(batch, GenerationRow.cache_key).where(batch.is_not(None))):
                stored.setdefault(name, set()).add(key)
        return stored

    def current(self, dataset: Dataset, kind: str) -> dict[str, set[int]]:
        """Return, by action name, the generations whose descriptors of that kind are in use."""
        query = queries.descriptor_query(dataset.stored_as, [kind]).where(DescriptorRow.generation_id.is_not(None))
        found: dict[str, set[int]] = {}
        with self._read() as session:
            rows = session.execute(query.with_only_columns(ActionRow.name, DescriptorRow.generation_id).distinct())
            for action, generation_id in rows:
                found.setdefault(action, set()).add(generation_id)
        return found

    def save(self, dataset: Dataset, llm: LLMIdentity, template: Template, written: Sequence[Written]) -> None:
        """Store one batch in one transaction: new generations, and the descriptors that are now in use.

        A generation that is not `ok` is kept with its raw reply and makes no descriptors. Descriptors of other
        generations in the same place (action, kind, model, sample) are superseded, not deleted.
        """
        with self._write() as session:
            actions = {row.name: row.id for row in queries.actions(session, dataset.stored_as)}
            llm_id, template_id = queries.llm_id(session, llm), queries.template_id(session, template)
            for item in written:
                generation_id = item.generation.id or queries.add_generation(
                    session, item.generation, actions[item.action], llm_id, template_id
                )
                if item.generation.status == "ok":
                    queries.use(session, item, actions[item.action], template.kind, generation_id, llm.model)

    def claims(self) -> Claims:
        """Return the claims of a builder, to be used as a context: see `db.claims`."""
        return Claims(self._engine)

    def readings(self) -> Readings:
        """Return what a reviewer looks at beside the descriptors: see `db.readings`."""
        return Readings(self._engine)

    def reviews(self) -> Reviews:
        """Return the decisions of reviewers: to make them, and to read what was decided."""
        return Reviews(self._engine)

    def descriptors(
        self,
        dataset: Dataset,
        *,
        kinds: Sequence[str] | None = None,
        statuses: Sequence[str] = ("pending", "accepted"),
    ) -> list[Descriptor]:
        """Return the descriptors in use for a dataset's actions, by label, kind, LLM, reply or file, and position."""
        with self._read() as session:
            query = queries.descriptor_query(dataset.stored_as, kinds).where(DescriptorRow.status.in_(statuses))
            found = in_use.descriptors(session, in_use.of_actions(query, dataset))
        places = ((d.action, d.kind, d.llm or "", d.generation, d.origin, d.position, d.id) for d in found)
        return in_use.in_order(dataset, [(in_use.Place(*place), d) for place, d in zip(places, found, strict=True)])

    def history(self, dataset: Dataset, *, kinds: Sequence[str] | None = None) -> list[HistoryEntry]:
        """Return every call made about a dataset's actions, good and bad, by label and then by time."""
        order = {action.name: action.label for action in dataset.actions}
        query = queries.calls().where(DatasetRow.name == dataset.stored_as)
        query = query if kinds is None else query.where(TemplateRow.kind.in_(kinds))
        with self._read() as session:
            found = queries.history(session, query)
        return sorted((entry for entry in found if entry.action in order), key=lambda entry: order[entry.action])

    def kinds(self) -> list[str]:
        """Return the kinds of the descriptors in use, of any dataset."""
        with self._read() as session:
            query = queries.descriptor_query(None, None).with_only_columns(DescriptorRow.kind)
            return list(session.scalars(query.distinct().order_by(DescriptorRow.kind)))

    def portable(self, dataset: Dataset) -> list[Portable]:
        """Return the descriptors in use for a dataset's actions with all of their provenance, in the same order."""
        with self._read() as session:
            return in_use.in_order(dataset, list(transfer.read(session, dataset.stored_as)))

    def add_portable(self, dataset: Dataset, items: Sequence[Portable]) -> Added:
        """Add what is not there yet, in one transaction and in the order given; no row that is there is changed."""
        self.register(dataset)
        with self._write() as session:
            actions = {row.name: row.id for row in queries.actions(session, dataset.stored_as)}
            return transfer.Import(session, actions).add(items)

    def counts(self) -> list[dict[str, Any]]:
        """Return one row for each dataset, kind, LLM, and status of the descriptors in use."""
        columns = (
            DatasetRow.name,
            DescriptorRow.kind,
            LLMRow.model,
            DescriptorRow.source,
            DescriptorRow.status,
        )
        with self._read() as session:
            query = (
                queries.descriptor_query(None, None)
                .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
                .with_only_columns(*columns, func.count(func.distinct(ActionRow.id)), func.count(DescriptorRow.id))
                .group_by(*columns)
                .order_by(*columns)
            )
            names = ("dataset", "kind", "llm", "source", "status", "actions", "descriptors")
            return [dict(zip(names, row, strict=True)) for row in session.execute(query)]

    def generation_counts(self) -> list[dict[str, Any]]:
        """Return one row for each LLM and outcome: calls, tokens in and out, seconds."""
        columns = (LLMRow.provider, LLMRow.model, GenerationRow.status)
        sums = (GenerationRow.tokens_in, GenerationRow.tokens_out, GenerationRow.seconds)
        with self._read() as session:
            query = (
                select(
                    *columns,
                    func.count(GenerationRow.id),
                    *(func.coalesce(func.sum(column), 0) for column in sums),
                )
                .join(LLMRow, LLMRow.id == GenerationRow.llm_id)
                .group_by(*columns)
                .order_by(*columns)
            )
            names = ("provider", "model", "status", "calls", "tokens_in", "tokens_out", "seconds")
            return [dict(zip(names, row, strict=True)) for row in session.execute(query)]

    def save_run(self, run: Run) -> int:
        """Store a run with its predictions; return its id."""
        with self._write() as session:
            session.add(row := queries.run_row(run))
            session.flush()
            rows = [queries.prediction_values(row.id, prediction) for prediction in run.predictions]
            if rows:
                session.execute(insert(PredictionRow), rows)
            return row.id

    def runs(self, dataset: str | None = None) -> list[Run]:
        """Return the runs, oldest first, without their predictions."""
        query = select(RunRow).order_by(RunRow.id)
        if dataset:
            query = query.where(RunRow.dataset == dataset)
        with self._read() as session:
            return [queries.run(row) for row in session.scalars(query)]

    def run(self, run_id: int) -> Run:
        """Return one run with its predictions.

        Raises:
            UsageError: there is no run of that id.
        """
        with self._read() as session:
            row = session.get(RunRow, run_id)
            if row is None:
                raise UsageError(f"No run {run_id}. The runs are listed by: recognize runs")
            query = select(PredictionRow).where(PredictionRow.run_id == run_id).order_by(PredictionRow.video)
            return queries.run(row, [queries.prediction(item) for item in session.scalars(query)])
