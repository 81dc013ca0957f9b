"""`recognize worlds`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.commandline import notes, progress
from db.errors import UsageError
from db.outputs import PICTURES, check_file
from recognizer.commands.options import FILE, Session, moved_option, reading_options

if TYPE_CHECKING:
    from recognizer.worlds.place import Placement


@click.command("worlds")
@click.option("--world", "-w", "names", multiple=True, metavar="NAME", help="Only this world; may be repeated. [all]")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Only this method; may be repeated. [all]")
@click.option("--seeds", type=click.IntRange(min=2), default=20, help="Drawings of each world.")
@click.option("--picture", type=FILE, help="Draw the map: .png, .svg, .pdf.")
@click.option("--run", "name", metavar="RUN", help="Say which worlds a stored run is most like; show these.")
@moved_option
@reading_options
def measure_worlds(
    session: Session,
    names: tuple[str, ...],
    methods: tuple[str, ...],
    seeds: int,
    picture: Path | None,
    name: str | None,
    root: Path | None,
) -> None:
    """Measure every scoring method on made videos and texts with known truth; no model or database is used."""
    from rich.console import Group

    from recognizer.worlds.measure import COLUMNS, measure
    from recognizer.worlds.named import WORLDS, world_of
    from recognizer.worlds.picture import draw_map
    from recognizer.worlds.table import map_report, placement_report
    from recognizer.worlds.wording import SHOWN

    check_file(picture, PICTURES)
    if root and name is None:
        raise UsageError("--root is for the videos of a run: give its number or name with --run")
    worlds = [world_of(name) for name in dict.fromkeys(names)]
    placement = None if name is None else _placement(session, name, root)
    nearest = placement.nearest[:SHOWN] if placement else WORLDS
    with progress("Worlds", "worlds") as advance:
        world_map = measure(
            worlds or [WORLDS[name] for name in nearest],
            list(dict.fromkeys(methods)) or list(COLUMNS),
            seeds=seeds,
            on_progress=advance,
        )
    above = [placement_report(placement, name=f"run {name}")] if placement else []
    session.show({"placement": placement, "map": world_map.for_programs()}, Group(*above, map_report(world_map)))
    if picture:
        draw_map(world_map, picture)
        notes.print(f"Written: {picture}")


def _placement(session: Session, name: str, root: Path | None) -> Placement:
    from recognizer.worlds.place import place_run

    store = session.database.existing
    run = store.run(name)
    with session.encoder(run.settings["encoder"], run.settings.get("precision", "float32")) as encoder:
        return place_run(store, run, encoder, root=root, bars=progress)
