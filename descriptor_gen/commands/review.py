"""`descgen accept`, `reject`, `restore`, `edit`, `add`, `reorder`, `undo`: review in a terminal and in scripts."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import click

from db.commandline import Database, console, json_option, print_json
from db.errors import UsageError
from db.records import Dataset, Decision, Seen
from db.store import Store
from descriptor_gen import tables as show
from descriptor_gen import tables as show_reviews
from descriptor_gen.commands.options import action_option, dataset_option, kind_option, optional_dataset_option
from descriptor_gen.review.selection import STATUSES, Filter, filtered, named


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


class Judge(Protocol):
    """A method of `Reviews` that judges what was seen."""

    def __call__(self, seen: Sequence[Seen], *, reviewer: str) -> Decision: ...


def _judging(name: str, about: str, statuses: Sequence[str], judge: Callable[[Store], Judge]) -> click.Command:
    """Return a command that judges the ids given, or all that the filters take."""

    @click.command(name, help=about)
    @click.argument("ids", nargs=-1, metavar="[ID[@VERSION]]...")
    @optional_dataset_option
    @action_option
    @kind_option
    @click.option("--llm", "-l", metavar="TEXT", help="By an LLM or file whose name contains this; hand: by people.")
    @click.option(
        "--status", type=click.Choice([*STATUSES, "any"]), help=f"Only these. [{' and '.join(statuses)}; of ids any]"
    )
    @click.option("--all", "everything", is_flag=True, help="The whole dataset, where no filter is given.")
    @reviewer_option
    @json_option
    @click.pass_obj
    def command(
        database: Database, /, ids: tuple[str, ...], dataset: str | None, reviewer: str, as_json: bool, **filters: Any
    ) -> None:
        _refuse_unclear(ids, dataset, filters)
        store = database.existing
        actions = store.resolve(dataset) if dataset else None
        seen = _fitting(store, actions, statuses, **filters) if actions and not ids else named(store, ids, actions)
        _show(judge(store)(seen, reviewer=reviewer), as_json=as_json)

    return command


def _refuse_unclear(ids: Sequence[str], dataset: str | None, filters: Mapping[str, Any]) -> None:
    """Refuse what could be meant otherwise: a whole dataset is named as such, and ids go without filters."""
    if ids and any(filters.values()):
        raise UsageError("Give ids, or filters and --all, not both")
    if not ids and dataset is None:
        raise UsageError("Give ids of descriptors (descgen show --ids), or --dataset with filters or --all")
    if not ids and not any(filters.values()):
        raise UsageError(f"All descriptors of {dataset}? Then give --all; or --action, --kind, --llm, --status")


def _fitting(
    store: Store,
    dataset: Dataset,
    statuses: Sequence[str],
    *,
    wanted_actions: Sequence[str],
    wanted: Sequence[str],
    llm: str | None,
    status: str | None,
    everything: bool,
) -> list[Seen]:
    """Return what the filters take; `--all` says no more than that there may be none."""
    asked = (status,) if status in STATUSES else STATUSES if status else statuses
    actions = show.select(dataset, wanted_actions)
    return filtered(store, actions, Filter(asked, show.select_kinds(store, wanted), llm))


def _show(made: Decision, *, as_json: bool) -> None:
    print_json(made) if as_json else console.print(show_reviews.decision(made), soft_wrap=True)


accept = _judging(
    "accept",
    "Accept descriptors: those with the ids given, or all pending ones that the filters take.\n\n"
    "ID@VERSION accepts what was seen (descgen show --json) and nothing that changed since.",
    ("pending",),
    lambda store: store.reviews().accept,
)
reject = _judging(
    "reject",
    "Reject descriptors: those with the ids given, or all pending ones that the filters take.",
    ("pending",),
    lambda store: store.reviews().reject,
)
restore = _judging(
    "restore",
    "Make descriptors pending again: those with the ids given, or all that the filters take.",
    ("accepted", "rejected"),
    lambda store: store.reviews().restore,
)


@click.command()
@click.argument("descriptor", metavar="ID[@VERSION]")
@click.argument("text")
@reviewer_option
@json_option
@click.pass_obj
def edit(database: Database, descriptor: str, text: str, reviewer: str, as_json: bool) -> None:
    """Put TEXT in the place of a descriptor. The original is kept, and so is who wrote it."""
    store = database.existing
    [seen] = named(store, [descriptor])
    _show(store.reviews().edit(seen, text, reviewer=reviewer), as_json=as_json)


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
    [found] = show.select(actions, [action]).actions
    show.select_kinds(store, [kind])
    _show(store.reviews().add(actions, found.name, kind, text, reviewer=reviewer), as_json=as_json)


@click.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID[@VERSION]...")
@reviewer_option
@json_option
@click.pass_obj
def reorder(database: Database, ids: tuple[str, ...], reviewer: str, as_json: bool) -> None:
    """Put the texts of one reply, or those that people added to a class, in the order given: name all of them."""
    store = database.existing
    _show(store.reviews().reorder(named(store, ids), reviewer=reviewer), as_json=as_json)


@click.command()
@click.option("--decision", type=click.IntRange(min=1), help="Its number, whosever it is. [the reviewer's last]")
@reviewer_option
@json_option
@click.pass_obj
def undo(database: Database, decision: int | None, reviewer: str, as_json: bool) -> None:
    """Take a decision back, whole. What somebody changed since is not touched: then nothing is."""
    _show(database.existing.reviews().undo(reviewer=reviewer, decision=decision), as_json=as_json)


REVIEW_COMMANDS: tuple[click.Command, ...] = (accept, reject, restore, edit, add, reorder, undo)
