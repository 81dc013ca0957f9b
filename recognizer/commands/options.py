"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from db import vocabulary
from db.errors import UsageError
from db.records import Dataset
from recognizer.datasets.find import Split
from recognizer.defaults import default_features
from recognizer.scoring.methods import METHODS
from recognizer.scoring.pooling import POOLINGS, Pooling
from recognizer.scoring.protocols import PROTOCOLS, TEMPLATES

if TYPE_CHECKING:
    from recognizer.evaluation.settings import Settings

LISTED = ", ".join(vocabulary.BUILT_IN)
CROPS = (1, 3)
STATUSES = {"any": ("pending", "accepted"), "accepted": ("accepted",)}

root_option = click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where its videos are. [data/<dataset>, or below the folder that RECOGNIZE_DATA names]",
)
moved_option = click.option(
    "--root",
    type=click.Path(exists=True, path_type=Path),
    metavar="FOLDER",
    help="Where the videos of the run are now. [where they were]",
)
data_option = click.option("--data", envvar="RECOGNIZE_DATA", type=click.Path(path_type=Path), hidden=True)
encoder_option = click.option(
    "--encoder",
    "-e",
    default="ViT-B/16",
    show_default=True,
    metavar="NAME",
    help="An openai-clip name or .pt archive; hf:<repo or folder> of any dual encoder; or objects (no download).",
)
kind_option = click.option(
    "--kind", "-k", "kinds", multiple=True, metavar="KIND", help="Descriptor kind. [all there are]"
)
llm_option = click.option(
    "--llm", "-l", metavar="NAME", help="Descriptors of one LLM or imported file, by part of its name."
)
status_option = click.option(
    "--status",
    type=click.Choice(list(STATUSES)),
    default="any",
    show_default=True,
    help="Accepted descriptors alone, or pending ones too; rejected ones are never used.",
)
protocol_option = click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    default="default",
    show_default=True,
    help="; ".join(f"{protocol.name}: {protocol.about}" for protocol in PROTOCOLS.values()) + ".",
)
features_option = click.option(
    "--features",
    envvar="RECOGNIZE_FEATURES",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    default=default_features,
    show_default="in the user's cache",
    metavar="FOLDER",
    help="Where embeddings are kept, for all commands.",
)

METHOD_HELP = "How texts and frames are compared: " + "; ".join(f"{m.name}: {m.about}" for m in METHODS.values()) + "."
TEMPLATES_HELP = f"Around texts: the protocol's own, {', '.join(TEMPLATES)}, or a file with one template a line."
CONDITION_HELP = "The label before each descriptor."
POOLING_HELP = "How the frames of a video become one vector."

_SCORING = (
    click.option("--method", default="mean", show_default=True, metavar="NAME", help=METHOD_HELP),
    click.option("--pooling", type=click.Choice(list(POOLINGS)), default="avg", show_default=True, help=POOLING_HELP),
    click.option("--templates", default="protocol", show_default=True, metavar="NAME|FILE", help=TEMPLATES_HELP),
    click.option("--condition", is_flag=True, help=CONDITION_HELP),
    click.option(
        "--temperature",
        type=click.FloatRange(min=0, min_open=True),
        default=1.0,
        show_default=True,
        help="Of probabilities, softmax(100 * score / temperature), and of method soft.",
    ),
)


def dataset_options(command: Any) -> Any:
    """Add `--dataset`, `--root`, `--split` and `--limit`; `root_of` makes a folder of the first two."""
    options = (
        click.option("--dataset", "-d", required=True, metavar="NAME|PATH", help=f"{LISTED}, or your own."),
        root_option,
        data_option,
        click.option(
            "--split", type=click.Choice(get_args(Split)), help="Official test split. [1 where there are lists]"
        ),
        click.option("--limit", type=click.IntRange(min=1), help="Only so many videos, evenly spread over the list."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def root_of(dataset: Dataset, root: Path | None, data: Path | None) -> Path:
    """Return the folder of a dataset's videos: what --root says, else where people put them."""
    if root:
        return root
    names = dict.fromkeys((dataset.name, dataset.stored_as))
    places = [above / name for above in (Path("data"), *([data] if data else [])) for name in names]
    if data and len(names) == 1:  # classes of a part of a dataset could be found in any other dataset there
        places.append(data)
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        looked = ", ".join(str(place) for place in places)
        raise UsageError(f"Where are the videos of {dataset.name}? Not in: {looked}. Give --root or set RECOGNIZE_DATA")
    return found


frames_option = click.option(
    "--frames", type=click.IntRange(min=1), default=16, show_default=True, help="Frames of a video, or of a clip."
)


def sampling_options(command: Any) -> Any:
    """Add `--frames`, `--clips` and `--crops`."""
    options = (
        frames_option,
        click.option(
            "--clips",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Sets of frames of a video, each over its whole length; their scores are averaged.",
        ),
        click.option(
            "--crops",
            type=click.Choice(CROPS),
            default=1,
            show_default=True,
            help="Views of a frame: 1, or 3 squares along its longer side; their scores are averaged.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class Chosen:
    """What a command was told of texts and methods."""

    encoder: str
    protocol: str
    kinds: tuple[str, ...]
    llm: str | None
    status: str
    frames: int
    clips: int
    crops: int
    method: str
    pooling: Pooling
    templates: str
    condition: bool
    temperature: float

    def settings(self, **of_videos: Any) -> Settings:
        """Return it as an evaluation takes it, with its fields about the videos.

        Raises:
            UserError: a name is not known, or a file of templates is none.
        """
        from recognizer.evaluation.settings import Settings
        from recognizer.scoring.selection import Choice

        values = {field.name: getattr(self, field.name) for field in fields(self)}
        choice = Choice(values.pop("kinds") or None, STATUSES[values.pop("status")], values.pop("llm"))
        settings = Settings(**values, choice=choice, **of_videos)
        settings.check()
        return settings


def chosen_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `Chosen`; the command gets them as one value `chosen`."""
    names = [field.name for field in fields(Chosen)]

    @wraps(command)
    def gathered(*args: Any, **kwargs: Any) -> Any:
        chosen = Chosen(**{name: kwargs.pop(name) for name in names})
        return command(*args, **kwargs, chosen=chosen)

    texts = (encoder_option, protocol_option, kind_option, llm_option, status_option)
    for option in reversed((*texts, sampling_options, *_SCORING)):
        gathered = option(gathered)
    return gathered
