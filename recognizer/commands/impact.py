"""`recognize impact`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import progress
from recognizer.commands.options import Session, moved_option, reading_options


@click.command("impact")
@click.argument("name", metavar="RUN")
@moved_option
@click.option("--show", type=click.IntRange(min=0), default=10, help="Texts to show, better and worse without each.")
@reading_options
def impact(session: Session, name: str, root: Path | None, show: int) -> None:
    """Measure what a run gains or loses without each of its descriptors, and store it for the review."""
    from recognizer.evaluation.impact import measure_impact
    from recognizer.evaluation.tables import impact_report

    store = session.database.existing
    run = store.run(name)
    with session.encoder(run.settings["encoder"], run.settings.get("precision", "float32")) as encoder:
        result = measure_impact(store, run, encoder, root=root, bars=progress)
    session.show(result, impact_report(result, show=show))
