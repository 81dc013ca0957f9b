"""`recognize embed`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json, progress
from recognizer.commands.options import Source, dataset_options, features_option, sampling_options
from recognizer.evaluation.settings import Options


@click.command("embed")
@dataset_options
@click.option("--retry", is_flag=True, help="Try again the videos that could not be read before.")
@sampling_options
@features_option
@json_option
@click.pass_obj
def embed(database: Database, source: Source, retry: bool, options: Options, features: Path, as_json: bool) -> None:
    """Decode and encode the videos of a dataset, once for all commands; run it again to resume."""
    from recognizer.datasets.find import find_videos
    from recognizer.features.caching_encoder import open_stored_encoder
    from recognizer.features.embed import embed_dataset
    from recognizer.features.table import embed_report

    dataset, root = source.open(database.existing_or_empty)
    videos = find_videos(dataset, root, split=source.split)
    title = f"{dataset.name}, {options.encoder}"
    with open_stored_encoder(options.encoder, features) as encoder, progress(title, "videos") as advance:
        report = embed_dataset(
            videos, encoder, sampling=options.sampling, limit=source.limit, retry=retry, on_progress=advance
        )
    print_json(report) if as_json else console.print(embed_report(dataset.name, report, features))
