"""`descgen accept`, `reject`, `restore`, `edit`, `add`, `reorder`, `undo`: decisions from a shell."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from db.commandline import Database, console, json_option, print_json
from db.descriptor_filter import DescriptorFilter, filter_descriptors
from db.errors import UsageError
from db.records import STATUSES, Dataset, Decision, DescriptorRef
from descriptor_gen import tables
from descriptor_gen.commands.options import (
    action_option,
    dataset_option,
    kind_option,
    name_option,
    optional_dataset_option,
    writer_option,
)
from descriptor_gen.review.selection import select_ids

if TYPE_CHECKING:
    from db.store import Store


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise UsageError("The reviewer is unknown. Give --reviewer NAME or set DESCGEN_REVIEWER") from error


reviewer_option = click.option(
    "--reviewer",
    envvar="DESCGEN_REVIEWER",
    show_envvar=True,
    default=_login,
    show_default=False,
    metavar="NAME",
    help="Name of the reviewer. [the login name]",
)


def _judging(name: str, about: str, statuses: Sequence[str]) -> click.Command:
    """Return a command that judges the descriptors given by id, or all that match its filters.

    Args:
        name: of the command, and of the method of `Reviews` that it calls.
        about: its help.
        statuses: the default filter.
    """

    @click.command(name, help=about)
    @click.argument("ids", nargs=-1, metavar="[ID[@VERSION]]...")
    @optional_dataset_option
    @action_option
    @kind_option
    @writer_option
    @click.option(
        "--status",
        type=click.Choice([*STATUSES, "any"]),
        help=f"Review status. [{' and '.join(statuses)}; with ids: any]",
    )
    @click.option("--all", "everything", is_flag=True, help="The whole dataset, if no filter is given.")
    @reviewer_option
    @json_option
    @click.pass_obj
    def command(
        database: Database,
        /,
        ids: tuple[str, ...],
        dataset_name: str | None,
        reviewer: str,
        as_json: bool,
        **filters: Any,
    ) -> None:
        _refuse_ambiguous(ids, dataset_name, filters)
        store = database.existing
        dataset = store.resolve(dataset_name) if dataset_name else None
        refs = _matching(store, dataset, statuses, filters) if dataset and not ids else select_ids(store, ids, dataset)
        judge = getattr(store.reviews(), name)
        _show(judge(refs, reviewer=reviewer), as_json=as_json)

    return command


def _refuse_ambiguous(ids: Sequence[str], dataset_name: str | None, filters: Mapping[str, Any]) -> None:
    """Refuse a whole dataset without --all, and ids together with filters."""
    if ids and any(filters.values()):
        raise UsageError("Give ids, or filters and --all, not both")
    if not ids and dataset_name is None:
        raise UsageError(
            "Give ids of descriptors (descgen show --dataset NAME --ids), or --dataset with filters or --all"
        )
    if not ids and not any(filters.values()):
        raise UsageError(
            f"All descriptors of {dataset_name}? Confirm with --all, or filter with --action, --kind, --llm, --status"
        )


def _matching(
    store: Store, dataset: Dataset, default_statuses: Sequence[str], filters: Mapping[str, Any]
) -> list[DescriptorRef]:
    """Return the descriptors that match the options of the command."""
    status = filters["status"]
    selected = tables.select(dataset, filters["action_names"])
    statuses = (status,) if status in STATUSES else STATUSES if status else default_statuses
    descriptor_filter = DescriptorFilter(statuses, tables.select_kinds(store, filters["kind_names"]), filters["llm"])
    return [
        text.ref
        for text in filter_descriptors(selected, store.descriptors(selected, statuses=STATUSES), descriptor_filter)
    ]


def _show(decision: Decision, *, as_json: bool) -> None:
    print_json(decision) if as_json else console.print(tables.decision_summary(decision), soft_wrap=True)


accept = _judging(
    "accept",
    "Accept descriptors: those with the ids given, or all pending ones that match the filters.\n\n"
    "ID@VERSION accepts the version that you read (descgen show --json), and fails if it changed since.",
    ("pending",),
)
reject = _judging(
    "reject",
    "Reject descriptors: those with the ids given, or all pending ones that match the filters.",
    ("pending",),
)
restore = _judging(
    "restore",
    "Make descriptors pending again: those with the ids given, or all that match the filters.",
    ("accepted", "rejected"),
)


@click.command()
@click.argument("descriptor", metavar="ID[@VERSION]")
@click.argument("text")
@reviewer_option
@json_option
@click.pass_obj
def edit(database: Database, descriptor: str, text: str, reviewer: str, as_json: bool) -> None:
    """Replace a descriptor by TEXT. The original text is kept, with its LLM."""
    store = database.existing
    [ref] = select_ids(store, [descriptor])
    _show(store.reviews().edit(ref, text, reviewer=reviewer), as_json=as_json)


@click.command()
@click.argument("text")
@dataset_option
@name_option
@click.option("--action", "-a", required=True, metavar="NAME", help="Class name or phrase.")
@click.option("--kind", "-k", required=True, metavar="KIND", help="Kind of descriptor: descgen prompts list.")
@reviewer_option
@json_option
@click.pass_obj
def add(
    database: Database,
    text: str,
    dataset_name: str,
    name: str | None,
    action: str,
    kind: str,
    reviewer: str,
    as_json: bool,
) -> None:
    """Add TEXT, accepted, to the descriptors of a class."""
    store = database.store
    dataset = store.resolve(dataset_name, name=name)
    [selected] = tables.select(dataset, [action]).actions
    tables.select_kinds(store, [kind])
    _show(store.reviews().add(dataset, selected.name, kind, text, reviewer=reviewer), as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID[@VERSION]...")
@reviewer_option
@json_option
@click.pass_obj
def reorder(database: Database, ids: tuple[str, ...], reviewer: str, as_json: bool) -> None:
    """Reorder the texts of one reply, or those that people added to a class. Name all of them, in the new order."""
    store = database.existing
    _show(store.reviews().reorder(select_ids(store, ids), reviewer=reviewer), as_json=as_json)


@click.command()
@click.option(
    "--decision",
    type=click.IntRange(min=1),
    help="Number of the decision, by any reviewer. [the last one of --reviewer]",
)
@reviewer_option
@json_option
@click.pass_obj
def undo(database: Database, decision: int | None, reviewer: str, as_json: bool) -> None:
    """Undo a whole decision. If somebody has changed one of its descriptors since, nothing is undone."""
    _show(database.existing.reviews().undo(reviewer=reviewer, decision=decision), as_json=as_json)
