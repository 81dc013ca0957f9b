"""`recognize eval`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import notes, progress
from recognizer.commands.options import (
    Session,
    VideoSelection,
    dataset_options,
    full_scoring_options,
    reading_options,
    tables_option,
)
from recognizer.evaluation.settings import Options
from recognizer.scoring.methods import method_of


@click.command("eval")
@dataset_options
@full_scoring_options
@tables_option
@click.option("--controls", is_flag=True, help="Compare with other classes' texts and random ones too: see controls.")
@click.option("--worlds", is_flag=True, help="Say which made worlds the run is most like: see worlds. [seconds]")
@reading_options
def evaluate_videos(
    session: Session, selection: VideoSelection, options: Options, tables: Path | None, controls: bool, worlds: bool
) -> None:
    """Classify the videos of a dataset, with its labels alone and with its descriptors, and store the run."""
    from recognizer.evaluation.controls.controls import with_controls
    from recognizer.evaluation.evaluate import evaluate, with_texts
    from recognizer.evaluation.tables import run_report
    from recognizer.report.csv_files import write_run
    from recognizer.worlds.of_run import with_placement

    settings = selection.restrict(options.settings)
    needs_texts = method_of(settings.method).uses_descriptors
    store = session.database.existing if needs_texts else session.database.store
    dataset, root = selection.open(store)
    with session.encoder(options.encoder, options.precision) as encoder:
        run = evaluate(store, dataset, root, encoder, settings=settings, bars=progress)
        run = with_controls(store, run, encoder, bars=progress) if controls else run
        run = with_placement(store, run, encoder, bars=progress) if worlds else run
    session.show(with_texts(store, run), run_report(run))
    if run.id is None:
        notes.print(f"Not stored: {session.database.url} (or its folder) cannot be written", soft_wrap=True)
    for file in write_run(run, tables) if tables else ():
        notes.print(f"Written: {file}", soft_wrap=True)
