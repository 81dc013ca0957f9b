"""`recognize sweep`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from db.commandline import notes, progress
from db.descriptor_filter import LLM_HELP
from db.outputs import CSV, PICTURES, check_file
from recognizer.commands.options import (
    CONDITION_HELP,
    FILE,
    METHOD_HELP,
    NAMES_HELP,
    POOLING_HELP,
    TEMPLATES_HELP,
    UNIT_FRAMES_HELP,
    Session,
    VideoSelection,
    dataset_options,
    reading_options,
    sweep_options,
)
from recognizer.evaluation.settings import STATUSES, Options
from recognizer.scoring.pooling import POOLINGS
from recognizer.scoring.protocols import NAMES, PROTOCOLS

if TYPE_CHECKING:
    from recognizer.evaluation.sweep import Grid

ALL_KINDS, LABEL = "every", "label"


@click.command("sweep")
@dataset_options
@click.option("--grid", metavar="NAME", help="A named grid; the options below replace its lists. Known: tear.")
@click.option(
    "--kinds",
    "-k",
    multiple=True,
    metavar="KIND[+KIND...]",
    help=f"A set of kinds; {ALL_KINDS}: all kinds; {LABEL}: no descriptors. [{ALL_KINDS}]",
)
@click.option("--method", "methods", multiple=True, metavar="NAME", help=f"{METHOD_HELP} [mean]")
@click.option("--templates", multiple=True, metavar="NAME|FILE", help=f"{TEMPLATES_HELP} [protocol]")
@click.option("--names", multiple=True, type=click.Choice(list(NAMES)), help=f"{NAMES_HELP} [off]")
@click.option(
    "--condition", "conditions", multiple=True, type=click.Choice(["yes", "no"]), help=f"{CONDITION_HELP} [no]"
)
@click.option("--llm", "-l", "llms", multiple=True, metavar="NAME[+NAME...]", help=f"{LLM_HELP}; A+B: both together.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(list(STATUSES)), help="As for eval. [any]")
@click.option("--pooling", "poolings", multiple=True, type=click.Choice(list(POOLINGS)), help=f"{POOLING_HELP} [avg]")
@click.option("--unit-frames", multiple=True, type=click.Choice(["yes", "no"]), help=f"{UNIT_FRAMES_HELP} [no]")
@click.option(
    "--protocol", "protocols", multiple=True, type=click.Choice(list(PROTOCOLS)), help="As for eval. [default]"
)
@click.option("--store", "store_runs", is_flag=True, help="Store each evaluation as a run, for compare and report.")
@click.option("--csv", "csv_file", type=FILE, help="Write the rows to a CSV file.")
@click.option("--plot", "picture", type=FILE, help="Plot top-1 of all evaluations: .png, .svg, .pdf.")
@sweep_options
@reading_options
def sweep_choices(
    session: Session,
    /,
    selection: VideoSelection,
    grid: str | None,
    store_runs: bool,
    csv_file: Path | None,
    picture: Path | None,
    options: Options,
    **lists: Any,
) -> None:
    """Evaluate every combination of lists of choices; videos are embedded once. Repeat an option to make a list."""
    from recognizer.evaluation.sweep import sweep
    from recognizer.evaluation.sweep_table import draw, row_of, sweep_report, write_csv

    check_file(csv_file, CSV)
    check_file(picture, PICTURES)
    settings = _grid(grid, lists).settings(selection.restrict(options.settings))
    store = session.database.existing
    dataset, root = selection.open(store)
    with session.encoder(options.encoder, options.precision) as encoder:
        runs = sweep(store, dataset, root, encoder, settings=settings, store_runs=store_runs, bars=progress)
    session.show([row_of(run) for run in runs], sweep_report(runs))
    for write, path in ((write_csv, csv_file), (draw, picture)):
        if path:
            write(runs, path)
            notes.print(f"Written: {path}")


def _grid(name: str | None, lists: dict[str, Any]) -> Grid:
    """Return the named grid, or a grid of defaults, with the lists that the options give."""
    from recognizer.evaluation.sweep import Grid, named_grid

    parsers: dict[str, Callable[[str], Any]] = {
        "kinds": _kinds,
        "conditions": lambda value: value == "yes",
        "unit_frames": lambda value: value == "yes",
        "llms": lambda value: tuple(name.strip() for name in value.split("+") if name.strip()),
        "statuses": STATUSES.__getitem__,  # type: ignore[dict-item]
    }
    parsed = {field: tuple(map(parsers.get(field, str), values)) for field, values in lists.items() if values}
    return replace(named_grid(name) if name is not None else Grid(), **parsed)


def _kinds(value: str) -> tuple[str, ...] | None:
    if value in (ALL_KINDS, LABEL):
        return None if value == ALL_KINDS else ()
    return tuple(sorted({kind.strip() for kind in value.split("+") if kind.strip()}))
