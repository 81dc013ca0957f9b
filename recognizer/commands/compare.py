"""`recognize compare`."""

from __future__ import annotations

import click

from db.commandline import Database, console, json_option, print_json


@click.command("compare")
@click.argument("first", type=int, metavar="RUN")
@click.argument("second", type=int, required=False, metavar="[RUN]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option(
    "--show", type=click.IntRange(min=0), default=10, show_default=True, help="So many classes and videos of each sort."
)
@json_option
@click.pass_obj
def compare_runs(database: Database, first: int, second: int | None, seed: int, show: int, as_json: bool) -> None:
    """Compare two runs on the videos that both evaluated; of one run, its labels alone with its descriptors."""
    from recognizer.evaluation.compare import by_labels_alone, compare
    from recognizer.evaluation.tables import compare_report

    store = database.existing
    one = store.run(first)
    if second is None:
        found, names = compare(by_labels_alone(one), one, seed=seed), ("labels alone", f"run {first}")
    else:
        found, names = compare(one, store.run(second), seed=seed), (f"run {first}", f"run {second}")
    print_json(found) if as_json else console.print(compare_report(found, names=names, show=show))
