"""`descgen datasets`: list, show, add, rename and remove datasets."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.text import Text

from db import vocabulary
from db.commandline import Database, console, json_option, print_json, table
from db.dataset_changes import DatasetChanges
from db.errors import UsageError, did_you_mean, first_few
from db.label_files import read_labels
from db.records import STATUSES, Dataset
from descriptor_gen import tables
from descriptor_gen.commands.options import name_option

if TYPE_CHECKING:
    from db.catalogue import Catalogue
    from db.own_datasets import DatasetContents
    from db.store import Store

_EXISTING = "The name of a stored dataset."


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def datasets(context: click.Context, as_json: bool) -> None:
    """List the datasets, built in and your own; show, add, rename or remove one.

    \b
    descgen datasets show hmdb51                                its classes, phrases and numbers of texts
    descgen datasets add labels.txt --name mine                 store a file of labels under a name
    descgen datasets add ucf101 --name few --classes a,b,c      some classes of another one, with its texts
    """
    if context.invoked_subcommand is None:
        rows = _rows(context.obj.catalogue)
        print_json(rows) if as_json else console.print(_listing(rows))


def _rows(store: Catalogue) -> tables.Rows:
    names = dict.fromkeys([*vocabulary.BUILT_IN, *store.datasets()])
    sizes = {name: len(store.dataset(name).actions) for name in names}
    return [{"name": name, "actions": size, "built_in": name in vocabulary.BUILT_IN} for name, size in sizes.items()]


def _listing(rows: tables.Rows) -> RenderableType:
    body = [(row["name"], row["actions"], "built in" if row["built_in"] else "your own") for row in rows]
    return table("dataset", ">classes", "from", rows=body)


@datasets.command("show")
@click.argument("name", metavar="NAME|PATH")
@json_option
@click.pass_obj
def show_dataset(database: Database, name: str, as_json: bool) -> None:
    """Show the classes, phrases and numbers of texts of a dataset, and where it came from."""
    store = database.existing_or_empty
    dataset = store.resolve(name)
    contents = store.own_datasets().contents(dataset.name) if dataset.name in store.datasets() else None
    descriptors = store.descriptors(dataset, statuses=STATUSES)
    counted = Counter((text.kind, text.writer, text.status) for text in descriptors)
    texts = [(*key, number) for key, number in sorted(counted.items())]
    if as_json:
        columns = ("kind", "writer", "status", "texts")
        rows = [dict(zip(columns, row, strict=True)) for row in texts]
        print_json(
            {"name": dataset.name, "from": _origin(dataset, contents), "classes": dataset.actions, "texts": rows}
        )
        return
    classes = tables.action_table(dataset, tables.action_rows(dataset, descriptors))
    written = (
        table("kind", "writer", "status", ">texts", title="Texts in use", rows=texts) if texts else Text("No texts")
    )
    console.print(Group(classes, Text(), written, Text(), Text(_summary(dataset, contents))))


def _origin(dataset: Dataset, contents: DatasetContents | None) -> str:
    if dataset.name in vocabulary.BUILT_IN:
        return "built in"
    if dataset.stored_as != dataset.name:
        return f"classes of {dataset.stored_as}"
    return (contents and contents.origin) or dataset.path or "not recorded"


def _summary(dataset: Dataset, contents: DatasetContents | None) -> str:
    shared = f"; its texts are those of {dataset.stored_as}" if dataset.stored_as != dataset.name else ""
    stored = f". Stored: {_listed(contents)}" if contents else ". Not stored yet"
    return f"From: {_origin(dataset, contents)}{shared}{stored}"


def _listed(contents: DatasetContents) -> str:
    """Return what a dataset holds of its own, by count."""
    runs = f" ({first_few(list(map(str, contents.runs)))})" if contents.runs else ""
    subsets = f", {len(contents.subsets)} subsets ({first_few(contents.subsets)})" if contents.subsets else ""
    return (
        f"{contents.classes} classes, {contents.texts} texts (in use or replaced), {contents.calls} calls, "
        f"{contents.decisions} decisions, {len(contents.runs)} runs{runs}{subsets}"
    )


@datasets.command("add")
@click.argument("path", metavar="PATH|NAME")
@name_option
@click.option("--classes", metavar="FILE|A,B,C", help="Only these classes. The dataset shares the texts of PATH|NAME.")
@click.option("--replace", is_flag=True, help="Change the stored dataset of that name to these classes.")
@click.pass_obj
def add_dataset(database: Database, path: str, name: str | None, classes: str | None, replace: bool) -> None:
    """Store a file of labels, a folder of class folders, or some classes of another dataset.

    If it is stored already, its phrases are updated. With --replace, classes that are gone keep their texts in the
    database, out of use, until the classes come back.
    """
    store = database.store
    if classes:
        console.print(_add_subset(store, path, name, classes, replace=replace), soft_wrap=True)
        return
    dataset = store.resolve(path, name=name, update="classes" if replace else "phrases")
    if dataset.name in vocabulary.BUILT_IN:
        raise UsageError(f"{dataset.name} is built in. For some of its classes: --name NEW --classes A,B,C")
    stored = store.dataset(dataset.name) if dataset.name in store.datasets() else None
    if stored and replace:
        _refuse_lost(store, dataset)
    rephrased = store.register(dataset, update="classes" if replace else "phrases")
    lines = [_added(stored, dataset), *tables.rephrased_lines(dataset.name, rephrased)]
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _added(stored: Dataset | None, dataset: Dataset) -> str:
    changed = DatasetChanges.between(stored, dataset).of_classes if stored else ""
    outcome = f"changed: {changed}" if changed else "stored already" if stored else "stored"
    return (
        f"{dataset.name}: {len(dataset.actions)} classes, {outcome}. Use it with: --dataset {shlex.quote(dataset.name)}"
    )


def _refuse_lost(store: Store, dataset: Dataset) -> None:
    """Refuse to take classes away that a subset of the dataset has."""
    kept = {action.name for action in dataset.actions}
    for name in store.own_datasets().contents(dataset.name).subsets:
        if lost := [action.name for action in store.dataset(name).actions if action.name not in kept]:
            raise UsageError(
                f"The subset {name} has classes that would be gone: {first_few(lost)}. Remove it first: "
                f"descgen datasets remove {shlex.quote(name)} --yes"
            )


def _add_subset(store: Store, given: str, name: str | None, classes: str, *, replace: bool) -> Text:
    """Store some classes of a dataset under a name of their own."""
    if name is None:
        raise UsageError("Give the classes a name of their own: --name NEW")
    parent = store.resolve(given, update="phrases")
    if vocabulary.checked_name(name) == parent.name:
        raise UsageError(f"{name} is the whole dataset. Give the classes another name: --name {shlex.quote(name)}-few")
    subset = vocabulary.subset(name, parent, _class_names(parent, classes))
    stored = store.dataset(name) if name in store.datasets() else None
    changed = DatasetChanges.between(stored, subset).of_classes if stored else ""
    if stored and stored.stored_as != subset.stored_as:
        raise UsageError(f"There is a dataset {name}, which is no part of {parent.name}. Give another --name")
    if changed and not replace:
        raise UsageError(f"The stored dataset {name} has other classes: {changed}. Give another --name, or --replace")
    store.register(parent)
    store.own_datasets().add_subset(subset)
    return Text(f"{_added(stored, subset)}. Its texts are those of {subset.stored_as}")


def _class_names(parent: Dataset, classes: str) -> list[str]:
    """Return the names of the classes in a file, or in a list with commas, in that order."""
    path = Path(classes)
    given = [label.name for label in read_labels(path)] if path.is_file() else classes.split(",")
    wanted = [each.strip() for each in given if each.strip()]
    matches = {each: vocabulary.class_finder(parent)(each) for each in wanted}
    if unknown := [each for each, action in matches.items() if action is None]:
        raise UsageError(
            f"{parent.name} has no class {first_few(unknown)}. "
            f"{did_you_mean(unknown[0], [action.name for action in parent.actions])}"
            f"Its classes: descgen list --dataset {parent.argument}"
        )
    names = [action.name for each in wanted if (action := matches[each])]
    if repeated := [each for each, number in Counter(names).items() if number > 1]:
        raise UsageError(f"Twice in --classes: {first_few(repeated)}. Keep one of each")
    return names


@datasets.command("rename")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@click.pass_obj
def rename_dataset(database: Database, old: str, new: str) -> None:
    """Give a dataset of your own another name. Its texts, decisions and runs stay as they are."""
    contents = database.existing.own_datasets().rename(old, new)
    console.print(Text(f"{old} is now {contents.name}: {_listed(contents)}"), soft_wrap=True)


@datasets.command("remove")
@click.argument("name", metavar="NAME")
@click.option("--yes", is_flag=True, help="Remove it; without this, only what would go is shown.")
@click.pass_obj
def remove_dataset(database: Database, name: str, yes: bool) -> None:
    """Remove a dataset of your own with its texts, decisions and runs; of a subset, only its runs.

    A reply that another dataset uses too is kept there.
    """
    own = database.existing.own_datasets()
    if yes:
        console.print(Text(f"Removed {name}: {_going(own.remove(name))}"), soft_wrap=True)
        return
    contents, quoted = own.removable(name), shlex.quote(name)
    copies = [f"descgen export --dataset {quoted} -o FILE.json"] if contents.texts or contents.runs else []
    copies += [f"recognize runs {run} --json > run-{run}.json" for run in contents.runs]
    export = f"To keep a copy: {'; '.join(copies)}. " if copies else ""
    raise UsageError(
        f"This removes {name} for good: {_going(contents)}. {export}"
        f"To remove it: descgen datasets remove {quoted} --yes"
    )


def _going(contents: DatasetContents) -> str:
    kept = f". The texts stay: they are those of {contents.parent}" if contents.parent else ""
    return f"{_listed(contents)}{kept}"
