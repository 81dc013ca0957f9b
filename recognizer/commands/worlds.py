"""`recognize worlds`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import console, json_option, notes, print_json, progress
from db.outputs import PICTURES, check_file
from recognizer.commands.options import FILE


@click.command("worlds")
@click.option("--world", "-w", "names", multiple=True, metavar="NAME", help="Only this world; may be repeated. [all]")
@click.option("--method", "methods", multiple=True, metavar="NAME", help="Only this method; may be repeated. [all]")
@click.option("--seeds", type=click.IntRange(min=2), default=20, help="Drawings of each world.")
@click.option("--picture", type=FILE, help="Draw the map: .png, .svg, .pdf.")
@json_option
def measure_worlds(
    names: tuple[str, ...], methods: tuple[str, ...], seeds: int, picture: Path | None, as_json: bool
) -> None:
    """Measure every scoring method on made videos and texts with known truth; no model or database is used."""
    from recognizer.scoring.methods import METHODS
    from recognizer.worlds.measure import measure
    from recognizer.worlds.named import WORLDS, world_of
    from recognizer.worlds.picture import draw_map
    from recognizer.worlds.table import map_report

    check_file(picture, PICTURES)
    worlds = [world_of(name) for name in dict.fromkeys(names)] or list(WORLDS.values())
    with progress("Worlds", "worlds") as advance:
        found = measure(worlds, list(dict.fromkeys(methods)) or list(METHODS), seeds=seeds, on_progress=advance)
    print_json(found.for_programs()) if as_json else console.print(map_report(found))
    if picture:
        draw_map(found, picture)
        notes.print(f"Written: {picture}")
