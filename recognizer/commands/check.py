"""`recognize check`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click
from platformdirs import user_cache_path

from db.commandline import Database, console, json_option, print_json, progress
from db.errors import UsageError, UserError
from recognizer.commands.options import LISTED, data_option, frames_option, root_of, root_option
from recognizer.datasets.records import Split


@click.command("check")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path), metavar="[PATH]...")
@click.option(
    "--dataset", "-d", metavar="NAME|PATH", help=f"Compare with its lists and classes: {LISTED}, or your own."
)
@root_option
@data_option
@click.option(
    "--split", type=click.Choice(get_args(Split)), help="Official test split. [all that have a list, else every video]"
)
@frames_option
@click.option("--quick", is_flag=True, help="Decode nothing: a third of the time, but frames may be broken.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), default=4, show_default=True, help="Threads that read.")
@click.option(
    "--cache",
    envvar="RECOGNIZE_CHECKS",
    show_envvar=True,
    type=click.Path(file_okay=False, path_type=Path),
    default=lambda: user_cache_path("descgen-recognize") / "checks",
    show_default="in the user's cache",
    metavar="FOLDER",
    help="Where results are kept, so that the next check reads only what changed.",
)
@click.option("--again", is_flag=True, help="Forget what was kept, and read every file.")
@click.option("--all", "everything", is_flag=True, help="Name every file, not the first 20 of each fault.")
@json_option
@click.pass_obj
def check_videos(
    database: Database,
    paths: tuple[Path, ...],
    dataset: str | None,
    root: Path | None,
    data: Path | None,
    split: Split | None,
    frames: int,
    quick: bool,
    jobs: int,
    cache: Path,
    again: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Compare a folder with the lists of its dataset and look at every video; or just look at files and folders.

    Exit code 1 when something is wrong that an evaluation would suffer from: videos missing or unreadable, in the
    folder of another class, or twice.
    """
    from recognizer.datasets.check import Options, check, videos_at
    from recognizer.datasets.check_table import check_report
    from recognizer.datasets.find import find_videos
    from recognizer.datasets.inspect_video import Memory

    if (dataset is None) == (not paths) or (paths and (root or split)):
        raise UsageError("Give either --dataset NAME (and its --root), or files and folders to look at")
    actions = database.existing_or_empty.resolve(dataset) if dataset else None
    root = root_of(actions, root, data) if actions else None
    found = find_videos(actions, root, split=split or "listed") if actions and root else videos_at(paths)
    what = actions.name if actions else ", ".join(map(str, paths))
    options = Options(frames, quick, jobs)
    with Memory.of([root] if root else paths, cache, forget=again) as memory, progress(what, "videos") as advance:
        report = check(found, memory, dataset=actions, options=options, on_progress=advance)
    if as_json:
        print_json({**asdict(report), "harmful": report.harmful})
    else:
        console.print(check_report(report, everything=everything), soft_wrap=True)
    if report.harmful:
        raise UserError(f"An evaluation would suffer from {report.harmful} faults of {what}")
