"""`recognize eval`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json, progress
from recognizer.commands.options import Source, dataset_options, features_option, scoring_options
from recognizer.evaluation.settings import Options


@click.command("eval")
@dataset_options
@scoring_options
@features_option
@json_option
@click.pass_obj
def evaluate_videos(database: Database, source: Source, options: Options, features: Path, as_json: bool) -> None:
    """Classify the videos of a dataset, with its labels alone and with its descriptors, and store the run."""
    from recognizer.evaluation.evaluate import evaluate, with_texts
    from recognizer.evaluation.tables import run_report
    from recognizer.features.caching_encoder import open_stored_encoder

    settings = source.restrict(options.settings)
    store = database.existing
    dataset, root = source.open(store)
    with open_stored_encoder(options.encoder, features) as encoder:
        run = evaluate(store, dataset, root, encoder, settings=settings, bars=progress)
    print_json(with_texts(store, run)) if as_json else console.print(run_report(run))
