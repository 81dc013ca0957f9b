"""`recognize embed`."""

from __future__ import annotations

import click

from db.commandline import progress
from db.errors import UsageError
from recognizer.commands.options import Session, VideoSelection, dataset_options, reading_options, sampling_options
from recognizer.datasets.records import Shard
from recognizer.evaluation.settings import Options


def _read_shard(_context: click.Context, _option: click.Parameter, value: str | None) -> Shard:
    if value is None:
        return Shard()
    number, slash, count = value.partition("/")
    if not slash or not (number.isdecimal() and count.isdecimal()) or not 1 <= int(number) <= int(count):
        raise UsageError(f"--shard {value}: write NUMBER/COUNT with a number from 1 to the count, such as 3/8")
    return Shard(int(number), int(count))


@click.command("embed")
@dataset_options
@click.option(
    "--shard",
    metavar="NUMBER/COUNT",
    callback=_read_shard,
    help="Only every COUNT-th video, from the NUMBER-th on: the parts of a job on several machines, such as 3/8.",
)
@sampling_options
@reading_options
def embed(session: Session, selection: VideoSelection, options: Options, shard: Shard) -> None:
    """Decode and encode the videos of a dataset, once for all commands; run it again to resume."""
    from recognizer.datasets.find import find_videos
    from recognizer.features.embed import embed_dataset
    from recognizer.features.table import embed_report

    dataset, root = selection.open(session.database.catalogue)
    video_list = find_videos(dataset, root, split=selection.split)
    title = f"{dataset.name}, {options.encoder}"
    with session.encoder(options.encoder, options.precision) as encoder, progress(title, "videos") as advance:
        report = embed_dataset(
            dataset,
            video_list,
            encoder,
            sampling=options.sampling,
            limit=selection.limit,
            shard=shard,
            on_progress=advance,
        )
    session.show(report, embed_report(dataset.name, report, session.features))
