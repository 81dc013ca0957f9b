"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from click.core import ParameterSource
from rich.console import RenderableType

from db import vocabulary
from db.commandline import Database, console, json_option, notes, print_json, progress, trust_option
from db.descriptor_filter import LLM_HELP
from db.errors import UsageError, UserError
from db.interrupts import interrupts
from db.kinds import NAME
from db.records import Dataset
from encoders.protocol import Precision
from encoders.registry import trusting_files
from recognizer.commands.devices import device_option
from recognizer.commands.write_texts import write_missing
from recognizer.datasets.records import Split
from recognizer.evaluation.settings import KNOWN, STATUSES, Options, Settings
from recognizer.features.location import default_features
from recognizer.scoring.methods import METHODS
from recognizer.scoring.pooling import POOLINGS
from recognizer.scoring.protocols import NAMES, PROTOCOLS, TEMPLATES
from recognizer.scoring.transductive import TRANSDUCTIVE

if TYPE_CHECKING:
    from db.catalogue import Catalogue
    from recognizer.evaluation.predict import ClassTexts
    from recognizer.features.caching_encoder import CachingEncoder
    from recognizer.video.pool import Decoding

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
NAMES_HELP = f"Use of texts of kind {NAME}. " + "; ".join(f"{name}: {about}" for name, about in NAMES.items()) + "."
CONDITION_HELP = "Put the label before each descriptor."
POOLING_HELP = "How the frames of a video become one vector."
UNIT_FRAMES_HELP = "Bring each frame to unit length before pooling."
_ENCODERS = (
    "An openai-clip name or .pt archive; hf:<repo or folder> (dual encoders of transformers), open_clip:ARCH/TAG, "
    "st:<repo or folder> (of videos), module:factory (your own); or objects (no download)."
)
_PRECISION = (
    "Of weights and arithmetic; part of the key of stored embeddings. auto: bfloat16 where the hardware has it, else "
    "float32."
)
_PROTOCOLS = "; ".join(f"{protocol.name}: {protocol.about}" for protocol in PROTOCOLS.values()) + "."
_STATUSES = "Use only accepted descriptors, or pending ones too; rejected ones are never used."
_ROOT = "Folder of its videos. [FOLDER, or data/<dataset>, or <dataset> in the folder RECOGNIZE_DATA]"
_SPLIT = "Official test split, or val or test of a CSV file of videos. [1 if the dataset has split lists]"
_LIMIT = "Use at most this many videos, evenly spread over the list."
_LLM = f"{LLM_HELP}; give it again to use several together. [the only one]"
_TEXTS_HELP = "Use the texts of an installed pack and no others; first: descgen import --pack NAME."
_PARTIAL = "Score classes that lack descriptors without them, instead of refusing."
_CLIPS = "Sets of frames per video, each over its whole length; their scores are averaged."
_CROPS = "Views per frame: 1, or 3 squares along its longer side; their scores are averaged."
_TRUNCATED = "Use what is there of videos that break off; without it they are left out as unreadable."
_RETRY = "Read videos again that could not be read before."
_WORKERS = "Processes that decode videos; 0: none, and a decoder that dies ends the command. [one for each core]"
_TIMEOUT = "Longest time to decode one video. [60, and 10 more for each MB]"
_NONE_OF_THESE = "Reject videos that are of no class, and answer `none of these`: by background texts."
_BACKGROUND = "What such videos may show: known (classes of built-in datasets, neutral scenes), or a dataset."
_THRESHOLD = "Least probability of being of one of the classes, else a video is rejected."
_TEMPERATURE = (
    "Softmax temperature: probabilities are softmax(scale * score / temperature), by the encoder's logit scale; also "
    "used by method soft."
)

_TRANSDUCTIVE = "Score the videos together too, without their labels. " + (
    "; ".join(f"{way.name}: {way.about}" for way in TRANSDUCTIVE.values()) + "."
)
_WITH_PRIOR = " or ".join(way.name for way in TRANSDUCTIVE.values() if way.uses_prior)
_CLASS_PRIOR = f"Shares of the classes for --transductive {_WITH_PRIOR}: a CSV file, class,share. [all alike]"


def _precision(context: click.Context, _option: click.Parameter, value: Any) -> Precision:
    from encoders.precision import resolved_precision

    resolved = resolved_precision(context.params["encoder"], value)  # `--encoder` is eager: it is read before
    if value == "auto":
        notes.print(f"--precision auto: {resolved}")
    return resolved


SHARED: dict[str, Callable[[Any], Any]] = {  # by the parameter that each one fills
    "folder": click.argument("folder", required=False, type=EXISTING, metavar="[FOLDER]"),
    "dataset": click.option("--dataset", "-d", metavar="NAME|PATH", help=f"{_OWN} [the class folders of FOLDER]"),
    "name": click.option("--dataset", "-d", "name", metavar="NAME|PATH", help=f"Its classes and texts: {_OWN}"),
    "labels": click.option(
        "--labels", type=_LABELS, help="A file of classes; with --llm, missing descriptors are written first."
    ),
    "root": click.option("--root", type=PATH, metavar="FOLDER", help=_ROOT),
    "data": click.option("--data", envvar="RECOGNIZE_DATA", type=PATH, hidden=True),
    "split": click.option("--split", type=click.Choice(get_args(Split)), help=_SPLIT),
    "limit": click.option("--limit", type=COUNT, help=_LIMIT),
    "encoder": lambda command: click.option(
        "--encoder", "-e", default="ViT-B/16", metavar="NAME", is_eager=True, help=_ENCODERS
    )(device_option(trust_option(trusting_files)(command))),
    "precision": click.option(
        "--precision",
        type=click.Choice([*get_args(Precision), "auto"]),
        default="float32",
        callback=_precision,
        help=_PRECISION,
    ),
    "protocol": click.option("--protocol", type=click.Choice(list(PROTOCOLS)), default="default", help=_PROTOCOLS),
    "kinds": click.option(
        "--kind", "-k", "kinds", multiple=True, metavar="KIND", help=f"Descriptor kind. [all but {NAME}]"
    ),
    "llm": click.option("--llm", "-l", metavar="NAME", multiple=True, help=_LLM),
    "status": click.option("--status", type=click.Choice(list(STATUSES)), default="any", help=_STATUSES),
    "texts": click.option("--texts", metavar="pack:NAME", help=_TEXTS_HELP),
    "partial": click.option("--partial", is_flag=True, help=_PARTIAL),
    "frames": click.option("--frames", type=COUNT, default=16, help="Frames per video or clip."),
    "clips": click.option("--clips", type=COUNT, default=1, help=_CLIPS),
    "crops": click.option("--crops", type=click.Choice((1, 3)), default=1, help=_CROPS),
    "allow_truncated": click.option("--allow-truncated", is_flag=True, help=_TRUNCATED),
    "method": click.option("--method", default="mean", metavar="NAME", help=METHOD_HELP),
    "pooling": click.option("--pooling", type=click.Choice(list(POOLINGS)), default="avg", help=POOLING_HELP),
    "unit_frames": click.option("--unit-frames", is_flag=True, help=UNIT_FRAMES_HELP),
    "templates": click.option("--templates", default="protocol", metavar="NAME|FILE", help=TEMPLATES_HELP),
    "names": click.option("--names", type=click.Choice(list(NAMES)), default="off", help=NAMES_HELP),
    "condition": click.option("--condition", is_flag=True, help=CONDITION_HELP),
    "none_of_these": click.option("--none-of-these", is_flag=True, help=_NONE_OF_THESE),
    "background": click.option("--background", default=KNOWN, metavar="NAME|PATH", help=_BACKGROUND),
    "threshold": click.option("--threshold", type=float, default=0.5, help=_THRESHOLD),
    "temperature": click.option(
        "--temperature", type=click.FloatRange(min=0, min_open=True), default=1.0, help=_TEMPERATURE
    ),
    "transductive": click.option("--transductive", type=click.Choice(list(TRANSDUCTIVE)), help=_TRANSDUCTIVE),
    "class_prior": click.option(
        "--class-prior", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help=_CLASS_PRIOR
    ),
}
videos_argument = click.argument("videos", nargs=-1, required=True, type=EXISTING, metavar="VIDEO...")
moved_option = click.option(
    "--root", type=EXISTING, metavar="FOLDER", help="Folder of the run's videos, if they were moved. [as recorded]"
)
tables_option = click.option(
    "--csv",
    "tables",
    type=FOLDER,
    metavar="FOLDER",
    help="Write predictions.csv, classes.csv and confusion.csv to this folder.",
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
    retry: bool = False  # whether to read videos again that are stored as unreadable
    workers: int | None = None  # see `Decoding`
    decode_timeout: float | None = None

    @property
    def decoding(self) -> Decoding:
        """How videos are read."""
        from recognizer.video.pool import Decoding

        return Decoding(self.workers, self.decode_timeout)

    @contextmanager
    def encoder(self, name: str, precision: Precision = "float32") -> Iterator[CachingEncoder]:
        """Open an encoder by name; its embeddings are cached in the feature store, also if Ctrl-C ends the block."""
        from recognizer.features.caching_encoder import open_caching_encoder

        opened = open_caching_encoder(
            name, self.features, precision=precision, retry=self.retry, decoding=self.decoding, bars=progress
        )
        with opened as encoder, interrupts(lambda: f"The features of {len(encoder.kept)} videos are kept"):
            yield encoder

    def videos(self, paths: Sequence[Path]) -> tuple[Path, ...]:
        """Return the videos of a command's arguments; print a note on the files in folders that are skipped."""
        from recognizer.datasets.given import videos_at

        given = videos_at(paths)
        if given.note:
            notes.print(given.note)
        return given.paths

    def show(self, value: Any, report: RenderableType) -> None:
        """Print a value as JSON with --json, else the report."""
        print_json(value) if self.as_json else console.print(report)


DECODING = {
    "workers": click.option("--workers", type=click.IntRange(min=0), metavar="N", help=_WORKERS),
    "decode_timeout": click.option(
        "--decode-timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help=_TIMEOUT
    ),
}
_READING = {"retry": click.option("--retry", is_flag=True, help=_RETRY), **DECODING}


def session_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--features` and `--json`; the command gets them and the database as its first argument `session`."""

    @wraps(command)
    def call(database: Database, /, *args: Any, features: Path, as_json: bool, **kwargs: Any) -> Any:
        reading = {name: kwargs.pop(name) for name in _READING if name in kwargs}
        return command(Session(database, features, as_json, **reading), *args, **kwargs)

    return features_option(json_option(click.pass_obj(call)))


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `session_options`, and those that say how videos are read."""
    command = session_options(command)
    for option in reversed(_READING.values()):
        command = option(command)
    return command


SAMPLING = ("frames", "clips", "crops", "allow_truncated")
TEXTS = ("encoder", "precision", "protocol", "kinds", "llm", "status", "texts")
_SCORING = (
    *TEXTS, "partial", *SAMPLING, "method", "pooling", "unit_frames", "templates", "names", "condition", "temperature"
)  # fmt: skip
scoring_options = gathered(_options, "options", *_SCORING)
full_scoring_options = gathered(
    _options, "options", *_SCORING, "none_of_these", "background", "threshold", "transductive", "class_prior"
)
long_options = gathered(_options, "options", *TEXTS, "partial", "allow_truncated")
sampling_options = gathered(_options, "options", "encoder", "precision", "protocol", *SAMPLING)
texts_options = gathered(
    _options,
    "options",
    "protocol",
    "kinds",
    "llm",
    "status",
    "texts",
    "partial",
    "method",
    "templates",
    "names",
    "condition",
    "none_of_these",
    "background",
)
sweep_options = gathered(Options, "options", "encoder", "precision", "texts", "partial", *SAMPLING, "temperature")


@dataclass(frozen=True)
class VideoSelection:
    """Videos of a dataset: the argument FOLDER, and the options `--dataset`, `--root`, `--split` and `--limit`."""

    folder: Path | None
    dataset: str | None
    root: Path | None
    data: Path | None
    split: Split | None
    limit: int | None

    def open(self, store: Catalogue) -> tuple[Dataset, Path]:
        """Return the dataset and the folder of its videos; the class folders of FOLDER are a dataset of their own.

        Raises:
            UsageError: no dataset is given, FOLDER and --root are, or the folder of the videos is unknown.
        """
        if self.folder and self.root:
            raise UsageError(f"Give the folder of the videos once: {self.folder}, or --root {self.root}")
        name = self.dataset or (str(self.folder) if self.folder else "")
        if not name:
            raise UsageError("Which videos? Give a folder that holds one folder a class, or --dataset NAME with --root")
        dataset = store.resolve(name)
        own = Path(name) if Path(name).is_dir() and not store.knows(name) else None
        if own and self.root and _is_from_profile("root"):
            raise UsageError(f"Which videos? Give {own} as FOLDER, or --root {self.root}, which the profile has")
        return dataset, root_of(dataset, self.root or self.folder or own, self.data)

    def restrict(self, settings: Settings) -> Settings:
        """Return settings with the split and the limit."""
        return replace(settings, split=self.split, limit=self.limit)


dataset_options = gathered(VideoSelection, "selection", "folder", "dataset", "root", "data", "split", "limit")
whole_dataset_options = gathered(  # its videos of all splits
    partial(VideoSelection, split=None, limit=None), "selection", "folder", "dataset", "root", "data"
)


def _is_from_profile(parameter: str) -> bool:
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.DEFAULT_MAP


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

        With --labels and --llm, the descriptors that are missing are written first.

        Raises:
            UsageError: none or both of the two options are given.
        """
        from recognizer.evaluation.predict import ClassTexts

        if (self.name is None) == (self.labels is None):
            raise UsageError("Give the classes to choose from: either --dataset NAME, or --labels FILE")
        name = self.name or str(self.labels)
        store = session.database.existing_or_empty
        try:
            texts = ClassTexts.choose(store, store.resolve(name), options.settings)
        except UserError:
            if options.texts or not (self.labels and options.llm):
                raise
            store = write_missing(session.database, self.labels, options)
            texts = ClassTexts.choose(store, store.resolve(name), options.settings)
        if not texts.descriptors:
            build = f"descgen build --dataset {texts.dataset.argument}"
            notes.print(f"By labels alone: no descriptors for {texts.dataset.name} yet ({build})")
        return texts


classes_options = gathered(Classes, "classes", "name", "labels")
