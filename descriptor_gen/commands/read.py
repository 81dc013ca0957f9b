"""`descgen list`, `show`, `stats`, `datasets` and `llms`: what there is."""

from __future__ import annotations

import click

from db.commandline import Database, console, json_option, print_json, resolve
from db.errors import UserError
from descriptor_gen import show
from descriptor_gen.commands.options import action_option, dataset_option, kind_option


@click.command("list")
@dataset_option
@kind_option
@json_option
@click.pass_obj
def list_actions(database: Database, dataset: str, wanted: tuple[str, ...], as_json: bool) -> None:
    """List the classes of a dataset with how many descriptors each has."""
    store = database.existing
    actions = resolve(store, dataset)
    rows = show.action_rows(actions, store.descriptors(actions, kinds=show.select_kinds(store, wanted)))
    print_json(rows) if as_json else console.print(show.action_table(actions, rows))


@click.command("show")
@dataset_option
@action_option
@kind_option
@click.option("--raw", is_flag=True, help="The LLM's replies as they came.")
@json_option
@click.pass_obj
def show_descriptors(
    database: Database, dataset: str, wanted_actions: tuple[str, ...], wanted: tuple[str, ...], raw: bool, as_json: bool
) -> None:
    """Show the descriptors of classes, and which LLM wrote them."""
    store = database.existing
    actions = show.select(resolve(store, dataset), wanted_actions)
    names = show.select_kinds(store, wanted)
    found = store.descriptors(actions, kinds=names)
    if raw:
        entries = [entry for entry in store.history(actions, kinds=names) if entry.in_use]
        print_json(entries) if as_json else console.print(show.raw_replies(entries), soft_wrap=True)
        return
    if not found:
        raise UserError(f"No descriptors for {actions.name} here. Write them with: descgen build --dataset {dataset}")
    print_json(found) if as_json else console.print(show.descriptor_tree(actions, found))


@click.command()
@json_option
@click.pass_obj
def stats(database: Database, as_json: bool) -> None:
    """Count what the database holds: descriptors by dataset, kind and LLM; calls, tokens and time by LLM."""
    store = database.existing
    counts = {"descriptors": store.counts(), "calls": store.generation_counts()}
    print_json(counts) if as_json else console.print(show.stats(counts))


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
@dataset_option
@action_option
@kind_option
@json_option
@click.pass_obj
def history(
    database: Database, dataset: str, wanted_actions: tuple[str, ...], wanted: tuple[str, ...], as_json: bool
) -> None:
    """Show every call ever made about classes: when, by which LLM and template, what came back."""
    store = database.existing
    actions = show.select(resolve(store, dataset), wanted_actions)
    entries = store.history(actions, kinds=show.select_kinds(store, wanted))
    if not entries:
        raise UserError(f"No calls about {actions.name} here. Make them with: descgen build --dataset {dataset}")
    print_json(entries) if as_json else console.print(show.history_table(entries))
