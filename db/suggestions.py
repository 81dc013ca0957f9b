"""Commands that messages suggest: the database that was typed is repeated in each of them.

Messages name a command after a colon, a semicolon, "then" or an opening bracket; elsewhere its name is prose.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.text import Text

from db.profile import without_secrets
from db.texts import clean

_SUGGESTED = re.compile(r"(^|[:;,]\s|\(|\bthen\s)(descgen|recognize)(?= [a-z])")


def typed_database() -> str | None:
    """Return the `--db` that was typed; None if the environment, a profile or the default chose the database."""
    context = click.get_current_context(silent=True)
    root = context.find_root() if context else None
    typed = root is not None and root.get_parameter_source("url") is ParameterSource.COMMANDLINE
    return root.params["url"] if root and typed else None


def with_database(message: str) -> str:
    """Return a message whose suggested commands have the `--db` that was typed, without its secrets."""
    url = typed_database()
    if url is None:
        return message
    option = f" --db {shlex.quote(without_secrets(url))}"
    return _SUGGESTED.sub(lambda match: match[0] + option, message)


class SuggestingConsole(Console):
    """A console whose texts repeat the database that was typed, and hold nothing that the terminal obeys."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is written; texts are cleaned, whatever they are in: older databases may hold any character."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts, and groups that hold some; tables stay as they are."""
        super().print(*map(_repeated, objects), **options)


def _repeated(value: Any) -> Any:
    if isinstance(value, str):
        return with_database(value)
    if isinstance(value, Group):
        return Group(*map(_repeated, value.renderables), fit=value.fit)
    return _repeated_text(value) if isinstance(value, Text) else value


def _repeated_text(text: Text) -> Text:
    """Return a text with the option; one with several styles stays as it is, since they are kept by position."""
    plain = with_database(text.plain)
    if plain == text.plain or text.spans:
        return text
    changed = text.copy()
    changed.plain = plain
    return changed
