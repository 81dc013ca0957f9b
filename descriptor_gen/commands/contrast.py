"""What `descgen build` adds for kinds that compare: which actions each one is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from db.errors import UsageError
from db.records import Dataset
from db.store import Store
from descriptor_gen.generate.rivals import Rivals, rivals_by_run, rivals_by_text
from descriptor_gen.prompting.prompt import Prompt
from encoders.registry import open_text_encoder

_TEXT = "text:minilm"


def contrast_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--against` and `--rivals` to a command."""
    against = click.option(
        "--against",
        metavar="text[:ENCODER]|run:ID",
        help=f"For kinds that compare: the actions nearest in words, or those that a run confused. [{_TEXT}]",
    )
    count = click.option(
        "--rivals", "count", type=click.IntRange(min=1), default=3, show_default=True, help="How many of them."
    )
    return against(count(command))


def find_rivals(
    store: Store, dataset: Dataset, prompts: Sequence[Prompt], against: str | None, *, count: int
) -> Rivals:
    """Return what each action is compared with; nothing, and no model loaded, where no prompt compares.

    Raises:
        UsageError: `against` is neither form, or no prompt compares.
        UserError: the run has no video of some classes, or the encoder is not here.
    """
    if not any(prompt.compares for prompt in prompts):
        if against:
            raise UsageError("--against is for kinds that compare. Add --kind contrast")
        return {}
    source, _, name = (against or _TEXT).partition(":")
    if source == "run" and name.isdecimal():
        return rivals_by_run(dataset, store.run(int(name)), count=count)
    if source != "text":
        raise UsageError(f"--against {against!r} is neither text, text:ENCODER, nor run:ID (recognize runs lists them)")
    return rivals_by_text(dataset, open_text_encoder(name or "minilm"), count=count)
