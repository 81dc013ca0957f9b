"""`recognize report`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.commandline import Database, console, json_option, notes, print_json, progress
from db.errors import UsageError
from recognizer.commands.options import features_option, moved_option

if TYPE_CHECKING:
    from recognizer.report.findings import Findings


@click.command("report")
@click.argument("number", type=int, metavar="RUN")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where the page goes; a page that is there is replaced. [run-<RUN>.html]",
)
@moved_option
@click.option(
    "--samples", type=click.IntRange(min=0), default=3, show_default=True, help="Videos to show of each of four sorts."
)
@features_option
@json_option
@click.pass_obj
def report_run(
    database: Database,
    number: int,
    output: Path | None,
    root: Path | None,
    samples: int,
    features: Path,
    as_json: bool,
) -> None:
    """Write a page about a run: its numbers, classes, confusions, and the videos and texts that made them."""
    from recognizer.report.findings import build_findings

    file = output or Path(f"run-{number}.html")
    if not as_json and not file.parent.is_dir():
        raise UsageError(f"There is no folder {file.parent} to write {file.name} to")
    store = database.existing
    run = store.run(number)
    with progress(f"{run.dataset}, {run.settings['encoder']}", "videos") as advance:
        found = build_findings(store, run, features=features, root=root, samples=samples, on_progress=advance)
    for line in found.gone:
        notes.print(line)
    print_json(replace(found, run=replace(run, predictions=()))) if as_json else _write(found, file)


def _write(found: Findings, file: Path) -> None:
    from recognizer.report.page import write_page

    shown = write_page(found, file)
    size = file.stat().st_size / 1e6
    classes, videos = len(found.classes), len(found.samples)
    console.print(f"{file}: {size:.1f} MB, {classes} classes, {shown} of {videos} sample videos shown")
