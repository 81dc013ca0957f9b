"""`recognize runs`."""

from __future__ import annotations

from pathlib import Path

import click

from db import vocabulary
from db.commandline import Database, console, json_option, print_json
from db.errors import UsageError, UserError
from recognizer.commands.options import FOLDER


@click.command()
@click.argument("numbers", nargs=-1, type=int, metavar="[RUN]...")
@click.option("--dataset", "-d", metavar="NAME", help="Only runs on this dataset.")
@click.option("--export", "form", type=click.Choice(["mteb"]), help="Write result files in this format instead.")
@click.option("--output", type=FOLDER, default="results", metavar="FOLDER", help="Folder for the files of --export.")
@json_option
@click.pass_obj
def runs(
    database: Database, numbers: tuple[int, ...], dataset: str | None, form: str | None, output: Path, as_json: bool
) -> None:
    """List all runs, show one in full, or the mean and deviation over several."""
    from recognizer.evaluation.evaluate import with_texts
    from recognizer.evaluation.export_mteb import export_runs
    from recognizer.evaluation.means import means_of
    from recognizer.evaluation.tables import mean_report, run_report, run_table

    store = database.reading(as_json=as_json)
    chosen = [store.run(number) for number in dict.fromkeys(numbers)]
    if form:
        if not chosen:
            raise UsageError("Which runs? Name them: recognize runs 3 --export mteb")
        for file in export_runs(chosen, output):
            click.echo(file)
    elif len(chosen) == 1:
        print_json(with_texts(store, chosen[0])) if as_json else console.print(run_report(chosen[0]))
    elif chosen:
        print_json(means_of(chosen)) if as_json else console.print(mean_report(chosen))
    else:
        listed = store.runs(vocabulary.canonical(dataset) if dataset else None)
        if not listed and not as_json:
            none = f"No runs on {dataset} yet" if dataset else "No runs yet"
            raise UserError(f"{none}. Make one with: recognize eval --dataset hmdb51 --root FOLDER --encoder objects")
        print_json(listed) if as_json else console.print(run_table(listed))
