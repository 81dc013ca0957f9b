"""`descgen accept`, `reject`, `restore`, `edit`, `add`, `reorder`, `undo`: decisions from a shell."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from db.choice import Choice, choose
from db.commandline import Database, console, json_option, print_json
from db.errors import UsageError
from db.records import STATUSES, Dataset, Decision, DescriptorRef
from db.reviews import Reviews
from db.store import Store
from descriptor_gen import tables
from descriptor_gen.commands.options import action_option, dataset_option, kind_option, optional_dataset_option
from descriptor_gen.review.selection import select_ids


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise UsageError("Who decides? Give --reviewer NAME or set DESCGEN_REVIEWER") from error


reviewer_option = click.option(
    "--reviewer",
    envvar="DESCGEN_REVIEWER",
    show_envvar=True,
    default=_login,
    metavar="NAME",
    help="Who decides. [the login name]",
)


def _judging(name: str, about: str, statuses: Sequence[str], judge: Callable[..., Decision]) -> click.Command:
    """Return a command that judges the descriptors given by id, or all that match its filters.

    Args:
        statuses: the default filter.
        judge: a method of `Reviews`.
    """

    @click.command(name, help=about)
    @click.argument("ids", nargs=-1, metavar="[ID[@VERSION]]...")
    @optional_dataset_option
    @action_option
    @kind_option
    @click.option("--llm", "-l", metavar="TEXT", help="By an LLM or file whose name contains this; hand: by people.")
    @click.option(
        "--status", type=click.Choice([*STATUSES, "any"]), help=f"Only these. [{' and '.join(statuses)}; of ids any]"
    )
    @click.option("--all", "everything", is_flag=True, help="The whole dataset, if no filter is given.")
    @reviewer_option
    @json_option
    @click.pass_obj
    def command(
        database: Database, /, ids: tuple[str, ...], dataset: str | None, reviewer: str, as_json: bool, **filters: Any
    ) -> None:
        _refuse_ambiguous(ids, dataset, filters)
        store = database.existing
        actions = store.resolve(dataset) if dataset else None
        refs = _matching(store, actions, statuses, filters) if actions and not ids else select_ids(store, ids, actions)
        _show(judge(store.reviews(), refs, reviewer=reviewer), as_json=as_json)

    return command


def _refuse_ambiguous(ids: Sequence[str], dataset: str | None, filters: Mapping[str, Any]) -> None:
    """Refuse a whole dataset without --all, and ids together with filters."""
    if ids and any(filters.values()):
        raise UsageError("Give ids, or filters and --all, not both")
    if not ids and dataset is None:
        raise UsageError("Give ids of descriptors (descgen show --ids), or --dataset with filters or --all")
    if not ids and not any(filters.values()):
        raise UsageError(f"All descriptors of {dataset}? Then give --all; or --action, --kind, --llm, --status")


def _matching(
    store: Store, dataset: Dataset, statuses: Sequence[str], filters: Mapping[str, Any]
) -> list[DescriptorRef]:
    """Return the descriptors that match the options of the command."""
    status = filters["status"]
    actions = tables.select(dataset, filters["wanted_actions"])
    wanted = (status,) if status in STATUSES else STATUSES if status else statuses
    choice = Choice(wanted, tables.select_kinds(store, filters["wanted"]), filters["llm"])
    return [text.ref for text in choose(actions, store.descriptors(actions, statuses=STATUSES), choice)]


def _show(decision: Decision, *, as_json: bool) -> None:
    print_json(decision) if as_json else console.print(tables.decision(decision), soft_wrap=True)


accept = _judging(
    "accept",
    "Accept descriptors: those with the ids given, or all pending ones that match the filters.\n\n"
    "ID@VERSION accepts the version that you read (descgen show --json), and fails if it changed since.",
    ("pending",),
    Reviews.accept,
)
reject = _judging(
    "reject",
    "Reject descriptors: those with the ids given, or all pending ones that match the filters.",
    ("pending",),
    Reviews.reject,
)
restore = _judging(
    "restore",
    "Make descriptors pending again: those with the ids given, or all that match the filters.",
    ("accepted", "rejected"),
    Reviews.restore,
)


@click.command()
@click.argument("descriptor", metavar="ID[@VERSION]")
@click.argument("text")
@reviewer_option
@json_option
@click.pass_obj
def edit(database: Database, descriptor: str, text: str, reviewer: str, as_json: bool) -> None:
    """Replace a descriptor by TEXT. The original is kept, with its LLM."""
    store = database.existing
    [ref] = select_ids(store, [descriptor])
    _show(store.reviews().edit(ref, text, reviewer=reviewer), as_json=as_json)


@click.command()
@click.argument("text")
@dataset_option
@click.option("--action", "-a", required=True, metavar="NAME", help="Class name or phrase.")
@click.option("--kind", "-k", required=True, metavar="KIND", help="Kind of descriptor: descgen prompts list.")
@reviewer_option
@json_option
@click.pass_obj
def add(database: Database, text: str, dataset: str, action: str, kind: str, reviewer: str, as_json: bool) -> None:
    """Add TEXT, accepted, to the descriptors of a class."""
    store = database.store
    actions = store.resolve(dataset)
    [selected] = tables.select(actions, [action]).actions
    tables.select_kinds(store, [kind])
    _show(store.reviews().add(actions, selected.name, kind, text, reviewer=reviewer), as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID[@VERSION]...")
@reviewer_option
@json_option
@click.pass_obj
def reorder(database: Database, ids: tuple[str, ...], reviewer: str, as_json: bool) -> None:
    """Put the texts of one reply, or those that people added to a class, in the order given. Name all of them."""
    store = database.existing
    _show(store.reviews().reorder(select_ids(store, ids), reviewer=reviewer), as_json=as_json)


@click.command()
@click.option("--decision", type=click.IntRange(min=1), help="Its number, of any reviewer. [the last of --reviewer]")
@reviewer_option
@json_option
@click.pass_obj
def undo(database: Database, decision: int | None, reviewer: str, as_json: bool) -> None:
    """Undo a whole decision. If somebody changed one of its descriptors since, nothing is undone."""
    _show(database.existing.reviews().undo(reviewer=reviewer, decision=decision), as_json=as_json)


REVIEW_COMMANDS: tuple[click.Command, ...] = (accept, reject, restore, edit, add, reorder, undo)
