"""`recognize prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from db.commandline import Database, json_option, notes, print_json, progress
from recognizer.commands.options import COUNT, LISTED, PATH

if TYPE_CHECKING:
    from recognizer.prepare.steps import Step


class _Frames(click.ParamType[int]):
    """A number, or `all`: 0."""

    name = "frames"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if value == "all":
            return 0
        number = int(value) if str(value).isdecimal() else 0
        return number or self.fail(f"{value!r} is neither a number of frames nor `all`", param, ctx)


@click.command("prepare")
@click.option("--dataset", "-d", required=True, metavar="NAME|PATH", help=f"{LISTED}; with --frames also your own.")
@click.option("--root", type=PATH, metavar="FOLDER", help="Folder for the dataset. [data/<dataset>]")
@click.option("--run", is_flag=True, help="Do the steps instead of printing them; run it again to resume.")
@click.option("--mirror", metavar="URL", help="Base URL to download all files from, by their names.")
@click.option("--frames", type=_Frames(), metavar="N|all", help="Also write frames of the test videos as JPEG files.")
@click.option("--into", type=PATH, metavar="FOLDER", help="Folder for the frames. [<root>-frames]")
@click.option("--jobs", "-j", type=COUNT, default=4, help="Threads for extracting frames.")
@json_option
@click.pass_obj
def prepare_dataset(
    database: Database,
    dataset: str,
    root: Path | None,
    run: bool,
    mirror: str | None,
    frames: int | None,
    into: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Print the official steps to get a dataset, or do them: download, check, unpack, extract frames."""
    from recognizer.prepare.steps import FramesWanted, refuse_without_tools, script, steps

    actions = database.existing_or_empty.resolve(dataset)
    root = root or Path("data") / actions.stored_as
    into = into or root.resolve().with_name(f"{root.resolve().name}-frames")
    wanted = None if frames is None else FramesWanted(frames or None, into, jobs)
    planned = steps(actions, root, mirror=mirror, frames=wanted)
    if not run:
        shown = [{"about": step.about, "commands": step.commands, "done": step.done} for step in planned]
        print_json(shown) if as_json else click.echo(script(actions, root, planned))
        return
    refuse_without_tools(planned)
    said = [{"about": step.about, "said": _do(step)} for step in planned]
    if as_json:
        print_json(said)
    else:
        click.echo(f"{actions.name} is in {root}. Now: recognize check --dataset {actions.name} --root {root}")


def _do(step: Step) -> str:
    if step.done:
        notes.print(f"{step.about}: done before")
        return "done before"
    with progress(step.about, step.unit) as advance:
        said = step.run(advance) or "done"
    notes.print(f"{step.about}: {said}")
    return said
