"""`recognize predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from db import vocabulary
from db.commandline import Database, console, json_option, notes, print_json, progress
from db.errors import UsageError, UserError
from db.records import Dataset, Descriptor
from db.store import Store
from recognizer.commands.options import (
    LISTED,
    Chosen,
    chosen_options,
    features_option,
)

if TYPE_CHECKING:
    from recognizer.scoring.selection import Choice


@click.command("predict")
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="VIDEO...")
@click.option("--dataset", "-d", metavar="NAME|PATH", help=f"Its classes and descriptors: {LISTED}, or your own.")
@click.option("--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A text file of classes.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show for a video.")
@chosen_options
@features_option
@json_option
@click.pass_obj
def predict_videos(
    database: Database,
    videos: tuple[Path, ...],
    dataset: str | None,
    labels: Path | None,
    top: int,
    chosen: Chosen,
    features: Path,
    as_json: bool,
) -> None:
    """Rank the classes for videos: files, folders of videos, or folders of frames."""
    from recognizer.evaluation.predict import clips_below, predict, settings_used
    from recognizer.evaluation.tables import ranking_report
    from recognizer.features.caching_encoder import open_stored_encoder

    settings = chosen.settings()
    actions, descriptors = to_choose_from(database, dataset, labels, settings.choice)
    paths = clips_below(videos)
    what = f"{actions.name}, {chosen.encoder}"
    with open_stored_encoder(chosen.encoder, features) as opened, progress(what, "videos") as advance:
        rankings = predict(actions, paths, descriptors, opened, settings=settings, top=top, on_progress=advance)
    used = settings_used(actions, settings, descriptors)
    report = {"settings": used, "rankings": rankings}
    print_json(report) if as_json else console.print(ranking_report(actions, rankings, descriptors, used))
    if all(ranking.unreadable for ranking in rankings):
        raise UserError("None of the videos can be read")


def to_choose_from(
    database: Database, dataset: str | None, labels: Path | None, choice: Choice
) -> tuple[Dataset, list[Descriptor]]:
    """Return the classes that `--dataset` or `--labels` names, and the descriptors chosen of them.

    Raises:
        UsageError: none or both of the two are given.
    """
    if (dataset is None) == (labels is None):
        raise UsageError("Give the classes to choose from: either --dataset NAME, or --labels FILE")
    if labels:
        return vocabulary.from_path(labels), []
    store = database.existing_or_empty
    actions = store.resolve(dataset or "")
    return actions, descriptors_if_any(store, actions, choice)


def descriptors_if_any(store: Store, dataset: Dataset, choice: Choice) -> list[Descriptor]:
    """Return the chosen descriptors; where there are none of any sort, say so and go by labels alone."""
    from recognizer.scoring.selection import choose_descriptors

    if store.descriptors(dataset):
        return choose_descriptors(store, dataset, choice)
    notes.print(f"By labels alone: no descriptors for {dataset.name} yet (descgen build --dataset {dataset.name})")
    return []
