"""What `descgen prompts` shows: plain rows for JSON, and texts and tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from db.commandline import table
from descriptor_gen.llms import Request
from descriptor_gen.prompting.prompt import Checked, Prompt

_SHOWN_DIGITS = 12


def prompt_rows(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Return one row for each prompt."""
    return [
        {
            "kind": prompt.kind,
            "version": prompt.template.version,
            "about": prompt.about,
            "from": prompt.origin,
            "sha256": prompt.template.sha256,
        }
        for prompt in prompts
    ]


def prompt_table(rows: Sequence[dict[str, Any]]) -> RenderableType:
    """Return the rows as a table."""
    body = [
        (row["kind"], row["version"], row["from"], row["sha256"][:_SHOWN_DIGITS], row["about"].strip()) for row in rows
    ]
    return table("kind", ">version", "from", "sha256", "about", rows=body)


def messages(request: Request) -> RenderableType:
    """Return the messages as text, each below its role."""
    return Text("\n\n".join(f"[{message['role']}]\n{message['content']}" for message in request.messages))


def faults(found: Sequence[Checked]) -> RenderableType:
    """Return a line for each fault, and for each template that has none."""
    lines = [f"{checked.template}: {fault}" for checked in found for fault in checked.faults or ("good",)]
    return Text("\n".join(lines))
