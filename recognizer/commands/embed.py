"""`recognize embed`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json, progress
from recognizer.commands.options import (
    dataset_options,
    encoder_option,
    features_option,
    protocol_option,
    root_of,
    sampling_options,
)
from recognizer.datasets.find import Split


@click.command("embed")
@dataset_options
@click.option("--retry", is_flag=True, help="Try again the videos that could not be read before.")
@encoder_option
@protocol_option
@sampling_options
@features_option
@json_option
@click.pass_obj
def embed(
    database: Database,
    dataset: str,
    root: Path | None,
    data: Path | None,
    split: Split | None,
    limit: int | None,
    retry: bool,
    encoder: str,
    protocol: str,
    frames: int,
    clips: int,
    crops: int,
    features: Path,
    as_json: bool,
) -> None:
    """Decode and encode the videos of a dataset, once for all commands; run it again to go on."""
    from recognizer.datasets.find import find_videos
    from recognizer.features.caching_encoder import open_stored_encoder
    from recognizer.features.embed import embed_dataset
    from recognizer.features.table import embed_report
    from recognizer.scoring.protocols import protocol_of
    from recognizer.video.sampling import Sampling

    actions = database.existing_or_empty.resolve(dataset)
    videos = find_videos(actions, root_of(actions, root, data), split=split)
    sampling = Sampling(frames, clips, crops, protocol_of(protocol).preprocessing)
    what = f"{actions.name}, {encoder}"
    with open_stored_encoder(encoder, features) as opened, progress(what, "videos") as advance:
        report = embed_dataset(videos, opened, sampling=sampling, limit=limit, retry=retry, on_progress=advance)
    print_json(report) if as_json else console.print(embed_report(actions.name, report, features))
