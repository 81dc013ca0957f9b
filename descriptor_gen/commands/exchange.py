"""`descgen import` and `descgen export`: descriptors from and to files."""

from __future__ import annotations

from pathlib import Path

import click

from db.choice import Choice, choose
from db.commandline import Database, console, json_option, notes, print_json
from db.errors import UsageError
from db.records import STATUSES
from descriptor_gen import tables
from descriptor_gen.commands.options import dataset_option, writer_option

_STATUSES = {status: (status,) for status in STATUSES} | {"any": STATUSES}
_UNMARKED = ("pending", "accepted")  # default of a layout without statuses: rejected texts would look accepted
_SUFFIXES = {".csv": "csv", ".json": "json"}


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@dataset_option
@click.option("--kind", "-k", metavar="KIND", help="Of texts without a kind in the file. [guessed from its name]")
@click.option("--strict", is_flag=True, help="Import nothing if a name is no class, or an item is refused.")
@json_option
@click.pass_obj
def import_descriptors(
    database: Database, file: Path, dataset: str, kind: str | None, strict: bool, as_json: bool
) -> None:
    """Add the descriptors of FILE to those in the database; importing it twice adds nothing.

    FILE is an export of descgen (JSON, CSV, the folder of Parquet), JSON of class -> texts or label -> texts as
    published with TEAR, CuPL and OST, or a CSV file with the columns action and text.
    """
    from descriptor_gen.exchange.importing import import_descriptors as import_contents
    from descriptor_gen.exchange.readers import read

    contents = read(file)
    try:
        actions = database.store.resolve(dataset)
    except UsageError:  # the dataset may come with the file
        if contents.dataset is None or contents.dataset.name != dataset:
            raise
        actions = contents.dataset
    report = import_contents(database.store, actions, contents, kind=kind, strict=strict)
    print_json(report) if as_json else console.print(tables.import_report(report), soft_wrap=True)


@click.command("export")
@dataset_option
@click.option("--kind", "-k", "wanted", multiple=True, metavar="KIND", help="May be given again. [all]")
@click.option("--status", type=click.Choice([*_STATUSES]), help="Review status. [any; for tear all but rejected]")
@writer_option
@click.option(
    "--format",
    "layout",
    type=click.Choice(["json", "csv", "parquet", "tear"]),
    help="File format. [by the name of --output, else json]",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A file; for parquet a folder. [standard output]")
@click.pass_obj
def export_descriptors(
    database: Database,
    dataset: str,
    wanted: tuple[str, ...],
    status: str | None,
    llm: str | None,
    layout: str | None,
    output: Path | None,
) -> None:
    """Export the descriptors in use: json, csv and parquet with the calls behind them, tear for TEAR's code."""
    from descriptor_gen.exchange.exporting import TEXTS, write

    layout = layout or _SUFFIXES.get(output.suffix.lower() if output else "", "json")
    if output is None and layout not in TEXTS:
        raise UsageError("--format parquet writes a folder. Name it with --output FOLDER")
    store = database.existing
    actions = store.resolve(dataset)
    statuses = _STATUSES[status] if status else _UNMARKED if layout == "tear" else _STATUSES["any"]
    items = choose(actions, store.portable(actions), Choice(statuses, wanted or None, llm))
    if output is None:
        click.echo(TEXTS[layout](actions, items), nl=False)
    else:
        write(actions, items, layout=layout, output=output)
        notes.print(f"{len(items)} descriptors of {actions.name} in {output}", soft_wrap=True)
