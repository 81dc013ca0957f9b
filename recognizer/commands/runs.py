"""`recognize runs`."""

from __future__ import annotations

import click

from db import vocabulary
from db.commandline import Database, console, json_option, print_json
from db.errors import UserError


@click.command()
@click.argument("run", type=int, required=False)
@click.option("--dataset", "-d", metavar="NAME", help="Only runs on this dataset.")
@json_option
@click.pass_obj
def runs(database: Database, run: int | None, dataset: str | None, as_json: bool) -> None:
    """List the runs, or show one of them whole."""
    from recognizer.report import run_report, run_table

    store = database.existing
    if run is not None:
        found = store.run(run)
        print_json(found) if as_json else console.print(run_report(found))
        return
    listed = store.runs(vocabulary.canonical(dataset) if dataset else None)
    if not listed and not as_json:
        what = f"No runs on {dataset} yet" if dataset else "No runs yet"
        raise UserError(f"{what}. Make one with: recognize eval --dataset hmdb51 --root FOLDER --encoder objects")
    print_json(listed) if as_json else console.print(run_table(listed))
