"""`recognize compare`."""

from __future__ import annotations

import click

from db.commandline import Database, console, json_option, print_json


@click.command("compare")
@click.argument("first", type=int, metavar="RUN")
@click.argument("second", type=int, required=False, metavar="[RUN]")
@click.option("--show", type=click.IntRange(min=0), default=10, help="Classes and videos to show, gained and lost.")
@json_option
@click.pass_obj
def compare_runs(database: Database, first: int, second: int | None, show: int, as_json: bool) -> None:
    """Compare two runs on the videos that both evaluated; with one RUN, its labels alone with its descriptors."""
    from recognizer.evaluation.compare import compare
    from recognizer.evaluation.tables import compare_report

    store = database.existing
    comparison = compare(store.run(first), None if second is None else store.run(second))
    names = ("labels alone", f"run {first}") if second is None else (f"run {first}", f"run {second}")
    print_json(comparison) if as_json else console.print(compare_report(comparison, names=names, show=show))
