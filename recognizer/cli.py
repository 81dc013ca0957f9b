"""The command `recognize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from db import vocabulary
from db.commandline import (
    Commands,
    Database,
    console,
    database_option,
    json_option,
    notes,
    print_json,
    progress,
    resolve,
)
from db.errors import UsageError, UserError
from db.records import Dataset, Descriptor
from db.store import Store
from recognizer.datasets import Split
from recognizer.protocols import PROTOCOLS

if TYPE_CHECKING:
    from recognizer.evaluate import Choice

_LISTED = ", ".join(vocabulary.BUILT_IN)
_STATUSES = {"any": ("pending", "accepted"), "accepted": ("accepted",)}

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
    type=click.Choice(list(_STATUSES)),
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
frames_option = click.option(
    "--frames", type=click.IntRange(min=1), default=16, show_default=True, help="Frames a video."
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="descgen-recognize")
@database_option
@click.pass_context
def recognize(context: click.Context, url: str) -> None:
    """Recognise actions in videos by text, without training.

    \b
    recognize eval --dataset ucf101 --root UCF101/     accuracy of labels and of descriptors
    recognize predict my.mp4 --dataset hmdb51          the best classes of a video
    recognize runs                                     what was measured
    """
    context.obj = Database(url)
    context.call_on_close(context.obj.close)


@recognize.command("eval")
@click.option("--dataset", "-d", required=True, metavar="NAME|PATH", help=f"{_LISTED}, or your own.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where its videos are. [data/<dataset>, or below the folder that RECOGNIZE_DATA names]",
)
@click.option("--data", envvar="RECOGNIZE_DATA", type=click.Path(path_type=Path), hidden=True)
@click.option("--split", type=click.Choice(get_args(Split)), help="Official test split. [1 where there are lists]")
@click.option("--method", default="mean", show_default=True, metavar="NAME", help="How texts and frames are compared.")
@click.option("--limit", type=click.IntRange(min=1), help="Only so many videos, evenly spread over the list.")
@encoder_option
@protocol_option
@kind_option
@llm_option
@status_option
@frames_option
@json_option
@click.pass_obj
def evaluate_videos(
    database: Database,
    dataset: str,
    root: Path | None,
    data: Path | None,
    split: Split | None,
    method: str,
    limit: int | None,
    encoder: str,
    protocol: str,
    kinds: tuple[str, ...],
    llm: str | None,
    status: str,
    frames: int,
    as_json: bool,
) -> None:
    """Classify the videos of a dataset, with its labels alone and with its descriptors, and store the run."""
    from encoders import open_encoder
    from recognizer.datasets import find_videos
    from recognizer.evaluate import Choice, Settings, choose_descriptors, evaluate
    from recognizer.report import run_report
    from recognizer.scoring import method_of

    method_of(method)
    store = database.existing
    actions = resolve(store, dataset)
    choice = Choice(kinds or None, _STATUSES[status], llm)
    descriptors = choose_descriptors(store, actions, choice)
    root = root or _default_root(actions, data)
    videos = find_videos(actions, root, split=split)
    settings = Settings(encoder, protocol, method, frames, limit, str(root.resolve()), split, choice)
    opened = open_encoder(encoder)
    with progress(f"{actions.name}, {encoder}", "videos") as advance:
        run = evaluate(actions, videos, descriptors, opened, settings=settings, on_progress=advance)
    run = store.run(store.save_run(run))
    print_json(run) if as_json else console.print(run_report(run))


def _default_root(dataset: Dataset, data: Path | None) -> Path:
    names = dict.fromkeys((dataset.name, dataset.stored_as))
    places = [above / name for above in (Path("data"), *([data] if data else [])) for name in names]
    if data and len(names) == 1:  # classes of a part of a dataset could be found in any other dataset there
        places.append(data)
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        looked = ", ".join(str(place) for place in places)
        raise UsageError(f"Where are the videos of {dataset.name}? Not in: {looked}. Give --root or set RECOGNIZE_DATA")
    return found


@recognize.command("predict")
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="VIDEO...")
@click.option("--dataset", "-d", metavar="NAME|PATH", help=f"Its classes and descriptors: {_LISTED}, or your own.")
@click.option("--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A text file of classes.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show for a video.")
@encoder_option
@protocol_option
@kind_option
@llm_option
@status_option
@frames_option
@json_option
@click.pass_obj
def predict_videos(
    database: Database,
    videos: tuple[Path, ...],
    dataset: str | None,
    labels: Path | None,
    top: int,
    encoder: str,
    protocol: str,
    kinds: tuple[str, ...],
    llm: str | None,
    status: str,
    frames: int,
    as_json: bool,
) -> None:
    """Rank the classes for videos: files, folders of videos, or folders of frames."""
    from encoders import open_encoder
    from recognizer.evaluate import Choice, Settings, descriptors_digest
    from recognizer.predict import clips_below, predict
    from recognizer.report import ranking_report

    if (dataset is None) == (labels is None):
        raise UsageError("Give the classes to choose from: either --dataset NAME, or --labels FILE")
    if labels:
        actions, descriptors = vocabulary.from_path(labels), []
    else:
        store = database.existing_or_empty
        actions = resolve(store, dataset or "")
        descriptors = _descriptors_if_any(store, actions, Choice(kinds or None, _STATUSES[status], llm))
    clips = clips_below(videos)
    settings = Settings(encoder=encoder, protocol=protocol, frames=frames)
    with progress(f"{actions.name}, {encoder}", "videos") as advance:
        rankings = predict(
            actions, clips, descriptors, open_encoder(encoder), settings=settings, top=top, on_progress=advance
        )
    used = {
        "dataset": actions.name,
        "protocol": protocol,
        "encoder": encoder,
        "method": settings.method,
        "frames": frames,
        "descriptors": len(descriptors),
        "descriptors_sha256": descriptors_digest(descriptors),
    }
    report = {"settings": used, "rankings": rankings}
    print_json(report) if as_json else console.print(ranking_report(actions, rankings, descriptors, used))
    if all(ranking.unreadable for ranking in rankings):
        raise UserError("None of the videos can be read")


def _descriptors_if_any(store: Store, dataset: Dataset, choice: Choice) -> list[Descriptor]:
    """Return the chosen descriptors; where there are none of any sort, say so and go by labels alone."""
    from recognizer.evaluate import choose_descriptors

    if store.descriptors(dataset):
        return choose_descriptors(store, dataset, choice)
    notes.print(f"By labels alone: no descriptors for {dataset.name} yet (descgen build --dataset {dataset.name})")
    return []


@recognize.command()
@click.argument("run", type=int, required=False)
@click.option("--dataset", "-d", metavar="NAME", help="Only runs on this dataset.")
@json_option
@click.pass_obj
def runs(database: Database, run: int | None, dataset: str | None, as_json: bool) -> None:
    """List the runs, or show one of them whole."""
    from recognizer.report import run_report, run_table

    store = database.existing
    if run is not None:
        found = store.run(run)
        print_json(found) if as_json else console.print(run_report(found))
        return
    listed = store.runs(vocabulary.canonical(dataset) if dataset else None)
    if not listed and not as_json:
        what = f"No runs on {dataset} yet" if dataset else "No runs yet"
        raise UserError(f"{what}. Make one with: recognize eval --dataset hmdb51 --root FOLDER --encoder objects")
    print_json(listed) if as_json else console.print(run_table(listed))
