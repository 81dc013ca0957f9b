"""`descgen import` and `descgen export`: read descriptors from files, and write them to files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.commandline import Database, bar, console, json_option, notes, print_json
from db.descriptor_filter import DescriptorFilter, filter_descriptors
from db.errors import UsageError, UserError
from db.records import STATUSES, Dataset
from db.vocabulary import BUILT_IN
from descriptor_gen import tables
from descriptor_gen.commands.options import action_option, dataset_option, name_option, writer_option
from descriptor_gen.lint.rules import RULES, Limits, template_items
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.flags import lint_flags

if TYPE_CHECKING:
    from db.store import Store

_STATUSES = {status: (status,) for status in STATUSES} | {"any": STATUSES}
_NOT_REJECTED = ("pending", "accepted")  # default of `tear`, which has no statuses: rejected texts would look accepted
_SUFFIXES = {".csv": "csv", ".json": "json"}


@click.command("import")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--pack", "pack_name", metavar="NAME", help="An installed text pack, instead of FILE.")
@click.option(
    "--dataset",
    "-d",
    "dataset_name",
    metavar="NAME|PATH",
    help=f"{', '.join(BUILT_IN)}; a file of labels; or a folder of class folders. Needed with FILE. [of the pack]",
)
@name_option
@click.option("--kind", "-k", metavar="KIND", help="Kind of texts without a kind in the file. [guessed from its name]")
@click.option("--strict", is_flag=True, help="Import nothing if a class name is unknown or an item is refused.")
@json_option
@click.pass_obj
def import_descriptors(
    database: Database,
    file: Path | None,
    pack_name: str | None,
    dataset_name: str | None,
    name: str | None,
    kind: str | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Add the descriptors of FILE to those in the database; importing it twice adds nothing.

    FILE is an export of descgen (JSON, CSV, or a Parquet folder), JSON of class -> texts or label -> texts as
    published with TEAR, CuPL, OST, MPVR, FROSTER and classify_by_description, or a CSV file with the columns action and
    text. A text pack is installed with pip, and knows its dataset.
    """
    from db.packs import open_pack
    from descriptor_gen.exchange.importing import import_descriptors as import_contents
    from descriptor_gen.exchange.readers import read
    from descriptor_gen.packs.facts import facts_lines

    if (file is None) == (pack_name is None):
        raise UsageError("What is to be imported? Give either FILE, or --pack NAME")
    if file and not dataset_name:
        raise UsageError(f"Which dataset are the texts of {file} about? Give --dataset NAME or a file of labels")
    pack = open_pack(pack_name) if pack_name else None
    contents = read(pack.file if pack else file or Path())
    contents = replace(contents, name=f"pack {pack.name}") if pack else contents
    dataset_name = dataset_name or (contents.dataset.name if contents.dataset else "")
    try:
        dataset = database.store.resolve(dataset_name, name=name, update="phrases")
    except UsageError:  # the file may list the classes of a dataset that is not stored yet
        if contents.dataset is None or contents.dataset.name != dataset_name:
            raise
        dataset = contents.dataset
    for line in facts_lines(pack) if pack else ():
        notes.print(line, soft_wrap=True)
    with bar(f"{dataset.name}, {contents.name}", "texts") as advance:
        report = import_contents(database.store, dataset, contents, kind=kind, strict=strict, on_item=advance)
    print_json(report) if as_json else console.print(tables.import_report(report), soft_wrap=True)


def _layout_of(output: Path | None) -> str:
    """Return the format that the suffix of a file means; JSON without one.

    Raises:
        UsageError: the suffix is unknown.
    """
    suffix = output.suffix.lower() if output else ""
    if suffix and suffix not in _SUFFIXES:
        raise UsageError(
            f"{output} ends in {suffix}. Known: {', '.join(_SUFFIXES)}; for Parquet: --format parquet --output FOLDER"
        )
    return _SUFFIXES.get(suffix, "json")


def _matching(store: Store, dataset: Dataset, action_names: Sequence[str], chosen: Filter) -> set[int] | None:
    """Return the ids of the texts of some classes that pass a filter of the review; None for all.

    Raises:
        UserError: there is none.
    """
    if not (action_names or chosen.query):
        return None
    every = store.descriptors(dataset, statuses=STATUSES)
    names = {action.name for action in tables.select(dataset, action_names).actions}
    rules = lint_flags(dataset, every, Limits(items=template_items())).rules if chosen.flag else {}
    passes = chosen.predicate({action.name: action.phrase for action in dataset.actions}, rules)
    ids = {descriptor.id for descriptor in every if descriptor.action in names and passes(descriptor)}
    if not ids:
        conditions = [*(f"--action {name}" for name in action_names), chosen.description]
        raise UserError(f"No text of {dataset.name} passes {', '.join(filter(None, conditions))}")
    return ids


@click.command("export")
@dataset_option
@click.option("--kind", "-k", "kind_names", multiple=True, metavar="KIND", help="May be given again. [all]")
@click.option("--status", type=click.Choice([*_STATUSES]), help="Review status. [any; tear: all but rejected]")
@writer_option
@action_option
@click.option("--search", default="", metavar="WORDS", help="Only texts, or classes, with these words. [all]")
@click.option("--flag", type=click.Choice(["any", *RULES]), help="Only texts that this rule of lint flags. [all]")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["json", "csv", "parquet", "tear"]),
    help="File format. [by the suffix of --output, else json]",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A file; a folder for parquet. [standard output]")
@click.option("--spreadsheet-safe", is_flag=True, help="CSV: an apostrophe before cells that look like formulas.")
@click.pass_obj
def export_descriptors(
    database: Database,
    dataset_name: str,
    kind_names: tuple[str, ...],
    status: str | None,
    llm: str | None,
    action_names: tuple[str, ...],
    search: str,
    flag: str | None,
    layout: str | None,
    output: Path | None,
    spreadsheet_safe: bool,
) -> None:
    """Export the descriptors in use.

    json, csv and parquet include the LLM calls that wrote them; tear is the format that TEAR's code reads.
    """
    from descriptor_gen.exchange.exporting import TEXTS, text_of, write

    layout = layout or _layout_of(output)
    if spreadsheet_safe and layout != "csv":
        raise UsageError(f"--spreadsheet-safe is for CSV, not for {layout}: add --format csv")
    if output is None and layout not in TEXTS:
        raise UsageError("--format parquet writes a folder. Name it with --output FOLDER")
    store = database.existing
    dataset = store.resolve(dataset_name)
    statuses = _STATUSES[status] if status else _NOT_REJECTED if layout == "tear" else _STATUSES["any"]
    ids = _matching(store, dataset, action_names, Filter(flag=flag or "", q=search))
    chosen = DescriptorFilter(statuses, tables.select_kinds(store, kind_names), llm)
    items = filter_descriptors(dataset, store.portable(dataset, ids), chosen)
    if output is None:
        click.echo(text_of(dataset, items, layout=layout, spreadsheet_safe=spreadsheet_safe), nl=False)
    else:
        write(dataset, items, layout=layout, output=output, spreadsheet_safe=spreadsheet_safe)
        notes.print(f"{len(items)} descriptors of {dataset.name} in {output}", soft_wrap=True)
