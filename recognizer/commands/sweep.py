"""`recognize sweep`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from db.commandline import Database, console, json_option, notes, print_json, progress
from db.errors import UsageError
from recognizer.commands.options import (
    CONDITION_HELP,
    METHOD_HELP,
    POOLING_HELP,
    STATUSES,
    TEMPLATES_HELP,
    dataset_options,
    encoder_option,
    features_option,
    root_of,
    sampling_options,
)
from recognizer.datasets.find import Split
from recognizer.scoring.pooling import POOLINGS
from recognizer.scoring.protocols import PROTOCOLS

if TYPE_CHECKING:
    from recognizer.evaluation.sweep import Grid

ALL_KINDS, LABEL = "every", "label"


@click.command("sweep")
@dataset_options
@click.option("--grid", metavar="NAME", help="A grid with a name, whose lists the options below replace. Known: tear.")
@click.option(
    "--kinds",
    "-k",
    multiple=True,
    metavar="KIND[+KIND...]",
    help=f"A set of kinds; {ALL_KINDS}: all there are; {LABEL}: none. [{ALL_KINDS}]",
)
@click.option("--method", "methods", multiple=True, metavar="NAME", help=f"{METHOD_HELP} [mean]")
@click.option("--templates", multiple=True, metavar="NAME|FILE", help=f"{TEMPLATES_HELP} [protocol]")
@click.option(
    "--condition", "conditions", multiple=True, type=click.Choice(["yes", "no"]), help=f"{CONDITION_HELP} [no]"
)
@click.option("--llm", "-l", "llms", multiple=True, metavar="NAME", help="Descriptors of one LLM, by part of its name.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(list(STATUSES)), help="As for eval. [any]")
@click.option("--pooling", "poolings", multiple=True, type=click.Choice(list(POOLINGS)), help=f"{POOLING_HELP} [avg]")
@click.option(
    "--protocol", "protocols", multiple=True, type=click.Choice(list(PROTOCOLS)), help="As for eval. [default]"
)
@click.option("--temperature", type=click.FloatRange(min=0, min_open=True), default=1.0, help="As for eval. [1.0]")
@click.option("--store", "stored", is_flag=True, help="Store each evaluation as a run, for compare and the like.")
@click.option(
    "--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the rows to a CSV file."
)
@click.option("--plot", "picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw them: .png, .svg, .pdf.")
@encoder_option
@sampling_options
@features_option
@json_option
@click.pass_obj
def sweep_choices(
    database: Database,
    /,
    dataset: str,
    root: Path | None,
    data: Path | None,
    split: Split | None,
    limit: int | None,
    grid: str | None,
    temperature: float,
    stored: bool,
    csv_file: Path | None,
    picture: Path | None,
    encoder: str,
    frames: int,
    clips: int,
    crops: int,
    features: Path,
    as_json: bool,
    **lists: Any,
) -> None:
    """Evaluate every product of lists of choices, from one pass over the videos. Repeat an option to make a list."""
    from recognizer.datasets.find import find_videos
    from recognizer.evaluation.settings import Settings
    from recognizer.evaluation.sweep import choose_for, embed_for, score_grid
    from recognizer.evaluation.sweep_table import check_outputs, draw, row_of, sweep_report, write_csv
    from recognizer.features.caching_encoder import open_stored_encoder

    check_outputs(csv_file, picture)
    base = Settings(encoder, frames=frames, clips=clips, crops=crops, temperature=temperature, limit=limit, split=split)
    settings = _grid(grid, lists).settings(base)
    for each in settings:
        each.check()
    store = database.existing
    actions = store.resolve(dataset)
    chosen = choose_for(store, actions, settings)
    root = root_of(actions, root, data)
    videos = find_videos(actions, root, split=split)
    settings = [replace(each, root=str(root.resolve())) for each in settings]
    with open_stored_encoder(encoder, features) as opened:
        with progress(f"{actions.name}, {encoder}", "videos") as advance:
            embedded = embed_for(actions, videos, opened, settings=settings, on_progress=advance)
        with progress(f"{actions.name}, sweep", "evaluations") as advance:
            runs = score_grid(embedded, chosen, settings=settings, with_predictions=stored, on_progress=advance)
    if stored:
        runs = [replace(run, id=store.save_run(run)) for run in runs]
    print_json([row_of(run) for run in runs]) if as_json else console.print(sweep_report(runs))
    for write, path in ((write_csv, csv_file), (draw, picture)):
        if path:
            write(runs, path)
            notes.print(f"Written: {path}")


def _grid(name: str | None, lists: dict[str, Any]) -> Grid:
    """Return the named grid, or one evaluation with what is the default everywhere, with the lists that were given."""
    from recognizer.evaluation.sweep import GRIDS, Grid

    if name is not None and name not in GRIDS:
        raise UsageError(f"Unknown grid {name!r}. Known: {', '.join(GRIDS)}")
    read = {
        "kinds": _kinds,
        "conditions": lambda given: given == "yes",
        "statuses": STATUSES.__getitem__,
    }
    given = {field: tuple(map(read.get(field, str), values)) for field, values in lists.items() if values}
    return replace(GRIDS[name] if name else Grid(), **given)


def _kinds(given: str) -> tuple[str, ...] | None:
    if given in (ALL_KINDS, LABEL):
        return None if given == ALL_KINDS else ()
    return tuple(sorted({kind.strip() for kind in given.split("+") if kind.strip()}))
