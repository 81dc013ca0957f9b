"""`recognize controls`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import progress
from recognizer.commands.options import Session, moved_option, reading_options


@click.command("controls")
@click.argument("name", metavar="RUN")
@moved_option
@click.option(
    "--permutations", type=click.IntRange(min=1), default=1000, help="Orders of the texts among the classes; cheap."
)
@click.option(
    "--replicates",
    type=click.IntRange(min=0),
    default=3,
    help="Sets of random texts, which the encoder has to encode, and of shuffled frames; 0: none.",
)
@click.option("--seed", type=int, default=0, help="Of all that is random.")
@click.option("--show", type=click.IntRange(min=0), default=10, help="Classes to show.")
@reading_options
def control_run(
    session: Session, name: str, root: Path | None, permutations: int, replicates: int, seed: int, show: int
) -> None:
    """Compare a run's texts with those of other classes and random words, and its frames with others."""
    from recognizer.evaluation.controls.controls import measure_controls
    from recognizer.evaluation.controls.results import ControlSettings
    from recognizer.evaluation.controls.table import controls_report

    store = session.database.existing
    run = store.run(name)
    settings = ControlSettings(permutations, replicates, seed)
    with session.encoder(run.settings["encoder"], run.settings.get("precision", "float32")) as encoder:
        result = measure_controls(store, run, encoder, settings=settings, root=root, bars=progress)
    session.show(result, controls_report(result, show=show))
