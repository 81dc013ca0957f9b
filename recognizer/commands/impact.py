"""`recognize impact`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json, progress
from recognizer.commands.options import features_option, moved_option


@click.command("impact")
@click.argument("number", type=int, metavar="RUN")
@moved_option
@click.option(
    "--show",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="So many texts of each sort.",
)
@features_option
@json_option
@click.pass_obj
def measure_impact(
    database: Database, number: int, root: Path | None, show: int, features: Path, as_json: bool
) -> None:
    """Measure what a run is without each of its descriptors, and keep it for the review."""
    from recognizer.evaluation.impact import impact
    from recognizer.evaluation.replay import replay
    from recognizer.evaluation.tables import impact_report
    from recognizer.features.caching_encoder import open_stored_encoder

    store = database.existing
    run = store.run(number)
    with open_stored_encoder(run.settings["encoder"], features) as opened:
        with progress(f"run {number}", "videos") as advance:
            repeated = replay(store, run, opened, root=root, on_progress=advance)
        with progress(f"run {number} without each text", "slots") as advance:
            found = impact(repeated, on_progress=advance)
    store.readings().save_impacts(found.records())
    print_json(found) if as_json else console.print(impact_report(found, show=show))
