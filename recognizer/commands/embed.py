"""`recognize embed`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING

import click

from db.commandline import notes, progress
from db.errors import UsageError
from recognizer.commands.devices import VISIBLE, chosen_device, named_devices, visible_gpu
from recognizer.commands.options import (
    COUNT,
    Session,
    VideoSelection,
    dataset_options,
    reading_options,
    sampling_options,
)
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


def _read_devices(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",")) if value is not None else ()
    if not all(name == "cpu" or (name.isascii() and name.isdecimal()) for name in names):
        raise UsageError(f"--devices {value}: write numbers of GPUs, or cpu, with commas between, such as 0,1")
    return names


def _of_launcher(shard: Shard, devices: Sequence[str], environment: MutableMapping[str, str]) -> Shard:
    """Return the shard of this process under torchrun or accelerate launch, and choose its GPU; else the one given.

    Raises:
        UsageError: --shard, --devices or --device is given too, or there are fewer GPUs than processes.
    """
    rank, world = (environment.get(name, "") for name in ("RANK", "WORLD_SIZE"))
    if not (rank.isdecimal() and world.isdecimal() and int(rank) < int(world) and int(world) > 1):
        return shard
    if shard.count > 1 or devices or chosen_device():
        given = "--shard" if shard.count > 1 else "--devices" if devices else "--device"
        raise UsageError(f"{given} is given, and so are RANK {rank} and WORLD_SIZE {world} of a launcher: unset them")
    local = environment.get("LOCAL_RANK", "")
    if local.isdecimal() and environment.get(VISIBLE) != "":  # "" hides every GPU, and that stays so
        visible = visible_gpu(int(local), environment)
        if visible is None:
            raise UsageError(
                f"LOCAL_RANK {local} of a launcher, and {VISIBLE}={environment[VISIBLE]} names fewer GPUs: start at "
                "most one process for each of them"
            )
        environment[VISIBLE] = visible  # torch is not imported yet: it sees only this GPU
    notes.print(f"Process {rank} of {world}: shard {int(rank) + 1}/{world}")
    return Shard(int(rank) + 1, int(world))


@click.command("embed")
@dataset_options
@click.option(
    "--shard",
    metavar="NUMBER/COUNT",
    callback=_read_shard,
    help="Only every COUNT-th batch of videos (128 frames), from the NUMBER-th on: the parts of a job on several "
    "machines, such as 3/8. "
    "[by torchrun and accelerate launch: RANK + 1 of WORLD_SIZE]",
)
@click.option(
    "--devices",
    metavar="LIST",
    callback=_read_devices,
    help="GPUs of this machine, such as 0,1, or cpu: a process for each embeds its part of the videos. "
    "[this process, on the first GPU if there is one]",
)
@click.option(
    "--batch-size",
    "batch_frames",
    type=COUNT,
    metavar="FRAMES",
    help="Frames that are encoded together, at least those of one video: fewer need less memory. [128]",
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
    session: Session,
    selection: VideoSelection,
    options: Options,
    shard: Shard,
    devices: tuple[str, ...],
    batch_frames: int | None,
    engine: str,
    ray_address: str | None,
) -> None:
    """Decode and encode the videos of a dataset, once for all commands; run it again to resume."""
    from recognizer.datasets.find import find_videos
    from recognizer.features.embed import embed_dataset
    from recognizer.features.engines import BATCH_FRAMES
    from recognizer.features.table import embed_report

    shard = _of_launcher(shard, devices, os.environ)
    _refuse_two_places(devices, engine)
    dataset, root = selection.open(session.database.catalogue)
    video_list = find_videos(dataset, root, split=selection.split).with_outside
    title = f"{dataset.name}, {options.encoder}"
    with (
        session.encoder(options.encoder, options.precision) as encoder,
        _engine(devices or engine, options, encoder, ray_address) as embedding,
        progress(title, "videos") as advance,
    ):
        report = embed_dataset(
            dataset,
            video_list,
            encoder,
            sampling=options.sampling,
            limit=selection.limit,
            shard=shard,
            batch_frames=batch_frames or BATCH_FRAMES,
            engine=embedding,
            on_progress=advance,
        )
    session.show(report, embed_report(dataset.name, report, session.features))


def _refuse_two_places(devices: Sequence[str], engine: str) -> None:
    if devices and engine != "local":
        raise UsageError(f"--devices are of this machine: give either them or --engine {engine}")
    if chosen_device() and (devices or engine != "local"):
        other = "--devices" if devices else f"--engine {engine}"
        raise UsageError(f"--device is for one process on this machine: give either it or {other}")


@contextmanager
def _engine(
    place: str | Sequence[str], options: Options, encoder: CachingEncoder, address: str | None
) -> Iterator[Engine]:
    """Yield the engine of that name, or that for devices."""
    from recognizer.features.engines import on_this_machine

    if place == "local":
        yield on_this_machine
        return
    from recognizer.features.elsewhere import NamedEncoder

    if encoder.imported:
        option = "--engine ray" if place == "ray" else "--devices"
        raise UsageError(f"{option} embeds videos, and those of {encoder.id} were embedded elsewhere already")
    named = NamedEncoder.of(options.encoder, options.precision, encoder.uncached)
    if not isinstance(place, str):
        from recognizer.features.on_devices import on_devices

        yield partial(on_devices, encoder=named, devices=named_devices(place, os.environ))
        return
    from recognizer.features.on_ray import on_ray

    with redirect_stdout(sys.stderr):  # standard output belongs to the report: what Ray prints goes elsewhere
        yield partial(on_ray, encoder=named, address=address)
