"""The commands as Python methods: `from recognizer import Recognizer`. Examples are in docs/python.md."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from db import commandline, vocabulary
from db.errors import UsageError, first_few
from db.outputs import PAGES, check_file
from db.progress import ProgressBars, no_bars
from db.records import Dataset, Descriptor, Run
from db.store import Store
from encoders.given import name_of
from encoders.precision import resolved_precision
from encoders.protocol import Encoder, Precision
from encoders.registry import find_encoder
from recognizer.datasets.given import refuse_same_names, refuse_unreadable, videos_at
from recognizer.datasets.records import Split
from recognizer.evaluation.compare import Comparison, compare
from recognizer.evaluation.controls.controls import measure_controls
from recognizer.evaluation.controls.results import ControlSettings, RunControls
from recognizer.evaluation.evaluate import evaluate
from recognizer.evaluation.impact import RunImpact, measure_impact
from recognizer.evaluation.leaderboard import Leaderboard, Measure, leaderboard
from recognizer.evaluation.predict import ClassTexts, Ranking, predict
from recognizer.evaluation.replay import Replay, replay
from recognizer.evaluation.settings import Options, Settings
from recognizer.evaluation.sweep import Grid, named_grid, sweep
from recognizer.explain.explain import Explanation, explain, refuse_pictures
from recognizer.explain.output import check_output, write_explanations
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.location import default_features
from recognizer.features.store import FeatureStore
from recognizer.localize.annotations import read_annotations
from recognizer.localize.localize import Localization, find_actions
from recognizer.localize.settings import LocalizeSettings
from recognizer.report.findings import build_findings
from recognizer.report.page import write_page
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.selection import choose_descriptors
from recognizer.video.pool import Decoding

_ENCODER = ("encoder", "precision")  # the settings that open it
_open = lru_cache(maxsize=2)(find_encoder)  # keeps the weights loaded between calls


@dataclass(frozen=True)
class Recognizer(Options):
    """The classes and descriptors of a dataset, an encoder and a scoring method; each command is a Python method.

    Runs and embeddings are stored in the same places as by the commands. To change one choice, use
    `dataclasses.replace(recognizer, method="align")`: weights and embeddings are reused.

    Every path may be a string; `~` is your home. All methods raise `db.errors.UsageError` for unknown choices,
    datasets, videos and runs, and `db.errors.UserError` if descriptors, videos or weights are missing or have changed,
    or if no video can be read; the message says what to do next.

    Attributes, besides those of `Options` and `ScoringSettings`:
        encoder: a name, or an object as `encoders.protocol.Encoder` says (docs/own-models.md), which then has its id
            as its name in this process.
        precision: of weights and arithmetic; `auto` becomes `bfloat16` where the hardware has it, else `float32`.
        dataset: name of a built-in or stored dataset, path of a file of labels or a folder of class folders, or
            a list of labels, which are then used without descriptors.
        db: SQLite file or SQLAlchemy URL; None means `DESCGEN_DB`, else `descriptors.db` in the current folder.
        features: folder of the feature store; None means `RECOGNIZE_FEATURES`, else a folder in the user's cache.
        retry: read videos again that could not be read before.
        workers: processes that decode videos; None is one for each core, 0 is none (see `Decoding`).
        decode_timeout: longest time to decode one video, in seconds; None is 60, and 10 more for each MB.
        progress: show progress on standard error: a bar in a terminal, else lines.
    """

    dataset: str | Path | Sequence[str]
    _: KW_ONLY
    encoder: str | Encoder = "ViT-B/16"  # type: ignore[assignment]  # after __post_init__ a name, as in the base class
    precision: Precision | Literal["auto"] = "float32"  # type: ignore[assignment]  # after __post_init__ never auto
    db: str | Path | None = None
    features: str | Path | None = None
    retry: bool = False
    workers: int | None = None
    decode_timeout: float | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.encoder, str):
            object.__setattr__(self, "encoder", name_of(self.encoder))
        object.__setattr__(self, "precision", resolved_precision(str(self.encoder), self.precision))

    def predict(self, *videos: str | Path, top: int = 5) -> list[Ranking]:
        """Return the `top` classes of each video: files, folders of videos, folders of frames.

        With `none_of_these`, a ranking also has a verdict: whether the video is of any class.
        If the dataset has no descriptors, the labels alone are used. An unreadable video has a reason instead; if no
        video can be read, a `UserError` is raised.
        """
        with self._class_texts() as texts, self._open_encoder() as encoder:
            rankings = predict(texts, _clips(videos), encoder, top=top, bars=self._bars)
        refuse_unreadable([(ranking.video, ranking.unreadable) for ranking in rankings])
        return rankings

    def explain(
        self, *videos: str | Path, top: int = 5, classes: Sequence[str] = (), output: str | Path | None = None
    ) -> list[Explanation]:
        """Return what each text adds to the scores of the `top` classes of each video.

        Args:
            videos: as in `predict`.
            top: classes to explain.
            classes: more classes to explain, by name or phrase, whatever their rank.
            output: a picture (.png, .svg, .pdf) or page (.html) to write, or a folder for a picture of each video.
        """
        clips = _clips(videos)
        picture = _path(output) if output else None
        if picture:
            check_output(picture, len(clips))
        with self._class_texts() as texts, self._open_encoder() as encoder:
            if picture:
                refuse_pictures(encoder)
            explanations = explain(texts, clips, encoder, top=top, class_names=classes, bars=self._bars)
        refuse_unreadable([(explanation.video, explanation.unreadable) for explanation in explanations])
        if picture:
            list(write_explanations(texts, explanations, picture))
        return explanations

    def evaluate(self, root: str | Path, *, split: Split | None = None, limit: int | None = None) -> Run:
        """Classify the videos of the dataset, with its labels alone and with its descriptors; store and return the run.

        Args:
            root: folder of the videos, or a CSV file with the columns path and label (or labels: several a video).
            split: official test split; None means 1 if the dataset has split lists.
            limit: use at most this many videos, evenly spread over the list.
        """
        settings = replace(self.settings, split=split, limit=limit)
        with self._open_store() as store, self._open_encoder() as encoder:
            return evaluate(store, self._dataset(store), _path(root), encoder, settings=settings, bars=self._bars)

    def sweep(
        self,
        root: str | Path,
        grid: Grid | str = "tear",
        *,
        split: Split | None = None,
        limit: int | None = None,
        store_runs: bool = False,
    ) -> list[Run]:
        """Evaluate every combination of a grid's lists; videos are embedded once. Return the runs, best first.

        The lists of a `Grid` replace this recognizer's choices. Without `store_runs`, the runs have no numbers and no
        predictions.
        """
        base = replace(self.settings, split=split, limit=limit)
        settings = (named_grid(grid) if isinstance(grid, str) else grid).settings(base)
        with self._open_store() as store, self._open_encoder() as encoder:
            dataset = self._dataset(store)
            return sweep(
                store, dataset, _path(root), encoder, settings=settings, store_runs=store_runs, bars=self._bars
            )

    def localize(
        self,
        *videos: str | Path,
        annotations: str | Path | None = None,
        subset: str | None = None,
        fps: float = 4.0,
        settings: LocalizeSettings = LocalizeSettings(),  # noqa: B008 - frozen
    ) -> Localization:
        """Find when in long videos the actions of the dataset happen; with annotations, compute mAP.

        Args:
            videos: files, and folders of them.
            annotations: ActivityNet's JSON file, or THUMOS14's folder of text files.
            subset: part of the annotations; None if there is only one.
            fps: embedded frames per second.
            settings: all choices between embeddings and segments.
        """
        paths = _clips(videos)
        refuse_same_names(paths)
        with self._class_texts() as texts, self._open_encoder() as encoder:
            annotated = read_annotations(_path(annotations), texts.dataset, subset=subset) if annotations else None
            localization = find_actions(
                texts, paths, encoder, fps=fps, settings=settings, annotations=annotated, bars=self._bars
            )
        refuse_unreadable([(video.video, video.unreadable) for video in localization.videos])
        return localization

    def run(self, run: int | str) -> Run:
        """Return a stored run, by its number or its name, with its predictions."""
        with self._open_store() as store:
            return store.run(run)

    def runs(self) -> list[Run]:
        """Return the stored runs on this dataset, oldest first, without their predictions."""
        with self._open_store() as store:
            return store.runs(self._dataset(store).name)

    def compare(self, first: Run | int | str, second: Run | int | str | None = None) -> Comparison:
        """Compare two runs on the videos of both; without `second`, a run's labels alone with its descriptors."""
        return compare(self._stored(first), None if second is None else self._stored(second))

    def leaderboard(
        self, *runs: Run | int | str, datasets: Sequence[str] = (), measure: Measure = "top1"
    ) -> Leaderboard:
        """Return stored runs of all datasets, or these runs or datasets, as one table.

        Runs that cannot be compared are in different columns. `recognizer.evaluation.leaderboard_formats.write` writes
        it to a file.
        """
        names = [run.id or 0 if isinstance(run, Run) else run for run in runs]
        with self._open_store() as store:
            return leaderboard(store, runs=names, datasets=datasets, measure=measure)

    def replay(self, run: Run | int | str, *, root: str | Path | None = None) -> Replay:
        """Return a stored run with its features, text vectors and scores as tensors.

        Uses the run's choices, not those of this recognizer.
        """
        run, moved = self._stored(run), _path(root) if root else None
        with (
            self._open_store() as store,
            self._open_encoder(run) as encoder,
            self._bars(f"run {run.id}", "videos") as advance,
        ):
            return replay(store, run, encoder, root=moved, on_progress=advance)

    def report(
        self, run: Run | int | str, file: str | Path | None = None, *, root: str | Path | None = None, samples: int = 3
    ) -> Path:
        """Write a page about a run and return its path; the default is `run-<number>.html` in the current folder.

        If its videos or texts are missing, the page says so and shows the rest.
        """
        run, moved = self._stored(run), _path(root) if root else None
        path = _path(file or f"run-{run.id}.html")
        check_file(path, PAGES)
        folder = self._features
        with self._open_store() as store, self._bars(f"run {run.id}", "videos") as advance:
            findings = build_findings(
                store, run, features=folder, root=moved, samples=samples, retry=self.retry,
                decoding=self._decoding, on_progress=advance,
            )  # fmt: skip
            write_page(findings, path)
        return path

    def impact(self, run: Run | int | str, *, root: str | Path | None = None) -> RunImpact:
        """Measure what a run gains or loses without each of its descriptors, and store it for the review."""
        run, moved = self._stored(run), _path(root) if root else None
        with self._open_store() as store, self._open_encoder(run) as encoder:
            return measure_impact(store, run, encoder, root=moved, bars=self._bars)

    def controls(
        self,
        run: Run | int | str,
        *,
        permutations: int = 1000,
        replicates: int = 3,
        seed: int = 0,
        root: str | Path | None = None,
    ) -> RunControls:
        """Compare a run with other classes' texts, random texts and other frames; what they say is kept with it."""
        settings = ControlSettings(permutations, replicates, seed)
        run, moved = self._stored(run), _path(root) if root else None
        with self._open_store() as store, self._open_encoder(run) as encoder:
            return measure_controls(store, run, encoder, settings=settings, root=moved, bars=self._bars)

    def descriptors(self) -> list[Descriptor]:
        """Return the descriptors that this recognizer uses."""
        choice = self.settings.choice
        with self._open_store() as store:
            return choose_descriptors(store, self._dataset(store), choice)

    def ensemble(self) -> Ensemble:
        """Return labels and descriptors as vectors, [C, K, D]."""
        with self._class_texts() as texts, self._open_encoder() as encoder:
            return texts.ensemble(encoder)

    @contextmanager
    def _open_store(self, *, or_empty: bool = False) -> Iterator[Store]:
        database = commandline.Database(str(self.db or os.environ.get("DESCGEN_DB") or "descriptors.db"))
        try:
            yield database.existing_or_empty if or_empty else database.existing
        finally:
            database.close()

    @contextmanager
    def _class_texts(self) -> Iterator[ClassTexts]:
        settings: Settings = self.settings
        with self._open_store(or_empty=True) as store:
            yield ClassTexts.choose(store, self._dataset(store), settings)

    def _dataset(self, store: Store) -> Dataset:
        if isinstance(self.dataset, str | Path):
            return store.resolve(os.path.expanduser(self.dataset))  # noqa: PTH111 - a name is no path: Path drops "./"
        return vocabulary.from_labels("labels in a list", list(self.dataset))

    def _stored(self, run: Run | int | str) -> Run:
        return run if isinstance(run, Run) else self.run(run)

    @contextmanager
    def _open_encoder(self, run: Run | None = None) -> Iterator[CachingEncoder]:
        """Open the encoder of a run, or else that of this recognizer."""
        settings = {"precision": "float32", **run.settings} if run else {f: getattr(self, f) for f in _ENCODER}
        encoder = _open(settings["encoder"], precision=settings["precision"])
        with FeatureStore.open(self._features) as features:
            yield CachingEncoder(encoder, features, retry=self.retry, decoding=self._decoding, bars=self._bars)

    @property
    def _decoding(self) -> Decoding:
        return Decoding(self.workers, self.decode_timeout)

    @property
    def _bars(self) -> ProgressBars:
        return commandline.progress if self.progress else no_bars

    @property
    def _features(self) -> Path:
        return _path(self.features or default_features())


def _path(given: str | Path) -> Path:
    return Path(given).expanduser()


def _clips(given: Sequence[str | Path]) -> tuple[Path, ...]:
    """Return the videos of the arguments.

    Raises:
        UsageError: there are none, or a path does not exist.
    """
    paths = [_path(video) for video in given]
    if not paths:
        raise UsageError("No videos are given. Give files, folders of videos, or folders of frames")
    absent = [str(path) for path in paths if not path.exists()]
    if absent:
        raise UsageError(f"No such file or folder: {first_few(absent)}")
    return videos_at(paths).paths
