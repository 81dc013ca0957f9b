"""`recognize check`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click
from platformdirs import user_cache_path

from db.commandline import Database, console, json_option, print_json, progress
from db.errors import UsageError, UserError
from recognizer.commands.options import COUNT, DECODING, EXISTING, FOLDER, LISTED, SHARED, root_of
from recognizer.datasets.records import Split


@click.command("check")
@click.argument("paths", nargs=-1, type=EXISTING, metavar="[PATH]...")
@click.option(
    "--dataset", "-d", "name", metavar="NAME|PATH", help=f"Compare with its lists and classes: {LISTED}, or your own."
)
@SHARED["root"]
@SHARED["data"]
@click.option(
    "--split", type=click.Choice(get_args(Split)), help="Official test split. [all that have a list; else every video]"
)
@SHARED["frames"]
@SHARED["allow_truncated"]
@click.option("--quick", is_flag=True, help="Do not decode frames: three times as fast, but misses broken frames.")
@click.option("--jobs", "-j", type=COUNT, default=4, help="Reader threads.")
@DECODING["workers"]
@DECODING["decode_timeout"]
@click.option(
    "--cache",
    envvar="RECOGNIZE_CHECKS",
    show_envvar=True,
    type=FOLDER,
    default=lambda: user_cache_path("descgen-recognize") / "checks",
    show_default="in the user's cache",
    metavar="FOLDER",
    help="Where results are stored; the next check reads only changed files.",
)
@click.option("--retry", "--again", is_flag=True, help="Discard stored results and read every file.")
@click.option("--all", "everything", is_flag=True, help="List every file, not just the first 20 per problem.")
@json_option
@click.pass_obj
def check_videos(
    database: Database,
    paths: tuple[Path, ...],
    name: str | None,
    root: Path | None,
    data: Path | None,
    split: Split | None,
    frames: int,
    allow_truncated: bool,
    quick: bool,
    jobs: int,
    workers: int | None,
    decode_timeout: float | None,
    cache: Path,
    retry: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Compare a folder with the lists of its dataset and read every video; or only read files and folders.

    Exit code 1 if a problem would affect an evaluation: videos missing, unreadable, duplicate or in the folder of
    another class.
    """
    from recognizer.datasets.check import check, list_given
    from recognizer.datasets.check_table import check_table
    from recognizer.datasets.find import find_videos
    from recognizer.datasets.inspect_video import InspectionCache
    from recognizer.video.pool import Decoding

    decoding = Decoding(workers, decode_timeout)
    if (name is None) == (not paths) or (paths and (root or split)):
        raise UsageError("Give either --dataset NAME (and its --root), or files and folders to read")
    dataset = database.catalogue.resolve(name) if name else None
    root = root_of(dataset, root, data) if dataset else None
    listed = find_videos(dataset, root, split=split or "listed").with_outside if dataset and root else None
    video_list = listed or list_given(paths)
    title = dataset.name if dataset else ", ".join(map(str, paths))
    checked = [root] if root else paths
    with InspectionCache.of(checked, cache, forget=retry) as inspections, progress(title, "videos") as advance:
        report = check(
            video_list, inspections, dataset=dataset, frames=frames, quick=quick, allow_truncated=allow_truncated,
            jobs=jobs, decoding=decoding, on_progress=advance,
        )  # fmt: skip
    if as_json:
        print_json({**asdict(report), "harmful": report.harmful})
    else:
        console.print(check_table(report, everything=everything), soft_wrap=True)
    if report.harmful:
        raise UserError(f"{report.harmful} problems in {title} would affect an evaluation")
