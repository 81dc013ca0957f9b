"""`descgen comment` and `descgen guidelines`: what reviewers say about texts, and what they go by."""

from __future__ import annotations

from typing import IO

import click
from rich.text import Text

from db.commandline import Database, console, json_option, print_json
from db.errors import UserError
from descriptor_gen.commands.options import dataset_option
from descriptor_gen.commands.review import reviewer_option


@click.command()
@click.argument("descriptor", type=click.IntRange(min=1), metavar="ID")
@click.argument("text")
@reviewer_option
@json_option
@click.pass_obj
def comment(database: Database, descriptor: int, text: str, reviewer: str, as_json: bool) -> None:
    """Say something about the descriptor ID; descgen show and descgen review show it. It cannot be changed."""
    added = database.existing.comments().add(descriptor, text, reviewer=reviewer)
    line = Text(f"{added.reviewer} on {added.descriptor}: {added.text}")
    print_json(added) if as_json else console.print(line, soft_wrap=True)


@click.command()
@dataset_option
@click.option("--set", "file", type=click.File(encoding="utf-8"), help="A file that replaces them; -: standard input.")
@reviewer_option
@json_option
@click.pass_obj
def guidelines(database: Database, dataset_name: str, file: IO[str] | None, reviewer: str, as_json: bool) -> None:
    """Show what reviewers of a dataset should go by, or set it: paragraphs, and lists of lines that begin with -."""
    store = database.store if file else database.existing_or_empty
    dataset, comments = store.resolve(dataset_name), store.comments()
    now = comments.set_guidelines(dataset, _read(file), reviewer=reviewer) if file else comments.guidelines(dataset)
    if as_json:
        print_json(now)
    elif now:
        console.print(Text(f"{now.text}\n\n{now.reviewer}, {now.at:%Y-%m-%d %H:%M} UTC"), soft_wrap=True)
    else:
        write = f"Write some: descgen guidelines --dataset {dataset.argument} --set FILE"
        console.print(Text(f"No guidelines for {dataset.name}. {write}"), soft_wrap=True)


def _read(file: IO[str]) -> str:
    try:
        return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {file.name} as text in UTF-8: {error}") from error
