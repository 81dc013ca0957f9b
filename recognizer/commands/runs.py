"""`recognize runs`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from db import vocabulary
from db.commandline import Database, console, json_option, notes, print_json
from db.errors import UsageError, UserError
from recognizer.commands.options import FOLDER

if TYPE_CHECKING:
    from db.records import Run
    from db.runs import RunChange, RunContents, Runs
    from db.store import Store

_MAKE_ONE = "Make one with: recognize eval --dataset hmdb51 --root FOLDER --encoder objects"
_SORTS = ("oldest", "newest", "best", "gain", "name")
_FILTERS = (
    click.option(
        "--encoder",
        "-e",
        default="",
        show_default=False,
        metavar="TEXT",
        help="List runs of encoders with this in their name.",
    ),
    click.option("--method", default="", show_default=False, metavar="NAME", help="List runs by this scoring method."),
    click.option("--protocol", default="", show_default=False, metavar="NAME", help="List runs by this protocol."),
    click.option("--tagged", "tagged", default="", show_default=False, metavar="TAG", help="List runs with this tag."),
    click.option(
        "--search", default="", show_default=False, metavar="TEXT", help="List runs with this in their name or note."
    ),
    click.option(
        "--since",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="YYYY-MM-DD",
        help="List runs made on this day (UTC) or later.",
    ),
)
_CHANGES = (
    click.option("--name", metavar="NAME", help="Name the run; commands take the name as RUN. '' takes it away."),
    click.option("--note", metavar="TEXT", help="Say something about the runs; '' takes it away."),
    click.option("--tag", multiple=True, metavar="TAG", help="Mark the runs; may be given again."),
    click.option("--untag", multiple=True, metavar="TAG", help="Take a tag away; may be given again."),
)


def _several(options: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def decorator(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorator


@click.command()
@click.argument("names", nargs=-1, metavar="[RUN]...")
@click.option("--dataset", "-d", metavar="NAME", help="List runs on this dataset.")
@_several(_FILTERS)
@click.option("--sort", type=click.Choice(_SORTS), default="oldest", help="Order of the list.")
@_several(_CHANGES)
@click.option("--delete", is_flag=True, help="Delete the runs with their predictions and impacts; asks first.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--export", "form", type=click.Choice(["mteb"]), help="Write result files in this format instead.")
@click.option("--output", type=FOLDER, default="results", metavar="FOLDER", help="Folder for the files of --export.")
@json_option
@click.pass_obj
def runs(
    database: Database,
    /,
    names: tuple[str, ...],
    dataset: str | None,
    sort: str,
    delete: bool,
    yes: bool,
    form: str | None,
    output: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """List all runs, show one in full, or the mean and deviation over several; name, mark or delete them.

    RUN is the number or the name of a run.
    """
    change = _change(given)
    _refuse_mixtures(names, {"delete": delete, "change": change, "export": form}, given)
    if delete or change:
        changes = database.existing.run_changes()
        numbers = list(dict.fromkeys(changes.without_predictions(name).id or 0 for name in names))
        _apply(changes, numbers, change, as_json) if change else _delete(changes, numbers, yes=yes, as_json=as_json)
        return
    store = database.reading(as_json=as_json)
    if names:
        chosen = list({run.id: run for run in map(store.run, names)}.values())
        _show(store, chosen, form=form, output=output, as_json=as_json)
    else:
        _list(store, dataset, given, sort=sort, as_json=as_json)


def _refuse_mixtures(names: Sequence[str], wishes: Mapping[str, object], given: Mapping[str, Any]) -> None:
    """Raise a UsageError if options of several uses of the command are given, or the runs are missing."""
    wanted = [wish for wish, is_wanted in wishes.items() if is_wanted]
    filters = [f"--{name}" for name in ("encoder", "method", "protocol", "tagged", "search", "since") if given[name]]
    if len(wanted) > 1:
        raise UsageError(f"Do one after the other: {' and '.join(wanted)} cannot be done by one command")
    if names and filters:
        raise UsageError(f"{filters[0]} chooses runs for the list: leave it out, or {' '.join(names)}")
    if wanted and not names:
        raise UsageError(f"Which runs to {wanted[0]}? Give their numbers or names. All runs: recognize runs")


def _change(given: dict[str, Any]) -> RunChange | None:
    """Return the change that the options ask for, if they ask for one."""
    from db.runs import RunChange

    change = RunChange(given["name"], given["note"], given["tag"], given["untag"])
    return None if change == RunChange() else change


def _apply(changes: Runs, runs: Sequence[int], change: RunChange, as_json: bool) -> None:
    from recognizer.evaluation.run_list import summary
    from recognizer.evaluation.run_table import run_table

    changed = [summary(run) for run in changes.change(runs, change)]
    print_json(changed) if as_json else console.print(run_table(changed))


def _delete(changes: Runs, runs: Sequence[int], *, yes: bool, as_json: bool) -> None:
    contents = changes.contents(runs)
    for each in contents:
        notes.print(_going(each), soft_wrap=True)
    if not yes:
        copy = f"recognize runs {runs[0]} --json > run-{runs[0]}.json"
        others = " (and so for each of the others)" if len(runs) > 1 else ""
        notes.print(f"This cannot be undone. To keep a copy: {copy}{others}", soft_wrap=True)
        click.confirm(f"Delete {_counted(len(contents), 'run')}?", abort=True, err=True)
    changes.delete(contents)
    print_json(contents) if as_json else console.print(f"Deleted {_counted(len(contents), 'run')}")


def _going(contents: RunContents) -> str:
    called = f" ({contents.name})" if contents.name else ""
    return (
        f"run {contents.run}{called}: {contents.dataset}, {contents.created_at:%Y-%m-%d %H:%M} UTC, "
        f"{_counted(contents.predictions, 'prediction')}, {_counted(contents.impacts, 'impact')} of texts"
    )


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _show(store: Store, chosen: Sequence[Run], *, form: str | None, output: Path, as_json: bool) -> None:
    from recognizer.evaluation.evaluate import with_texts
    from recognizer.evaluation.export_mteb import export_runs
    from recognizer.evaluation.means import means_of
    from recognizer.evaluation.tables import mean_report, run_report

    if form:
        for file in export_runs(chosen, output):
            click.echo(file)
    elif len(chosen) == 1:
        print_json(with_texts(store, chosen[0])) if as_json else console.print(run_report(chosen[0]))
    else:
        print_json(means_of(chosen)) if as_json else console.print(mean_report(chosen))


def _list(store: Store, dataset: str | None, given: dict[str, Any], *, sort: str, as_json: bool) -> None:
    from recognizer.evaluation.run_list import RunFilter, listed, summary
    from recognizer.evaluation.run_table import run_table

    since: datetime | None = given["since"]
    texts = {name: given[name] for name in ("encoder", "method", "protocol", "search")}
    filter_ = RunFilter(**texts, tag=given["tagged"], since=since.replace(tzinfo=UTC) if since else None)
    stored = store.runs(vocabulary.canonical(dataset) if dataset else None)
    rows = listed(map(summary, stored), filter_, sort=sort)
    if as_json:
        print_json(rows)
    elif rows:
        console.print(run_table(rows))
    elif stored:
        on = f" --dataset {shlex.quote(dataset)}" if dataset else ""
        raise UserError(f"None of {_counted(len(stored), 'run')} matches: {filter_.in_words}. All: recognize runs{on}")
    else:
        raise UserError(f"{f'No runs on {dataset} yet' if dataset else 'No runs yet'}. {_MAKE_ONE}")
