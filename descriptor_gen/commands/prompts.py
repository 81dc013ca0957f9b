"""`descgen prompts`: the prompt templates, built in and your own."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json
from db.errors import UsageError, UserError
from db.records import Action
from db.texts import clean
from descriptor_gen import tables
from descriptor_gen.commands.options import language_option, stored_templates, template_option
from descriptor_gen.prompting.prompt import (
    check_built_in,
    check_file,
    kinds,
    load_prompts,
    read_prompts,
    stored_kinds,
    template_files,
)


@click.group()
def prompts() -> None:
    """List, show, render and check prompt templates, built in or your own.

    \b
    descgen prompts show context > colours.j2                     start from a template that works
    descgen prompts check colours.j2                              list its faults
    descgen prompts render colours -t colours.j2 -a "yo-yo"       show the messages for an LLM
    descgen build --dataset hmdb51 --template colours.j2          use it
    """


@prompts.command("list")
@template_option
@json_option
@click.pass_obj
def list_prompts(database: Database, templates: tuple[Path, ...], as_json: bool) -> None:
    """List the descriptor kinds with their templates: built in, of files, and those of earlier builds."""
    own, stored = read_prompts(templates), stored_templates(database)
    names = sorted({*kinds(), *(prompt.kind for prompt in own), *stored_kinds(stored)})
    rows = tables.prompt_rows(load_prompts(names, own=own, stored=stored))
    print_json(rows) if as_json else console.print(tables.prompt_table(rows))


@prompts.command("show")
@click.argument("kind")
@template_option
@click.pass_obj
def show_template(database: Database, kind: str, templates: tuple[Path, ...]) -> None:
    """Print the template of a kind."""
    [prompt] = load_prompts([kind], own=read_prompts(templates), stored=stored_templates(database))
    click.echo(clean(prompt.template.source), nl=False)


@prompts.command()
@click.argument("kind")
@click.option("--action", "-a", "phrase", required=True, metavar="TEXT", help="The action to ask about: any text.")
@click.option(
    "--dataset",
    "-d",
    "dataset_name",
    metavar="NAME|PATH",
    help="Take --action as a class of this dataset, by name or phrase.",
)
@click.option("--rival", "rivals", multiple=True, metavar="TEXT", help="An action to compare with; may be given again.")
@language_option
@template_option
@json_option
@click.pass_obj
def render(
    database: Database,
    kind: str,
    phrase: str,
    dataset_name: str | None,
    rivals: tuple[str, ...],
    language: str,
    templates: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Show the messages that would be sent to an LLM about an action."""
    [prompt] = load_prompts([kind], own=read_prompts(templates), stored=stored_templates(database))
    action, stored_as = Action(0, phrase, phrase), ""
    if dataset_name:
        dataset = tables.select(database.catalogue.resolve(dataset_name), [phrase])
        action, stored_as = dataset.actions[0], dataset.stored_as
    if prompt.compares and not rivals:
        raise UsageError(f"Kind {kind} compares the action with others: name them with --rival")
    request = prompt.request(action, dataset=stored_as, rivals=rivals, language=language)
    print_json(request) if as_json else console.print(tables.messages(request), soft_wrap=True)


@prompts.command("check")
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@json_option
def check_templates(paths: tuple[Path, ...], as_json: bool) -> None:
    """List every fault of templates: files, folders of them, or the built-in ones.

    The exit code is 1 if there are any.
    """
    checks = [check_file(file) for file in template_files(paths)] if paths else check_built_in()
    print_json(checks) if as_json else console.print(tables.faults(checks), soft_wrap=True)
    unusable = sum(bool(check.faults) for check in checks)
    if unusable:
        raise UserError(f"{unusable} of {len(checks)} templates cannot be used")
