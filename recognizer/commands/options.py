"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from db import vocabulary
from recognizer.protocols import PROTOCOLS

LISTED = ", ".join(vocabulary.BUILT_IN)
STATUSES = {"any": ("pending", "accepted"), "accepted": ("accepted",)}

root_option = click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where its videos are. [data/<dataset>, or below the folder that RECOGNIZE_DATA names]",
)
data_option = click.option("--data", envvar="RECOGNIZE_DATA", type=click.Path(path_type=Path), hidden=True)
encoder_option = click.option(
    "--encoder",
    "-e",
    default="ViT-B/16",
    show_default=True,
    metavar="NAME",
    help="An openai-clip name or .pt archive; hf:<repo or folder> of any dual encoder; or objects (no download).",
)
kind_option = click.option(
    "--kind", "-k", "kinds", multiple=True, metavar="KIND", help="Descriptor kind. [all there are]"
)
llm_option = click.option(
    "--llm", "-l", metavar="NAME", help="Descriptors of one LLM or imported file, by part of its name."
)
status_option = click.option(
    "--status",
    type=click.Choice(list(STATUSES)),
    default="any",
    show_default=True,
    help="Accepted descriptors alone, or pending ones too; rejected ones are never used.",
)
protocol_option = click.option(
    "--protocol",
    type=click.Choice(list(PROTOCOLS)),
    default="default",
    show_default=True,
    help="; ".join(f"{protocol.name}: {protocol.about}" for protocol in PROTOCOLS.values()) + ".",
)
frames_option = click.option(
    "--frames", type=click.IntRange(min=1), default=16, show_default=True, help="Frames a video."
)
