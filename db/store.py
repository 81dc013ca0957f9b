"""The store of builds, descriptors and runs. It takes and returns the values of `db.records`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import delete, func, insert, select

from db import queries, vocabulary
from db.addresses import hide, public_provider, secrets_in
from db.catalogue import Catalogue
from db.dataset_changes import Update
from db.engine import Transactions, open_engine, refuse_missing, sqlite_path
from db.errors import DatabaseError, UserError, first_few
from db.kinds import built_in_kinds
from db.progress import Progress, no_progress
from db.records import (
    STATUSES,
    Dataset,
    Descriptor,
    GeneratedTexts,
    Generation,
    HistoryEntry,
    Impact,
    ImportCounts,
    LLMIdentity,
    PortableDescriptor,
    Prediction,
    Rephrased,
    Run,
    Template,
)
from db.runs import Runs, run_record, run_row
from db.schema import (
    ActionRow,
    DatasetRow,
    DescriptorRow,
    GenerationRow,
    ImpactRow,
    LLMRow,
    PredictionRow,
    RunRow,
    TemplateRow,
    utc_now,
)

if TYPE_CHECKING:
    from db.blind_queries import BlindQueries
    from db.blind_verdicts import BlindReviews, BlindVerdicts
    from db.claims import Claims
    from db.comments import Comments
    from db.own_datasets import OwnDatasets
    from db.review_queries import ReviewQueries
    from db.reviews import Reviews

_ROOM = 16 * 2**20  # bytes; the write-ahead log grows to 4 MiB before it is written back, which needs as much again


class Store(Transactions, Catalogue):
    """The database of descgen and recognize."""

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Open a database by SQLAlchemy URL or SQLite file, and bring it to the newest schema.

        Raises:
            UserError: it cannot be opened, or is missing and `create` is false.
        """
        try:
            return cls._open(url, create=create)
        except UserError as error:
            raise type(error)(hide(str(error), secrets_in(url))) from None  # the cause may show the password

    @classmethod
    def _open(cls, url: str, *, create: bool) -> Self:
        path = sqlite_path(url) if not create else None
        if path:
            refuse_missing(path)
        return cls(open_engine(url))

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def refuse_full_disk(self) -> None:
        """Raise a UserError if the disk of a SQLite file has too little room for the replies that are on their way."""
        file = self._engine.url.database
        path = Path(file) if file and self._engine.dialect.name == "sqlite" else None
        free = shutil.disk_usage(path.resolve().parent).free if path else _ROOM
        if free < _ROOM:
            raise DatabaseError(
                f"The disk of {path} has {free / 2**20:.1f} MiB left; {_ROOM / 2**20:.0f} are needed to store replies: "
                "stopped before the next call. Make room, and run the same command to continue"
            )

    def claims(self, *, clock: Callable[[], datetime] = utc_now) -> Claims:
        """Return a context manager for the claims of one builder: see `db.claims`; `clock` is this machine's."""
        from db.claims import Claims

        return Claims(self._engine, clock=clock)

    def reviews(self) -> Reviews:
        """Return the access to review decisions: see `db.reviews`."""
        from db.reviews import Reviews

        return Reviews(self._engine)

    def comments(self) -> Comments:
        """Return the access to comments and guidelines: see `db.comments`."""
        from db.comments import Comments

        return Comments(self._engine)

    def blind_reviews(self, dataset: Dataset, reviewer: str) -> BlindReviews:
        """Return the access of one blind reviewer to own verdicts: see `db.blind_verdicts`."""
        from db.blind_verdicts import BlindReviews

        return BlindReviews(self._engine, dataset, reviewer)

    def blind_queries(self, own: BlindReviews) -> BlindQueries:
        """Return the queries of the review application for a blind reviewer: see `db.blind_queries`."""
        from db.blind_queries import BlindQueries

        return BlindQueries(self._engine, own)

    def blind_verdicts(self) -> BlindVerdicts:
        """Return the verdicts of all blind reviewers: see `db.blind_verdicts`."""
        from db.blind_verdicts import BlindVerdicts

        return BlindVerdicts(self._engine)

    def review_queries(self) -> ReviewQueries:
        """Return the queries of the review application: see `db.review_queries`."""
        from db.review_queries import ReviewQueries

        return ReviewQueries(self._engine)

    def run_changes(self) -> Runs:
        """Return the changes of stored runs: see `db.runs`."""
        return Runs(self._engine)

    def own_datasets(self) -> OwnDatasets:
        """Return the changes of stored datasets: see `db.own_datasets`."""
        from db.own_datasets import OwnDatasets

        return OwnDatasets(self._engine)

    def _names_of(self, path: Path) -> list[str]:
        query = select(DatasetRow.name).where(DatasetRow.origin == str(path.resolve())).order_by(DatasetRow.name)
        with self._read() as session:
            return list(session.scalars(query))

    def _stored(self, name: str) -> Dataset | None:
        with self._read() as session:
            return queries.own_dataset(session, name)

    def datasets(self) -> list[str]:
        """Return the names of the stored datasets."""
        with self._read() as session:
            return list(session.scalars(select(DatasetRow.name).order_by(DatasetRow.name)))

    def register(self, dataset: Dataset, *, update: Update = "phrases") -> tuple[Rephrased, ...]:
        """Store a dataset's actions: phrases are updated, and labels if `update` allows other classes.

        Actions that are no longer listed lose their label.

        Returns:
            The actions whose phrase was changed. Their descriptors stay as they are.

        Raises:
            UsageError: the stored dataset differs in more than `update` says.
        """
        changed = self._changes(dataset, update)
        if changed is None:
            return ()
        whole, rephrased = changed
        with self._write() as session:
            queries.register(session, whole)
        return rephrased

    def rephrased(self, dataset: Dataset) -> tuple[Rephrased, ...]:
        """Return the actions whose phrase `register` would change.

        Raises:
            UsageError: as `register`.
        """
        changed = self._changes(dataset, "phrases")
        return changed[1] if changed else ()

    def _changes(self, dataset: Dataset, update: Update) -> tuple[Dataset, tuple[Rephrased, ...]] | None:
        """Return the dataset to register, and the actions whose phrase that changes; None if it is stored like that."""
        whole = queries.stored_dataset(dataset)
        if whole is None:
            return None
        if whole.name not in vocabulary.BUILT_IN:
            self._compared(whole, update)
        with self._read() as session:
            stored = {name: (row.label, row.phrase) for name, row in queries.actions(session, whole).items()}
        if stored == {action.name: (action.label, action.phrase) for action in whole.actions}:
            return None
        phrases = {name: phrase for name, (_, phrase) in stored.items()}
        changed = [action for action in whole.actions if phrases.get(action.name, action.phrase) != action.phrase]
        descriptors = self.descriptors(whole, statuses=STATUSES) if changed else []
        texts = {action.name: tuple(d.id for d in descriptors if d.action == action.name) for action in changed}
        return whole, tuple(Rephrased(a.name, phrases[a.name], a.phrase, texts[a.name]) for a in changed)

    def generations(self, keys: Iterable[str]) -> dict[str, Generation]:
        """Return cache key -> the newest `ok` generation, for the keys that have one."""
        cached: dict[str, Generation] = {}
        with self._read() as session:
            for chunk in queries.chunks(list(keys)):
                query = select(GenerationRow).where(GenerationRow.cache_key.in_(chunk), GenerationRow.status == "ok")
                rows = session.scalars(query.order_by(GenerationRow.attempt))
                cached.update((row.cache_key, queries.generation(row)) for row in rows)
        return cached

    def batches(self) -> dict[str, set[str]]:
        """Return id of a provider's batch -> cache keys of its calls whose replies are stored, valid or not."""
        batch = GenerationRow.environment["batch"].as_string()
        stored: dict[str, set[str]] = {}
        with self._read() as session:
            for name, key in session.execute(select(batch, GenerationRow.cache_key).where(batch.is_not(None))):
                stored.setdefault(name, set()).add(key)
        return stored

    def generations_in_use(self, dataset: Dataset, kind: str) -> dict[str, set[int]]:
        """Return, by action name, the ids of the generations whose descriptors of a kind are in use."""
        query = queries.descriptor_query(dataset.stored_as, [kind]).where(DescriptorRow.generation_id.is_not(None))
        query = query.with_only_columns(ActionRow.name, DescriptorRow.generation_id).distinct()
        ids: dict[str, set[int]] = {}
        with self._read() as session:
            for action, generation_id in session.execute(query):
                ids.setdefault(action, set()).add(generation_id)
        return ids

    def save(
        self,
        dataset: Dataset,
        llm: LLMIdentity,
        template: Template,
        written: Sequence[GeneratedTexts],
        *,
        known: Collection[int] | None = None,
    ) -> set[str]:
        """Store one batch in one transaction: new generations, and the descriptors that are now in use.

        A generation that is not `ok` is stored with its raw reply, without descriptors. Descriptors of other
        generations of the same action, kind, model and sample are superseded, not deleted.

        Args:
            known: ids of the `ok` generations that a new one of the same cache key replaces. If the newest is another
                one, another builder stored it meanwhile: it stays in use, and the new one is stored as `late`.
                None: any.

        Returns:
            The cache keys of those that came too late.

        Raises:
            UserError: the dataset has been removed meanwhile.
        """
        with self._write() as session:
            actions = queries.actions(session, dataset)
            if gone := sorted({item.action for item in written} - actions.keys()):
                raise DatabaseError(
                    f"{dataset.name} is no longer whole in the database {self._engine.url.database}: {first_few(gone)} "
                    "is missing. It has been changed or replaced meanwhile. Run the same command again"
                )
            llm_id = queries.row_id(session, LLMRow, llm)
            template_id = queries.row_id(session, TemplateRow, template, "sha256")
            late = queries.late(session, [item.generation for item in written], known)
            for item in written:
                is_late = item.generation.cache_key in late
                if is_late and item.generation.id:
                    continue
                generation = replace(item.generation, status="late") if is_late else item.generation
                action_id = actions[item.action].id
                generation_id = generation.id or queries.add_generation(
                    session, generation, action_id, llm_id, template_id
                )
                if generation.status == "ok":
                    queries.put_in_use(session, item, action_id, template.kind, generation_id, llm.model)
        return late

    def descriptors(
        self,
        dataset: Dataset,
        *,
        kinds: Sequence[str] | None = None,
        statuses: Sequence[str] = ("pending", "accepted"),
    ) -> list[Descriptor]:
        """Return the descriptors in use for a dataset's actions, by label, kind, LLM, reply or file, and position."""
        query = queries.descriptor_query(dataset.stored_as, kinds).where(DescriptorRow.status.in_(statuses))
        with self._read() as session:
            return queries.in_order(dataset, queries.descriptors(session, queries.only_actions(query, dataset)))

    def descriptors_by_id(self, ids: Sequence[int], dataset: Dataset | None = None) -> list[Descriptor]:
        """Return descriptors, in use or not, sorted by id; unknown ids, and those of another dataset, are skipped."""
        query = queries.every_descriptor(dataset.stored_as if dataset else None)
        with self._read() as session:
            parts = [query.where(DescriptorRow.id.in_(chunk)) for chunk in queries.chunks(ids)]
            descriptors = [descriptor for part in parts for descriptor in queries.descriptors(session, part)]
        if dataset:
            names = {action.name for action in dataset.actions}
            descriptors = [descriptor for descriptor in descriptors if descriptor.action in names]
        return sorted(descriptors, key=lambda descriptor: descriptor.id)

    def history(self, dataset: Dataset, *, kinds: Sequence[str] | None = None) -> list[HistoryEntry]:
        """Return every call about a dataset's actions, valid or not, by label and then by time."""
        label = {action.name: action.label for action in dataset.actions}
        query = queries.calls().where(DatasetRow.name == dataset.stored_as)
        query = query if kinds is None else query.where(TemplateRow.kind.in_(kinds))
        with self._read() as session:
            entries = [entry for entry in queries.history(session, query) if entry.action in label]
        return sorted(entries, key=lambda entry: label[entry.action])

    def templates(self) -> list[Template]:
        """Return every prompt template that wrote a reply, of all kinds, oldest first."""
        with self._read() as session:
            rows = session.scalars(select(TemplateRow).order_by(TemplateRow.id)).all()
            return [queries.to_record(Template, row) for row in rows]

    def kinds(self) -> list[str]:
        """Return the kinds of the descriptors in use, of any dataset."""
        query = queries.descriptor_query().with_only_columns(DescriptorRow.kind).distinct()
        with self._read() as session:
            return list(session.scalars(query.order_by(DescriptorRow.kind)))

    def prompt_kinds(self) -> list[str]:
        """Return the kinds that a prompt asks for: the built-in ones, and those of stored templates."""
        with self._read() as session:
            return sorted({*built_in_kinds(), *session.scalars(select(TemplateRow.kind).distinct())})

    def portable(self, dataset: Dataset, ids: Collection[int] | None = None) -> list[PortableDescriptor]:
        """Return the descriptors in use for a dataset's actions with all of their provenance, in the same order.

        Args:
            dataset: of the descriptors.
            ids: only these; None: all.
        """
        from db import transfer

        with self._read() as session:
            descriptors = queries.descriptors(session, queries.descriptor_query(dataset.stored_as))
            ordered = queries.in_order(dataset, descriptors)
            return transfer.portable(session, [d for d in ordered if ids is None or d.id in ids])

    def add_portable(
        self, dataset: Dataset, items: Sequence[PortableDescriptor], *, on_item: Progress = no_progress
    ) -> ImportCounts:
        """Register a dataset and add the descriptors that are not stored yet, in one transaction and in their order.

        No descriptor is changed. `on_item` is called with the numbers of texts done and of all.
        """
        from db import transfer

        changed = self._changes(dataset, "phrases")
        with self._write() as session:
            if changed:
                queries.register(session, changed[0])
            actions = {name: row.id for name, row in queries.actions(session, dataset).items()}
            return transfer.Import(session, actions).add(items, on_item)

    def counts(self) -> list[dict[str, Any]]:
        """Count the descriptors in use by dataset, kind, LLM, source and status."""
        columns = (DatasetRow.name, DescriptorRow.kind, LLMRow.model, DescriptorRow.source, DescriptorRow.status)
        sums = (func.count(func.distinct(ActionRow.id)), func.count(DescriptorRow.id))
        query = queries.descriptor_query().with_only_columns(*columns, *sums).group_by(*columns).order_by(*columns)
        return self._rows(query, "dataset", "kind", "llm", "source", "status", "actions", "descriptors")

    def generation_counts(self) -> list[dict[str, Any]]:
        """Count the calls by LLM and outcome, with their tokens in and out and their seconds."""
        columns = (LLMRow.provider, LLMRow.model, GenerationRow.status)
        summed = (GenerationRow.tokens_in, GenerationRow.tokens_out, GenerationRow.seconds)
        sums = (func.coalesce(func.sum(column), 0) for column in summed)
        query = select(*columns, func.count(GenerationRow.id), *sums).join(LLMRow, LLMRow.id == GenerationRow.llm_id)
        query = query.group_by(*columns).order_by(*columns)
        rows = self._rows(query, "provider", "model", "status", "calls", "tokens_in", "tokens_out", "seconds")
        return [{**row, "provider": public_provider(row["provider"])} for row in rows]

    def _rows(self, query: Any, *names: str) -> list[dict[str, Any]]:
        with self._read() as session:
            return [dict(zip(names, row, strict=True)) for row in session.execute(query)]

    def save_run(self, run: Run) -> int:
        """Store a run with its predictions; return its id."""
        with self._write() as session:
            session.add(row := RunRow(**queries.row_values(RunRow, run)))
            session.flush()
            predictions = [queries.row_values(PredictionRow, item, run_id=row.id) for item in run.predictions]
            if predictions:
                session.execute(insert(PredictionRow), predictions)
            return row.id

    def save_results(self, run_id: int, results: Mapping[str, Any]) -> None:
        """Add results to those of a stored run, by name; what is there under such a name is replaced."""
        with self._write() as session:
            row = session.get_one(RunRow, run_id)
            row.results = {**row.results, **results}

    def runs(self, dataset: str | None = None) -> list[Run]:
        """Return the runs, oldest first, without their predictions."""
        query = select(RunRow).order_by(RunRow.id)
        query = query.where(RunRow.dataset == dataset) if dataset else query
        with self._read() as session:
            return [run_record(row) for row in session.scalars(query)]

    def run(self, run: int | str) -> Run:
        """Return one run, by its number or its name, with its predictions.

        Raises:
            UsageError: the run does not exist.
        """
        with self._read() as session:
            row = run_row(session, run)
            query = select(PredictionRow).where(PredictionRow.run_id == row.id).order_by(PredictionRow.video)
            return run_record(row, [_prediction(item) for item in session.scalars(query)])

    def videos_of_runs(self, runs: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
        """Return, by run, the evaluated videos with their true labels."""
        videos: dict[int, list[tuple[str, int]]] = {run: [] for run in runs}
        query = select(PredictionRow.run_id, PredictionRow.video, PredictionRow.label)
        with self._read() as session:
            for chunk in queries.chunks(list(runs)):
                for run, video, label in session.execute(query.where(PredictionRow.run_id.in_(chunk))):
                    videos[run].append((video, label))
        return videos

    def save_impacts(self, impacts: Mapping[int, Impact]) -> None:
        """Store impacts by descriptor id; they replace all stored impacts of the same runs."""
        rows = [
            queries.row_values(ImpactRow, impact, run_id=impact.run, descriptor_id=descriptor)
            for descriptor, impact in impacts.items()
        ]
        with self._write() as session:
            session.execute(delete(ImpactRow).where(ImpactRow.run_id.in_({row["run_id"] for row in rows})))
            if rows:
                session.execute(insert(ImpactRow), rows)


def _prediction(row: PredictionRow) -> Prediction:
    return queries.to_record(Prediction, row, ranking=tuple((int(label), float(score)) for label, score in row.ranking))
