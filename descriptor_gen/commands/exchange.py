"""`descgen import` and `descgen export`: descriptors from elsewhere, and to elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from db.commandline import Database, console, json_option, notes, print_json
from db.errors import UsageError
from db.records import Dataset, DescriptorStatus
from descriptor_gen import tables as show
from descriptor_gen.commands.options import dataset_option

if TYPE_CHECKING:
    from descriptor_gen.exchange.exporting import Contents

_STATUSES = {status: (status,) for status in get_args(DescriptorStatus)} | {"any": get_args(DescriptorStatus)}
_UNMARKED = ("pending", "accepted")  # a layout that cannot say "rejected" holds no rejected texts unless asked
_SUFFIXES = {".csv": "csv", ".json": "json"}


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@dataset_option
@click.option("--kind", "-k", metavar="KIND", help="Of texts whose kind neither the file nor its name says.")
@click.option("--strict", is_flag=True, help="Import nothing if a name is no class of the dataset or an item no text.")
@json_option
@click.pass_obj
def import_descriptors(
    database: Database, file: Path, dataset: str, kind: str | None, strict: bool, as_json: bool
) -> None:
    """Import descriptors beside those that are there; importing FILE twice adds nothing.

    FILE is an export of descgen (JSON, CSV, the folder of Parquet), JSON of class -> texts or label -> texts as
    published with TEAR, CuPL and OST, or a CSV file with the columns action and text.
    """
    from descriptor_gen.exchange import importing as exchange
    from descriptor_gen.exchange.exporting import read

    contents = read(file)
    actions = _dataset(database, dataset, contents)
    report = exchange.import_descriptors(database.store, actions, contents, kind=kind, strict=strict)
    print_json(report) if as_json else console.print(show.import_report(report), soft_wrap=True)


def _dataset(database: Database, name: str, contents: Contents) -> Dataset:
    """Return the dataset that `--dataset` names; one that is not known here may come with the file."""
    try:
        return database.store.resolve(name)
    except UsageError:
        if contents.dataset is None or contents.dataset.name != name:
            raise
        return contents.dataset


@click.command("export")
@dataset_option
@click.option("--kind", "-k", "wanted", multiple=True, metavar="KIND", help="May be given again. [all there are]")
@click.option(
    "--status", type=click.Choice([*_STATUSES]), help="Review status. [any; for tear all but what was rejected]"
)
@click.option("--llm", "-l", metavar="NAME", help="Part of the name of the model that wrote. [any, and imported]")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["json", "csv", "parquet", "tear"]),
    help="[by the name of --output, else json]",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File; for parquet a folder. [standard output]")
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
    """Export the descriptors in use: json, csv and parquet with their provenance, tear as TEAR's code reads them."""
    from descriptor_gen.exchange.readers import TEXTS, Choice, choose, write

    layout = layout or _SUFFIXES.get(output.suffix.lower() if output else "", "json")
    if output is None and layout not in TEXTS:
        raise UsageError("--format parquet writes a folder. Name it with --output FOLDER")
    store = database.existing
    actions = store.resolve(dataset)
    statuses = _STATUSES[status] if status else _UNMARKED if layout == "tear" else _STATUSES["any"]
    items = choose(store, actions, Choice(wanted, statuses, llm))
    if output is None:
        click.echo(TEXTS[layout](actions, items), nl=False)
    else:
        write(actions, items, layout=layout, output=output)
        notes.print(f"{len(items)} descriptors of {actions.name} in {output}", soft_wrap=True)
