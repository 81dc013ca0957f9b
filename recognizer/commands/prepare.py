"""`recognize prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.commandline import Database, console, json_option, notes, print_json, progress
from db.errors import UsageError, UserError
from recognizer.commands.options import COUNT, DECODING, LISTED, PATH

if TYPE_CHECKING:
    from recognizer.datasets.prepare.plan import Plan
    from recognizer.datasets.prepare.steps import Step


def _frame_count(value: str) -> int:
    """Return a number of frames; 0 for `all`."""
    if value != "all" and not (value.isdecimal() and int(value)):
        raise click.BadParameter(f"{value!r} is neither a number of frames nor `all`")
    return 0 if value == "all" else int(value)


@click.command("prepare")
@click.option(
    "--dataset", "-d", "name", required=True, metavar="NAME|PATH", help=f"{LISTED}; for --frames also your own."
)
@click.option(
    "--root",
    type=PATH,
    metavar="FOLDER",
    help="Folder for the dataset; what lies there is used as it is. [data/<dataset>]",
)
@click.option("--videos", type=PATH, metavar="FOLDER", help="For --frames: where the videos lie; nothing is fetched.")
@click.option("--run", is_flag=True, help="Do the steps instead of printing them; run it again to resume.")
@click.option("--mirror", metavar="URL", help="Base URL to download all files from, by their names.")
@click.option("--frames", type=_frame_count, metavar="N|all", help="Also write frames of the test videos as JPEG.")
@click.option("--into", type=PATH, metavar="FOLDER", help="Folder for the frames. [<root>-frames]")
@click.option("--jobs", "-j", type=COUNT, default=4, help="Threads for extracting frames.")
@DECODING["workers"]
@DECODING["decode_timeout"]
@json_option
@click.pass_obj
def prepare_dataset(
    database: Database,
    name: str,
    root: Path | None,
    videos: Path | None,
    run: bool,
    mirror: str | None,
    frames: int | None,
    into: Path | None,
    jobs: int,
    workers: int | None,
    decode_timeout: float | None,
    as_json: bool,
) -> None:
    """Print the official steps to get a dataset, or do them: download, check, unpack, extract frames."""
    from recognizer.datasets.prepare.plan import plan, root_for
    from recognizer.datasets.prepare.steps import ExtractFrames
    from recognizer.video.pool import Decoding

    decoding = Decoding(workers, decode_timeout)
    if videos and (root or mirror or frames is None):
        raise UsageError("--videos says where the videos lie whose frames are written: it goes with --frames alone")
    dataset = database.catalogue.resolve(name)
    root = videos or root or root_for(dataset)
    into = into or root.resolve().with_name(f"{root.resolve().name}-frames")
    last = None
    if frames is not None:
        last = ExtractFrames(dataset, root, count=frames or None, into=into, jobs=jobs, typed=name, decoding=decoding)
    planned = plan(dataset, root, typed=name, mirror=mirror, frames=last, fetch=videos is None)
    _run_all(planned, as_json) if run else _print(planned, as_json)


def _print(planned: Plan, as_json: bool) -> None:
    steps = [{"about": step.about, "commands": step.commands(), "done": step.done} for step in planned.steps]
    print_json(steps) if as_json else click.echo(planned.script())


def _run_all(planned: Plan, as_json: bool) -> None:
    if missing := planned.missing_tool:  # before gigabytes are downloaded
        raise UserError(missing)
    if planned.here:
        notes.print(planned.about_files, soft_wrap=True)
    results = [{"about": step.about, "said": _run(step)} for step in planned.steps]
    if as_json:
        print_json(results)
    else:
        console.print(f"{planned.typed} is in {planned.root}. Now: {planned.next_command}", soft_wrap=True)


def _run(step: Step) -> str:
    if step.done:
        notes.print(f"{step.about}: done before")
        return "done before"
    with progress(step.about, step.unit) as advance:
        result = step.run(advance) or "done"
    notes.print(f"{step.about}: {result}")
    return result
