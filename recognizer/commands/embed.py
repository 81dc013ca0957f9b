"""`recognize embed`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

import click

from db.commandline import notes, progress
from db.errors import UsageError
from recognizer.commands.options import Session, VideoSelection, dataset_options, reading_options, sampling_options
from recognizer.datasets.records import Shard
from recognizer.evaluation.settings import Options

if TYPE_CHECKING:
    from recognizer.features.caching_encoder import CachingEncoder
    from recognizer.features.engines import Engine


def _read_shard(_context: click.Context, _option: click.Parameter, value: str | None) -> Shard:
    if value is None:
        return Shard()
    number, slash, count = value.partition("/")
    if not slash or not (number.isdecimal() and count.isdecimal()) or not 1 <= int(number) <= int(count):
        raise UsageError(f"--shard {value}: write NUMBER/COUNT with a number from 1 to the count, such as 3/8")
    return Shard(int(number), int(count))


def _of_launcher(shard: Shard, environment: MutableMapping[str, str]) -> Shard:
    """Return the shard of this process under torchrun or accelerate launch, and choose its GPU; else the one given.

    Raises:
        UsageError: --shard is given too.
    """
    rank, world = (environment.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world) and int(world) > 1):
        return shard
    if shard.count > 1:
        raise UsageError(f"--shard is given, and so are RANK {rank} and WORLD_SIZE {world} of a launcher: unset them")
    local = environment.get("LOCAL_RANK", "")
    visible = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if local.isdecimal():  # torch is not imported yet: it sees only this GPU
        own = visible[int(local)] if int(local) < len(visible) and visible != [""] else local
        environment["CUDA_VISIBLE_DEVICES"] = own
    notes.print(f"Process {rank} of {world}: shard {int(rank) + 1}/{world}")
    return Shard(int(rank) + 1, int(world))


@click.command("embed")
@dataset_options
@click.option(
    "--shard",
    metavar="NUMBER/COUNT",
    callback=_read_shard,
    help="Only every COUNT-th video, from the NUMBER-th on: the parts of a job on several machines, such as 3/8. "
    "[by torchrun and accelerate launch: RANK + 1 of WORLD_SIZE]",
)
@click.option(
    "--engine",
    type=click.Choice(("local", "ray")),
    default="local",
    help="Where videos are decoded and encoded: in this process and its workers, or on a Ray cluster.",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    envvar="RAY_ADDRESS",
    show_envvar=True,
    help="The cluster of --engine ray; auto is the one that this machine is in. [a new one on this machine]",
)
@sampling_options
@reading_options
def embed(
    session: Session, selection: VideoSelection, options: Options, shard: Shard, engine: str, ray_address: str | None
) -> None:
    """Decode and encode the videos of a dataset, once for all commands; run it again to resume."""
    from recognizer.datasets.find import find_videos
    from recognizer.features.embed import embed_dataset
    from recognizer.features.table import embed_report

    shard = _of_launcher(shard, os.environ)
    dataset, root = selection.open(session.database.catalogue)
    video_list = find_videos(dataset, root, split=selection.split).with_outside
    title = f"{dataset.name}, {options.encoder}"
    with (
        session.encoder(options.encoder, options.precision) as encoder,
        _engine(engine, options, encoder, ray_address) as embedding,
        progress(title, "videos") as advance,
    ):
        report = embed_dataset(
            dataset,
            video_list,
            encoder,
            sampling=options.sampling,
            limit=selection.limit,
            shard=shard,
            engine=embedding,
            on_progress=advance,
        )
    session.show(report, embed_report(dataset.name, report, session.features))


@contextmanager
def _engine(name: str, options: Options, encoder: CachingEncoder, address: str | None) -> Iterator[Engine]:
    """Yield the engine of that name; standard output belongs to the report, so that what Ray prints goes elsewhere."""
    from recognizer.features.engines import on_this_machine

    if name == "local":
        yield on_this_machine
        return
    from functools import partial

    from recognizer.features.elsewhere import NamedEncoder
    from recognizer.features.on_ray import on_ray

    if encoder.imported:
        raise UsageError(f"--engine ray embeds videos, and those of {encoder.id} were embedded elsewhere already")
    with redirect_stdout(sys.stderr):
        named = NamedEncoder.of(options.encoder, options.precision, encoder.uncached)
        yield partial(on_ray, encoder=named, address=address)
