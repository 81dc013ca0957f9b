"""`descgen list`, `show`, `stats`, `datasets` and `llms`: what there is."""

from __future__ import annotations

import click

from db.commandline import Database, console, json_option, print_json
from db.errors import UsageError, UserError
from descriptor_gen import tables as show
from descriptor_gen.commands.options import action_option, dataset_option, kind_option, optional_dataset_option
from descriptor_gen.review.selection import STATUSES


@click.command("list")
@dataset_option
@kind_option
@json_option
@click.pass_obj
def list_actions(database: Database, dataset: str, wanted: tuple[str, ...], as_json: bool) -> None:
    """List the classes of a dataset with how many descriptors each has."""
    store = database.existing
    actions = store.resolve(dataset)
    rows = show.action_rows(actions, store.descriptors(actions, kinds=show.select_kinds(store, wanted)))
    print_json(rows) if as_json else console.print(show.action_table(actions, rows))


@click.command("show")
@dataset_option
@action_option
@kind_option
@click.option("--status", type=click.Choice([*STATUSES, "any"]), help="Only these. [pending and accepted]")
@click.option("--ids", is_flag=True, help="With the id of each, for descgen accept, edit and their like.")
@click.option("--raw", is_flag=True, help="The LLM's replies as they came.")
@json_option
@click.pass_obj
def show_descriptors(
    database: Database,
    dataset: str,
    wanted_actions: tuple[str, ...],
    wanted: tuple[str, ...],
    status: str | None,
    ids: bool,
    raw: bool,
    as_json: bool,
) -> None:
    """Show the descriptors of classes, which LLM wrote them, and what people edited."""
    store = database.existing
    actions = show.select(store.resolve(dataset), wanted_actions)
    names = show.select_kinds(store, wanted)
    statuses = (status,) if status in STATUSES else STATUSES if status else STATUSES[:2]
    found = store.descriptors(actions, kinds=names, statuses=statuses)
    if raw:
        entries = [entry for entry in store.history(actions, kinds=names) if entry.in_use]
        print_json(entries) if as_json else console.print(show.raw_replies(entries), soft_wrap=True)
        return
    if not found:
        which = f"{status} descriptors" if status in STATUSES else "descriptors"
        raise UserError(f"No {which} for {actions.name} here. Write them with: descgen build --dataset {dataset}")
    print_json(found) if as_json else console.print(show.descriptor_tree(actions, found, ids=ids))


@click.command()
@json_option
@click.pass_obj
def stats(database: Database, as_json: bool) -> None:
    """Count what the database holds: descriptors, calls, tokens and time by LLM; how far reviewers agree."""
    store = database.existing
    counts = {"descriptors": store.counts(), "calls": store.generation_counts()}
    agreement = store.reviews().agreement()
    print_json({**counts, "agreement": agreement}) if as_json else console.print(show.stats(counts, agreement))


@click.command()
@json_option
@click.pass_obj
def datasets(database: Database, as_json: bool) -> None:
    """List the datasets: built in, and your own."""
    rows = show.dataset_rows(database.url)
    print_json(rows) if as_json else console.print(show.dataset_table(rows))


@click.command()
@json_option
def llms(as_json: bool) -> None:
    """List the short names of LLMs, and which can be used here and now."""
    rows = show.llm_rows()
    print_json(rows) if as_json else console.print(show.llm_table(rows))


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
    dataset: str | None,
    wanted_actions: tuple[str, ...],
    wanted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show every call ever made about classes and every decision of reviewers; of a descriptor ID its decisions."""
    store = database.existing
    if descriptor is not None:
        events = store.reviews().history(descriptor)
        print_json({"decisions": events}) if as_json else console.print(show.decisions(descriptor, events))
        return
    if dataset is None:
        raise UsageError("Give the id of a descriptor (descgen show --ids), or --dataset")
    actions, kinds = show.select(store.resolve(dataset), wanted_actions), show.select_kinds(store, wanted)
    entries, events = store.history(actions, kinds=kinds), store.reviews().events(actions, kinds=kinds)
    if not entries and not events:
        raise UserError(f"No calls about {actions.name} here. Make them with: descgen build --dataset {dataset}")
    print_json({"calls": entries, "decisions": events}) if as_json else console.print(show.history(entries, events))
