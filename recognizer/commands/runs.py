"""`recognize runs`."""

from __future__ import annotations

import click

from db import vocabulary
from db.commandline import Database, console, json_option, print_json
from db.errors import UserError


@click.command()
@click.argument("numbers", nargs=-1, type=int, metavar="[RUN]...")
@click.option("--dataset", "-d", metavar="NAME", help="Only runs on this dataset.")
@json_option
@click.pass_obj
def runs(database: Database, numbers: tuple[int, ...], dataset: str | None, as_json: bool) -> None:
    """List the runs, show one of them whole, or the mean and deviation over several."""
    from recognizer.report import mean_report, means_of, run_report, run_table

    store = database.existing
    chosen = [store.run(number) for number in dict.fromkeys(numbers)]
    if len(chosen) == 1:
        print_json(chosen[0]) if as_json else console.print(run_report(chosen[0]))
        return
    if chosen:
        print_json(means_of(chosen)) if as_json else console.print(mean_report(chosen))
        return
    listed = store.runs(vocabulary.canonical(dataset) if dataset else None)
    if not listed and not as_json:
        what = f"No runs on {dataset} yet" if dataset else "No runs yet"
        raise UserError(f"{what}. Make one with: recognize eval --dataset hmdb51 --root FOLDER --encoder objects")
    print_json(listed) if as_json else console.print(run_table(listed))
