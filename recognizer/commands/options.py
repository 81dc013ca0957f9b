"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from db import vocabulary
from recognizer.protocols import PROTOCOLS, TEMPLATES
from recognizer.scoring import METHODS
from recognizer.videos import POOLINGS

LISTED = ", ".join(vocabulary.BUILT_IN)
STATUSES = {"any": ("pending", "accepted"), "accepted": ("accepted",)}

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

METHOD_HELP = "How texts and frames are compared: " + "; ".join(f"{m.name}: {m.about}" for m in METHODS.values()) + "."
TEMPLATES_HELP = f"Around texts: the protocol's own, {', '.join(TEMPLATES)}, or a file with one template a line."
CONDITION_HELP = "The label before each descriptor."
POOLING_HELP = "How the frames of a video become one vector."

_SCORING = (
    click.option("--method", default="mean", show_default=True, metavar="NAME", help=METHOD_HELP),
    click.option("--pooling", type=click.Choice(list(POOLINGS)), default="avg", show_default=True, help=POOLING_HELP),
    click.option("--templates", default="protocol", show_default=True, metavar="NAME|FILE", help=TEMPLATES_HELP),
    click.option("--condition", is_flag=True, help=CONDITION_HELP),
    click.option(
        "--temperature",
        type=click.FloatRange(min=0, min_open=True),
        default=1.0,
        show_default=True,
        help="Of probabilities, softmax(100 * score / temperature), and of method soft.",
    ),
)


def scoring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a method; the command gets them as one dictionary `scoring`, of fields of `Settings`."""
    names = ("method", "pooling", "templates", "condition", "temperature")

    @wraps(command)
    def gathered(*args: Any, **kwargs: Any) -> Any:
        scoring = {name: kwargs.pop(name) for name in names}
        return command(*args, **kwargs, scoring=scoring)

    for option in reversed(_SCORING):
        gathered = option(gathered)
    return gathered
