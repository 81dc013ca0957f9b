"""`recognize eval`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json, progress
from recognizer.commands.options import (
    Chosen,
    chosen_options,
    dataset_options,
    features_option,
    root_of,
)
from recognizer.datasets.find import Split


@click.command("eval")
@dataset_options
@chosen_options
@features_option
@json_option
@click.pass_obj
def evaluate_videos(
    database: Database,
    dataset: str,
    root: Path | None,
    data: Path | None,
    split: Split | None,
    limit: int | None,
    chosen: Chosen,
    features: Path,
    as_json: bool,
) -> None:
    """Classify the videos of a dataset, with its labels alone and with its descriptors, and store the run."""
    from recognizer.datasets.find import find_videos
    from recognizer.evaluation.evaluate import evaluate, with_texts
    from recognizer.evaluation.tables import run_report
    from recognizer.features.caching_encoder import open_stored_encoder
    from recognizer.scoring.selection import choose_descriptors

    settings = chosen.settings(limit=limit, split=split)
    store = database.existing
    actions = store.resolve(dataset)
    descriptors = choose_descriptors(store, actions, settings.choice)
    root = root_of(actions, root, data)
    videos = find_videos(actions, root, split=split)
    settings = replace(settings, root=str(root.resolve()))
    what = f"{actions.name}, {chosen.encoder}"
    with open_stored_encoder(chosen.encoder, features) as opened, progress(what, "videos") as advance:
        run = evaluate(actions, videos, descriptors, opened, settings=settings, on_progress=advance)
    run = store.run(store.save_run(run))
    print_json(with_texts(store, run)) if as_json else console.print(run_report(run))
