"""`descgen list`, `show`, `history`, `stats` and `llms`: read the database."""

from __future__ import annotations

from dataclasses import asdict

import click

from db.commandline import Database, console, json_option, print_json
from db.descriptor_filter import DescriptorFilter, filter_descriptors
from db.errors import UsageError, UserError
from db.records import STATUSES
from descriptor_gen import tables
from descriptor_gen.commands.options import action_option, dataset_option, kind_option, optional_dataset_option


@click.command("list")
@dataset_option
@kind_option
@json_option
@click.pass_obj
def list_actions(database: Database, dataset_name: str, kind_names: tuple[str, ...], as_json: bool) -> None:
    """List the classes of a dataset with their phrases and numbers of descriptors."""
    store = database.catalogue
    dataset = store.resolve(dataset_name)
    rows = tables.action_rows(dataset, store.descriptors(dataset, kinds=tables.select_kinds(store, kind_names)))
    print_json(rows) if as_json else console.print(tables.action_table(dataset, rows))


@click.command("show")
@dataset_option
@action_option
@kind_option
@click.option("--status", type=click.Choice([*STATUSES, "any"]), help="Review status. [pending and accepted]")
@click.option("--ids", is_flag=True, help="Show ids, for descgen accept, edit, ...")
@click.option("--raw", is_flag=True, help="Show the raw replies of the LLMs.")
@json_option
@click.pass_obj
def show_descriptors(
    database: Database,
    dataset_name: str,
    action_names: tuple[str, ...],
    kind_names: tuple[str, ...],
    status: str | None,
    ids: bool,
    raw: bool,
    as_json: bool,
) -> None:
    """Show the descriptors of classes, which LLM wrote them, and what people edited."""
    store = database.reading(as_json=as_json)
    dataset = tables.select(store.resolve(dataset_name), action_names)
    kinds = tables.select_kinds(store, kind_names)
    statuses = (status,) if status in STATUSES else STATUSES if status else ("pending", "accepted")
    if raw:
        entries = [entry for entry in store.history(dataset, kinds=kinds) if entry.in_use]
        print_json(entries) if as_json else console.print(tables.raw_replies(entries), soft_wrap=True)
        return
    stored = store.descriptors(dataset, statuses=STATUSES)
    if as_json and not stored:
        print_json([])
        return
    descriptors = filter_descriptors(dataset, stored, DescriptorFilter(statuses, kinds))
    said = store.comments().of_dataset(dataset)
    if as_json:
        print_json([{**asdict(descriptor), "comments": said.get(descriptor.id, ())} for descriptor in descriptors])
    else:
        console.print(tables.descriptor_tree(dataset, descriptors, said, ids=ids))


@click.command()
@json_option
@click.pass_obj
def stats(database: Database, as_json: bool) -> None:
    """Count descriptors, calls, tokens and time by LLM, and show how far reviewers agree."""
    store = database.reading(as_json=as_json)
    counts = {"descriptors": store.counts(), "calls": store.generation_counts()}
    agreement, blind = store.reviews().agreement(), store.blind_verdicts().agreement()
    if as_json:
        print_json({**counts, "agreement": agreement, "blind_agreement": blind})
        return
    console.print(tables.stats(counts, agreement, blind))


@click.command()
@json_option
def llms(as_json: bool) -> None:
    """List the short names of LLMs, and which of them can be used without a download."""
    rows = tables.llm_rows()
    print_json(rows) if as_json else console.print(tables.llm_table(rows))


@click.command()
@click.argument("descriptor", type=int, required=False, metavar="[ID]")
@optional_dataset_option
@action_option
@kind_option
@json_option
@click.pass_obj
def history(
    database: Database,
    descriptor: int | None,
    dataset_name: str | None,
    action_names: tuple[str, ...],
    kind_names: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show all calls and decisions about classes, or the decisions on the descriptor ID."""
    store = database.reading(as_json=as_json)
    if descriptor is not None:
        events, said = store.reviews().history(descriptor), store.comments().of(descriptor)
        shown = tables.decisions(descriptor, events, said)
        print_json({"decisions": events, "comments": said}) if as_json else console.print(shown)
        return
    if dataset_name is None:
        raise UsageError("Give the id of a descriptor (descgen show --dataset NAME --ids), or --dataset")
    dataset, kinds = tables.select(store.resolve(dataset_name), action_names), tables.select_kinds(store, kind_names)
    entries, events = store.history(dataset, kinds=kinds), store.reviews().events(dataset, kinds=kinds)
    if not entries and not events and not as_json:
        raise UserError(
            f"No calls about {dataset.name} yet. Make them with: descgen build --dataset {dataset.argument}"
        )
    print_json({"calls": entries, "decisions": events}) if as_json else console.print(tables.history(entries, events))
