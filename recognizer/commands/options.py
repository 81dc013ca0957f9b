"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from rich.console import RenderableType

from db import vocabulary
from db.commandline import Database, console, json_option, notes, print_json
from db.errors import UsageError
from db.records import Dataset
from db.store import Store
from encoders.protocol import Precision
from recognizer.datasets.records import Split
from recognizer.defaults import default_features
from recognizer.evaluation.settings import STATUSES, Options, Settings
from recognizer.scoring.methods import METHODS
from recognizer.scoring.pooling import POOLINGS
from recognizer.scoring.protocols import PROTOCOLS, TEMPLATES

if TYPE_CHECKING:
    from recognizer.evaluation.predict import ClassTexts
    from recognizer.features.caching_encoder import CachingEncoder

LISTED = ", ".join(vocabulary.BUILT_IN)
PATH, EXISTING = click.Path(path_type=Path), click.Path(exists=True, path_type=Path)
FILE, FOLDER = click.Path(dir_okay=False, path_type=Path), click.Path(file_okay=False, path_type=Path)
COUNT = click.IntRange(min=1)
_LABELS = click.Path(exists=True, dir_okay=False, path_type=Path)
_OWN = f"{LISTED}, or your own."

METHOD_HELP = "How texts and frames are compared: " + "; ".join(f"{m.name}: {m.about}" for m in METHODS.values()) + "."
TEMPLATES_HELP = (
    f"Templates around texts: protocol (its own, or the encoder's for labels), {', '.join(TEMPLATES)}, "
    "or a file with one a line."
)
CONDITION_HELP = "Put the label before each descriptor."
POOLING_HELP = "How the frames of a video become one vector."
_ENCODERS = "An openai-clip name or .pt archive; hf:<repo or folder> of any dual encoder; or objects (no download)."
_PRECISION = "Of weights and arithmetic, for openai-clip and hf:; part of the key of stored embeddings."
_PROTOCOLS = "; ".join(f"{protocol.name}: {protocol.about}" for protocol in PROTOCOLS.values()) + "."
_STATUSES = "Use only accepted descriptors, or pending ones too; rejected ones are never used."
_ROOT = "Folder of its videos. [data/<dataset>, or <dataset> in the folder RECOGNIZE_DATA]"
_SPLIT = "Official test split. [1 if the dataset has split lists]"
_LIMIT = "Use at most this many videos, evenly spread over the list."
_LLM = "Descriptors of one LLM or imported file, by part of its name."
_CLIPS = "Sets of frames per video, each over its whole length; their scores are averaged."
_CROPS = "Views per frame: 1, or 3 squares along its longer side; their scores are averaged."
_TEMPERATURE = (
    "Softmax temperature: probabilities are softmax(scale * score / temperature), by the encoder's logit scale; also "
    "used by method soft."
)

SHARED: dict[str, Callable[[Any], Any]] = {  # by the parameter that each one fills
    "dataset": click.option("--dataset", "-d", required=True, metavar="NAME|PATH", help=_OWN),
    "name": click.option("--dataset", "-d", "name", metavar="NAME|PATH", help=f"Its classes and texts: {_OWN}"),
    "labels": click.option("--labels", type=_LABELS, help="A file of labels, used without descriptors."),
    "root": click.option("--root", type=PATH, metavar="FOLDER", help=_ROOT),
    "data": click.option("--data", envvar="RECOGNIZE_DATA", type=PATH, hidden=True),
    "split": click.option("--split", type=click.Choice(get_args(Split)), help=_SPLIT),
    "limit": click.option("--limit", type=COUNT, help=_LIMIT),
    "encoder": click.option("--encoder", "-e", default="ViT-B/16", metavar="NAME", help=_ENCODERS),
    "precision": click.option(
        "--precision", type=click.Choice(get_args(Precision)), default="float32", help=_PRECISION
    ),
    "protocol": click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="default", help=_PROTOCOLS),
    "kinds": click.option("--kind", "-k", "kinds", multiple=True, metavar="KIND", help="Descriptor kind. [all kinds]"),
    "llm": click.option("--llm", "-l", metavar="NAME", help=_LLM),
    "status": click.option("--status", type=click.Choice(list(STATUSES)), default="any", help=_STATUSES),
    "frames": click.option("--frames", type=COUNT, default=16, help="Frames per video or clip."),
    "clips": click.option("--clips", type=COUNT, default=1, help=_CLIPS),
    "crops": click.option("--crops", type=click.Choice((1, 3)), default=1, help=_CROPS),
    "method": click.option("--method", default="mean", metavar="NAME", help=METHOD_HELP),
    "pooling": click.option("--pooling", type=click.Choice(list(POOLINGS)), default="avg", help=POOLING_HELP),
    "templates": click.option("--templates", default="protocol", metavar="NAME|FILE", help=TEMPLATES_HELP),
    "condition": click.option("--condition", is_flag=True, help=CONDITION_HELP),
    "temperature": click.option(
        "--temperature", type=click.FloatRange(min=0, min_open=True), default=1.0, help=_TEMPERATURE
    ),
}
videos_argument = click.argument("videos", nargs=-1, required=True, type=EXISTING, metavar="VIDEO...")
moved_option = click.option(
    "--root", type=EXISTING, metavar="FOLDER", help="Folder of the run's videos, if they were moved. [as recorded]"
)
features_option = click.option(
    "--features",
    envvar="RECOGNIZE_FEATURES",
    show_envvar=True,
    type=FOLDER,
    default=default_features,
    show_default="in the user's cache",
    metavar="FOLDER",
    help="Where the embeddings of videos and texts are stored.",
)


def gathered(factory: Callable[..., Any], argument: str, *names: str) -> Callable[[Any], Any]:
    """Return a decorator that adds options of `SHARED`; the command gets `factory(**values)` as one argument."""

    def decorator(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def call(*args: Any, **kwargs: Any) -> Any:
            values = {name: kwargs.pop(name) for name in names}
            return command(*args, **kwargs, **{argument: factory(**values)})

        for name in reversed(names):
            call = SHARED[name](call)
        return call

    return decorator


def _options(*, kinds: tuple[str, ...] = (), **values: Any) -> Options:
    return Options(kinds=kinds or None, **values)


@dataclass(frozen=True)
class Session:
    """The database and the feature store of a command, and its output format."""

    database: Database
    features: Path
    as_json: bool

    @contextmanager
    def encoder(self, name: str, precision: Precision = "float32") -> Iterator[CachingEncoder]:
        """Open an encoder by name; its embeddings are cached in the feature store."""
        from recognizer.features.caching_encoder import open_caching_encoder

        with open_caching_encoder(name, self.features, precision=precision) as encoder:
            yield encoder

    def show(self, value: Any, report: RenderableType) -> None:
        """Print a value as JSON with --json, else the report."""
        print_json(value) if self.as_json else console.print(report)


def session_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--features` and `--json`; the command gets them and the database as its first argument `session`."""

    @wraps(command)
    def call(database: Database, /, *args: Any, features: Path, as_json: bool, **kwargs: Any) -> Any:
        return command(Session(database, features, as_json), *args, **kwargs)

    return features_option(json_option(click.pass_obj(call)))


SAMPLING = ("frames", "clips", "crops")
TEXTS = ("encoder", "precision", "protocol", "kinds", "llm", "status")
scoring_options = gathered(
    _options, "options", *TEXTS, *SAMPLING, "method", "pooling", "templates", "condition", "temperature"
)
text_options = gathered(_options, "options", *TEXTS)
sampling_options = gathered(_options, "options", "encoder", "precision", "protocol", *SAMPLING)
sweep_options = gathered(Settings, "base", "encoder", "precision", *SAMPLING, "temperature")


@dataclass(frozen=True)
class VideoSelection:
    """Videos of a dataset: the options `--dataset`, `--root`, `--split` and `--limit`."""

    dataset: str
    root: Path | None
    data: Path | None
    split: Split | None
    limit: int | None

    def open(self, store: Store) -> tuple[Dataset, Path]:
        """Return the dataset and the folder of its videos."""
        dataset = store.resolve(self.dataset)
        return dataset, root_of(dataset, self.root, self.data)

    def restrict(self, settings: Settings) -> Settings:
        """Return settings with the split and the limit."""
        return replace(settings, split=self.split, limit=self.limit)


dataset_options = gathered(VideoSelection, "selection", "dataset", "root", "data", "split", "limit")


def root_of(dataset: Dataset, root: Path | None, data: Path | None) -> Path:
    """Return the folder of a dataset's videos: --root, or the first default folder that exists."""
    if root:
        return root
    names = dict.fromkeys((dataset.name, dataset.stored_as))
    folders = [parent / name for parent in (Path("data"), *([data] if data else [])) for name in names]
    if data and len(names) == 1:  # videos of a subset's classes could be those of another dataset in that folder
        folders.append(data)
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        tried = ", ".join(map(str, folders))
        raise UsageError(f"Where are the videos of {dataset.name}? Not in: {tried}. Give --root or set RECOGNIZE_DATA")
    return folder


@dataclass(frozen=True)
class Classes:
    """The classes to choose from: the options `--dataset` and `--labels`."""

    name: str | None
    labels: Path | None = None

    def texts(self, session: Session, options: Options) -> ClassTexts:
        """Return the classes and the chosen descriptors; print a note if none are stored and the labels alone are used.

        Raises:
            UsageError: none or both of the two options are given.
        """
        from recognizer.evaluation.predict import ClassTexts

        settings = options.settings
        if (self.name is None) == (self.labels is None):
            raise UsageError("Give the classes to choose from: either --dataset NAME, or --labels FILE")
        if self.labels:
            return ClassTexts(vocabulary.from_path(self.labels), [], settings)
        store = session.database.existing_or_empty
        texts = ClassTexts.choose(store, store.resolve(self.name or ""), settings)
        if not texts.descriptors:
            dataset = texts.dataset.name
            notes.print(f"By labels alone: no descriptors for {dataset} yet (descgen build --dataset {dataset})")
        return texts


classes_options = gathered(Classes, "classes", "name", "labels")
