"""`recognize compare`."""

from __future__ import annotations

import click

from db.commandline import Database, console, json_option, print_json


@click.command("compare")
@click.argument("first", metavar="RUN")
@click.argument("second", required=False, metavar="[RUN]")
@click.option("--show", type=click.IntRange(min=0), default=10, help="Classes and videos to show, gained and lost.")
@json_option
@click.pass_obj
def compare_runs(database: Database, first: str, second: str | None, show: int, as_json: bool) -> None:
    """Compare two runs on the videos that both evaluated; with one RUN, its labels alone with its descriptors."""
    from recognizer.evaluation.compare import compare
    from recognizer.evaluation.tables import compare_report

    store = database.existing
    runs = [store.run(name) for name in (first, second) if name is not None]
    comparison = compare(*runs)
    names = ("labels alone", runs[0].title) if second is None else (runs[0].title, runs[1].title)
    print_json(comparison) if as_json else console.print(compare_report(comparison, names=names, show=show))
