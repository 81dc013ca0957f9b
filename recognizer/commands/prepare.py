"""`recognize prepare`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.commandline import Database, json_option, notes, print_json, progress
from db.errors import UserError
from recognizer.commands.options import COUNT, LISTED, PATH

if TYPE_CHECKING:
    from recognizer.prepare.steps import Step


def _frame_count(value: str) -> int:
    """Return a number of frames; 0 for `all`."""
    if value != "all" and not (value.isdecimal() and int(value)):
        raise click.BadParameter(f"{value!r} is neither a number of frames nor `all`")
    return 0 if value == "all" else int(value)


@click.command("prepare")
@click.option(
    "--dataset", "-d", "name", required=True, metavar="NAME|PATH", help=f"{LISTED}; for --frames also your own."
)
@click.option("--root", type=PATH, metavar="FOLDER", help="Folder for the dataset. [data/<dataset>]")
@click.option("--run", is_flag=True, help="Do the steps instead of printing them; run it again to resume.")
@click.option("--mirror", metavar="URL", help="Base URL to download all files from, by their names.")
@click.option("--frames", type=_frame_count, metavar="N|all", help="Also write frames of the test videos as JPEG.")
@click.option("--into", type=PATH, metavar="FOLDER", help="Folder for the frames. [<root>-frames]")
@click.option("--jobs", "-j", type=COUNT, default=4, help="Threads for extracting frames.")
@json_option
@click.pass_obj
def prepare_dataset(
    database: Database,
    name: str,
    root: Path | None,
    run: bool,
    mirror: str | None,
    frames: int | None,
    into: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Print the official steps to get a dataset, or do them: download, check, unpack, extract frames."""
    from recognizer.prepare.steps import ExtractFrames, missing_tool_of, script, steps

    dataset = database.existing_or_empty.resolve(name)
    root = root or Path("data") / dataset.stored_as
    into = into or root.resolve().with_name(f"{root.resolve().name}-frames")
    last = None if frames is None else ExtractFrames(dataset, root, count=frames or None, into=into, jobs=jobs)
    planned = steps(dataset, root, mirror=mirror, frames=last)
    if not run:
        shown = [{"about": step.about, "commands": step.commands(), "done": step.done} for step in planned]
        print_json(shown) if as_json else click.echo(script(dataset, root, planned))
        return
    if missing := missing_tool_of(planned):  # before gigabytes are downloaded
        raise UserError(missing)
    results = [{"about": step.about, "said": _run(step)} for step in planned]
    if as_json:
        print_json(results)
    else:
        command = f"recognize check --dataset {dataset.argument} --root {shlex.quote(str(root))}"
        click.echo(f"{dataset.name} is in {root}. Now: {command}")


def _run(step: Step) -> str:
    if step.done:
        notes.print(f"{step.about}: done before")
        return "done before"
    with progress(step.about, step.unit) as advance:
        result = step.run(advance) or "done"
    notes.print(f"{step.about}: {result}")
    return result
