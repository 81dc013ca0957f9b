"""`recognize embed`."""

from __future__ import annotations

import click

from db.commandline import progress
from recognizer.commands.options import Session, VideoSelection, dataset_options, reading_options, sampling_options
from recognizer.evaluation.settings import Options


@click.command("embed")
@dataset_options
@sampling_options
@reading_options
def embed(session: Session, selection: VideoSelection, options: Options) -> None:
    """Decode and encode the videos of a dataset, once for all commands; run it again to resume."""
    from recognizer.datasets.find import find_videos
    from recognizer.features.embed import embed_dataset
    from recognizer.features.table import embed_report

    dataset, root = selection.open(session.database.existing_or_empty)
    video_list = find_videos(dataset, root, split=selection.split)
    title = f"{dataset.name}, {options.encoder}"
    with session.encoder(options.encoder, options.precision) as encoder, progress(title, "videos") as advance:
        report = embed_dataset(
            dataset,
            video_list,
            encoder,
            sampling=options.sampling,
            limit=selection.limit,
            on_progress=advance,
        )
    session.show(report, embed_report(dataset.name, report, session.features))
