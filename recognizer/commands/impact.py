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
    help="Texts to show of each sort.",
)
@features_option
@json_option
@click.pass_obj
def impact(database: Database, number: int, root: Path | None, show: int, features: Path, as_json: bool) -> None:
    """Measure what a run gains or loses without each of its descriptors, and store it for the review."""
    from recognizer.evaluation.impact import measure_impact
    from recognizer.evaluation.tables import impact_report
    from recognizer.features.caching_encoder import open_stored_encoder

    store = database.existing
    run = store.run(number)
    with open_stored_encoder(run.settings["encoder"], features) as encoder:
        result = measure_impact(store, run, encoder, root=root, bars=progress)
    print_json(result) if as_json else console.print(impact_report(result, show=show))
