"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from db import vocabulary
from descriptor_gen.prompting.prompt import kinds

dataset_option = click.option(
    "--dataset",
    "-d",
    required=True,
    metavar="NAME|PATH",
    help=f"{', '.join(vocabulary.BUILT_IN)}; a text file of labels; or a folder of class folders.",
)
optional_dataset_option = click.option(
    "--dataset", "-d", metavar="NAME|PATH", help="As for the other commands; needed where no id is given."
)
kind_option = click.option(
    "--kind",
    "-k",
    "wanted",
    multiple=True,
    metavar="KIND",
    help=f"{', '.join(kinds())}, or one of your own; may be given again. [all but contrast]",
)
template_option = click.option(
    "--template",
    "-t",
    "templates",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A prompt template of your own, or a folder of them (.j2); may be given again.",
)
action_option = click.option(
    "--action", "-a", "wanted_actions", multiple=True, metavar="NAME", help="Class name or phrase. [all]"
)
