"""The commands from Python: `from recognizer import Recognizer`. docs/python.md shows what can be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from db import commandline, vocabulary
from db.errors import UsageError
from db.records import Dataset, Descriptor, Run
from db.store import Store
from encoders.registry import find_encoder
from recognizer.datasets.find import Split, find_videos
from recognizer.defaults import default_database, default_features
from recognizer.evaluation.compare import Comparison, by_labels_alone, compare
from recognizer.evaluation.evaluate import evaluate
from recognizer.evaluation.impact import RunImpact, impact
from recognizer.evaluation.predict import Ranking, clips_below, predict, settings_used
from recognizer.evaluation.replay import Replay, replay
from recognizer.evaluation.settings import Settings
from recognizer.evaluation.sweep import GRIDS, Grid, choose_for, embed_for, score_grid
from recognizer.evaluation.tables import made_with
from recognizer.explain.explain import Explanation, explain_videos, labels_of
from recognizer.explain.output import check_output, write_explanations
from recognizer.explain.wording import view_said
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.features.store import FeatureStore
from recognizer.localize.annotations import read_annotations
from recognizer.localize.localize import Localization, Query, localize_videos
from recognizer.localize.settings import LocalizeSettings
from recognizer.report.findings import find_out
from recognizer.report.page import write_page
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.pooling import Pooling
from recognizer.scoring.selection import Choice, choose_descriptors

_opened = lru_cache(maxsize=2)(find_encoder)  # its weights stay loaded from one call to the next


@dataclass(frozen=True)
class Recognizer:
    """A dataset's classes, their descriptors, an encoder, and how they are compared; methods are the commands.

    Values are kept in the same places as by the commands: runs in the database, embeddings in the feature store. To
    change one choice, `dataclasses.replace(recognizer, method="align")`; weights and embeddings are not made again.

    Attributes:
        dataset: a built-in or stored dataset by name; a text file of labels or a folder of class folders by path; or
            the labels themselves, by which alone videos are then ranked.
        encoder: an openai-clip name or `.pt` file, `hf:` and a repository or folder, or `objects`.
        kinds: descriptor kinds; None is all there are.
        llm: part of the name of who wrote them, where several did.
        status: `any` is pending and accepted ones, `accepted` those alone.
        protocol: `default` or `tear`.
        method: how texts and frames are compared: `recognizer.scoring.METHODS`.
        frames: of a video, or of each clip.
        clips: sets of frames of a video; their scores are averaged.
        crops: 1 or 3 views of a frame, likewise.
        pooling: of frames, `avg` or `max`.
        templates: around texts: `protocol`, the name of a set, or a file.
        condition: whether the label stands before each descriptor.
        temperature: of probabilities, and of method `soft`.
        db: SQLite file or SQLAlchemy URL; None is `DESCGEN_DB`, else `descriptors.db` here.
        features: folder of the feature store; None is `RECOGNIZE_FEATURES`, else one in the user's cache.
        progress: whether long work shows a bar (lines where there is no terminal), on standard error.
    """

    dataset: str | Path | Sequence[str]
    _: KW_ONLY
    encoder: str = "ViT-B/16"
    kinds: Sequence[str] | None = None
    llm: str | None = None
    status: Literal["any", "accepted"] = "any"
    protocol: str = "default"
    method: str = "mean"
    frames: int = 16
    clips: int = 1
    crops: Literal[1, 3] = 1
    pooling: Pooling = "avg"
    templates: str = "protocol"
    condition: bool = False
    temperature: float = 1.0
    db: str | None = None
    features: Path | None = None
    progress: bool = True

    def predict(self, *videos: str | Path, top: int = 5) -> list[Ranking]:
        """Return the `top` classes of each video: files, folders of videos, folders of frames.

        Without descriptors for the dataset the labels alone are used. Unreadable videos say why, and raise nothing.

        Raises:
            UserError: a choice is not known or not possible; a folder holds no videos.
        """
        paths = clips_below([Path(video) for video in videos])
        with (
            self._texts(or_labels=True) as (_, dataset, descriptors),
            self._encoder() as encoder,
            self._bar(f"{dataset.name}, {self.encoder}", "videos") as advance,
        ):
            return predict(dataset, paths, descriptors, encoder, settings=self.settings, top=top, on_progress=advance)

    def explain(
        self,
        *videos: str | Path,
        top: int = 5,
        classes: Sequence[str] = (),
        output: str | Path | None = None,
    ) -> list[Explanation]:
        """Return what each text added to the score of the `top` classes of each video, and of other classes by name.

        Args:
            videos: as in `predict`.
            top: classes to explain.
            classes: others, by name or phrase, wherever they rank.
            output: a picture (.png, .svg, .pdf) or page (.html) to write, or a folder for a picture of each video.

        Raises:
            UserError: as `predict`; a class is none of the dataset; nothing of that name can be written.
        """
        paths, settings = clips_below([Path(video) for video in videos]), self.settings
        if output:
            check_output(Path(output), len(paths))
        with (
            self._texts(or_labels=True) as (_, dataset, descriptors),
            self._encoder() as encoder,
            self._bar(f"{dataset.name}, {self.encoder}", "videos") as advance,
        ):
            asked = labels_of(dataset, classes)
            found = explain_videos(
                dataset, paths, descriptors, encoder, settings=settings, top=top, asked=asked, on_progress=advance
            )
        if output:
            used = settings_used(dataset, settings, descriptors)
            said = [*made_with(dataset, descriptors, used), *view_said(used)]
            title = f"What the texts of {dataset.name} did"
            list(write_explanations(found, Path(output), title=title, said=said))
        return found

    def evaluate(self, root: str | Path, *, split: Split | None = None, limit: int | None = None) -> Run:
        """Classify the videos of the dataset, with its labels alone and with its descriptors; store and return the run.

        Args:
            root: the folder, or a CSV file with the columns path and label.
            split: official test split; None is 1 where there are lists.
            limit: only so many videos, evenly spread over the list.

        Raises:
            UserError: a choice is not known or not possible; some classes lack descriptors; there are no videos.
        """
        settings = replace(self.settings, root=str(Path(root).resolve()), split=split, limit=limit)
        with self._texts() as (store, dataset, descriptors), self._encoder() as encoder:
            videos = find_videos(dataset, Path(root), split=split)
            with self._bar(f"{dataset.name}, {self.encoder}", "videos") as advance:
                run = evaluate(dataset, videos, descriptors, encoder, settings=settings, on_progress=advance)
            return store.run(store.save_run(run))

    def sweep(
        self,
        root: str | Path,
        grid: Grid | str = "tear",
        *,
        split: Split | None = None,
        limit: int | None = None,
        store_runs: bool = False,
    ) -> list[Run]:
        """Evaluate every product of a grid's lists from one pass over the videos; return the runs, the best first.

        What a `Grid` lists takes the place of this recognizer's choice. Only with `store_runs` have the runs numbers
        and predictions.

        Raises:
            UserError: as `evaluate`; no grid goes by that name.
        """
        if isinstance(grid, str) and grid not in GRIDS:
            raise UsageError(f"Unknown grid {grid!r}. Known: {', '.join(GRIDS)}")
        base = replace(self.settings, root=str(Path(root).resolve()), split=split, limit=limit)
        settings = (GRIDS[grid] if isinstance(grid, str) else grid).settings(base)
        for each in settings:
            each.check()
        with self._store() as store, self._encoder() as encoder:
            dataset = self._dataset(store)
            chosen = choose_for(store, dataset, settings)
            videos = find_videos(dataset, Path(root), split=split)
            with self._bar(f"{dataset.name}, {self.encoder}", "videos") as advance:
                embedded = embed_for(dataset, videos, encoder, settings=settings, on_progress=advance)
            runs = score_grid(embedded, chosen, settings=settings, with_predictions=store_runs)
            return [replace(run, id=store.save_run(run)) for run in runs] if store_runs else runs

    def localize(
        self,
        *videos: str | Path,
        annotations: str | Path | None = None,
        subset: str | None = None,
        fps: float = 4.0,
        settings: LocalizeSettings = LocalizeSettings(),  # noqa: B008 - frozen
    ) -> Localization:
        """Find where in long videos the actions of the dataset are, and measure it where annotations are given.

        Args:
            videos: files, and folders of them.
            annotations: a JSON file as ActivityNet's, or THUMOS14's folder of text files.
            subset: part of the annotations; None is the only one.
            fps: frames a second that are looked at.
            settings: all choices between embeddings and segments.

        Raises:
            UserError: a choice is not known or not possible; none of the videos that can be read is annotated.
        """
        paths = clips_below([Path(video) for video in videos])
        with (
            self._texts(or_labels=True) as (_, dataset, descriptors),
            self._encoder() as encoder,
            self._bar(f"{dataset.name}, {self.encoder}", "seconds of video") as advance,
        ):
            annotated = read_annotations(Path(annotations), dataset, subset=subset) if annotations else None
            query = Query(self.encoder, self.protocol, fps, settings)
            return localize_videos(
                dataset, paths, descriptors, encoder, query=query, annotated=annotated, on_progress=advance
            )

    def run(self, number: int) -> Run:
        """Return a stored run with its predictions.

        Raises:
            UsageError: there is none of that number.
        """
        with self._store() as store:
            return store.run(number)

    def runs(self) -> list[Run]:
        """Return the stored runs on this dataset, the oldest first, without their predictions."""
        with self._store() as store:
            return store.runs(self._dataset(store).name)

    def compare(self, first: Run | int, second: Run | int | None = None) -> Comparison:
        """Compare two runs on the videos of both, the second against the first; of one, its texts against its labels.

        Raises:
            UserError: they are of different datasets, or have no video in common.
        """
        one = self._stored(first)
        return compare(by_labels_alone(one), one) if second is None else compare(one, self._stored(second))

    def replay(self, run: Run | int, *, root: str | Path | None = None) -> Replay:
        """Return a stored run with its features, its texts as vectors, and its scores: tensors to go on with.

        It is what the run was made with, whatever this recognizer's choices are.

        Raises:
            UserError: its texts, its weights or its videos are no longer there.
        """
        run = self._stored(run)
        with (
            self._store() as store,
            self._encoder(run.settings["encoder"]) as encoder,
            self._bar(f"run {run.id}", "videos") as advance,
        ):
            return replay(store, run, encoder, root=Path(root) if root else None, on_progress=advance)

    def report(
        self, run: Run | int, file: str | Path | None = None, *, root: str | Path | None = None, samples: int = 3
    ) -> Path:
        """Write a page about a run, `run-<number>.html` in the current folder where no file is named; return its path.

        Where its videos or texts are no longer there, the page says so and holds the rest.

        Raises:
            UserError: the run has no predictions.
        """
        run = self._stored(run)
        path = Path(file or f"run-{run.id}.html")
        with self._store() as store, self._bar(f"run {run.id}", "videos") as advance:
            folder, moved = self.features or default_features(), Path(root) if root else None
            found = find_out(store, run, features=folder, root=moved, samples=samples, on_progress=advance)
            write_page(found, path)
        return path

    def impact(self, run: Run | int, *, root: str | Path | None = None) -> RunImpact:
        """Measure what a run is without each of its descriptors, and keep it for the review.

        Raises:
            UserError: as `replay`; the run used no descriptors.
        """
        found = impact(self.replay(run, root=root))
        with self._store() as store:
            store.readings().save_impacts(found.records())
        return found

    def descriptors(self) -> list[Descriptor]:
        """Return the descriptors that are used.

        Raises:
            UserError: there are none, some classes lack a kind, or several LLMs wrote and none is chosen.
        """
        with self._texts() as (_, _, descriptors):
            return list(descriptors)

    def ensemble(self) -> Ensemble:
        """Return labels and descriptors as vectors, [C, K, D].

        Raises:
            UserError: as `descriptors`.
        """
        with self._texts(or_labels=True) as (_, dataset, descriptors), self._encoder() as encoder:
            return build_ensemble(dataset, descriptors, encoder, self.settings.wording())

    @property
    def settings(self) -> Settings:
        """The choices besides dataset and videos, as a run keeps them.

        Raises:
            UserError: a name is not known.
        """
        statuses = {"any": ("pending", "accepted"), "accepted": ("accepted",)}
        if self.status not in statuses:
            raise UsageError(f"Unknown status {self.status!r}. Known: {', '.join(statuses)}")
        kinds = None if self.kinds is None else tuple(self.kinds)
        settings = Settings(
            self.encoder, self.protocol, self.method, self.frames, self.clips, self.crops, self.pooling,
            self.templates, self.condition, self.temperature, choice=Choice(kinds, statuses[self.status], self.llm),
        )  # fmt: skip
        settings.check()
        return settings

    @contextmanager
    def _store(self, *, or_empty: bool = False) -> Iterator[Store]:
        database = commandline.Database(self.db or default_database())
        try:
            yield database.existing_or_empty if or_empty else database.existing
        finally:
            database.close()

    @contextmanager
    def _texts(self, *, or_labels: bool = False) -> Iterator[tuple[Store, Dataset, Sequence[Descriptor]]]:
        choice = self.settings.choice
        with self._store(or_empty=or_labels) as store:
            dataset = self._dataset(store)
            by_labels = or_labels and not store.descriptors(dataset)
            yield store, dataset, [] if by_labels else choose_descriptors(store, dataset, choice)

    def _dataset(self, store: Store) -> Dataset:
        if isinstance(self.dataset, str | Path):
            return store.resolve(str(self.dataset))
        return vocabulary.from_labels("labels in a list", list(self.dataset))

    def _stored(self, run: Run | int) -> Run:
        return self.run(run) if isinstance(run, int) else run

    @contextmanager
    def _encoder(self, name: str | None = None) -> Iterator[StoredEncoder]:
        encoder = _opened(name or self.encoder)
        with FeatureStore.open(self.features or default_features()) as features:
            yield StoredEncoder(encoder, features)

    def _bar(self, what: str, unit: str) -> AbstractContextManager[Callable[[int, int], None]]:
        return commandline.progress(what, unit) if self.progress else nullcontext(lambda done, total: None)
