"""`recognize eval`."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from db.commandline import Database, console, json_option, print_json, progress, resolve
from db.errors import UsageError
from db.records import Dataset
from recognizer.commands.options import (
    LISTED,
    STATUSES,
    data_option,
    encoder_option,
    frames_option,
    kind_option,
    llm_option,
    protocol_option,
    root_option,
    status_option,
)
from recognizer.datasets import Split


@click.command("eval")
@click.option("--dataset", "-d", required=True, metavar="NAME|PATH", help=f"{LISTED}, or your own.")
@root_option
@data_option
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
    choice = Choice(kinds or None, STATUSES[status], llm)
    descriptors = choose_descriptors(store, actions, choice)
    root = root or default_root(actions, data)
    videos = find_videos(actions, root, split=split)
    settings = Settings(encoder, protocol, method, frames, limit, str(root.resolve()), split, choice)
    opened = open_encoder(encoder)
    with progress(f"{actions.name}, {encoder}", "videos") as advance:
        run = evaluate(actions, videos, descriptors, opened, settings=settings, on_progress=advance)
    run = store.run(store.save_run(run))
    print_json(run) if as_json else console.print(run_report(run))


def default_root(dataset: Dataset, data: Path | None) -> Path:
    """Return the folder where the videos of a dataset are, in one of the places where people put them.

    Raises:
        UsageError: they are in none of them.
    """
    names = dict.fromkeys((dataset.name, dataset.stored_as))
    places = [above / name for above in (Path("data"), *([data] if data else [])) for name in names]
    if data and len(names) == 1:  # classes of a part of a dataset could be found in any other dataset there
        places.append(data)
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        looked = ", ".join(str(place) for place in places)
        raise UsageError(f"Where are the videos of {dataset.name}? Not in: {looked}. Give --root or set RECOGNIZE_DATA")
    return found
