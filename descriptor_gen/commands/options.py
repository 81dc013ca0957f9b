"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from db import vocabulary
from db.commandline import Database
from db.descriptor_filter import LLM_HELP
from db.kinds import built_in_kinds
from db.records import Template
from descriptor_gen.prompting.language import language_name

dataset_option = click.option(
    "--dataset",
    "-d",
    "dataset_name",
    required=True,
    metavar="NAME|PATH",
    help=f"{', '.join(vocabulary.BUILT_IN)}; a file of labels; or a folder of class folders.",
)
optional_dataset_option = click.option(
    "--dataset", "-d", "dataset_name", metavar="NAME|PATH", help="As in other commands; required unless ids are given."
)
name_option = click.option(
    "--name", metavar="NEW", help="A name of its own for a file or folder of classes. [that of the file or folder]"
)
kind_option = click.option(
    "--kind",
    "-k",
    "kind_names",
    multiple=True,
    metavar="KIND",
    help=f"{', '.join(built_in_kinds())}, or your own; may be given again. [all but contrast and name]",
)
template_option = click.option(
    "--template",
    "-t",
    "templates",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Your own prompt template, or a folder of them (.j2); may be given again.",
)
action_option = click.option(
    "--action", "-a", "action_names", multiple=True, metavar="NAME", help="Class name or phrase. [all]"
)
writer_option = click.option("--llm", "-l", metavar="NAME", help=f"{LLM_HELP}. [any]")

USABLE = {"any": ("pending", "accepted"), "accepted": ("accepted",)}  # value of --status -> statuses
usable_option = click.option(
    "--status",
    type=click.Choice(list(USABLE)),
    default="any",
    show_default=True,
    help="Review status; any: all but rejected.",
)


def _language(context: click.Context, option: click.Parameter, name: str) -> str:
    return language_name(name)


language_option = click.option(
    "--language",
    default="",
    metavar="NAME",
    callback=_language,
    help="Language of the texts, such as German. [English]",
)


def stored_templates(database: Database) -> list[Template]:
    """Return the prompt templates of the database; none if there is no database yet."""
    return [] if database.path and not database.path.exists() else database.existing.templates()


def number_option(*names: str, default: int | None = None, about: str) -> Callable[[Callable[..., Any]], Any]:
    """Return an option that takes a positive whole number."""
    return click.option(
        *names, type=click.IntRange(min=1), default=default, show_default=default is not None, help=about
    )
