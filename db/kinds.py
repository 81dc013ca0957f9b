"""The kinds of descriptors that a database can take: those of the templates that come with the program, and its own."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from db.errors import UsageError, shortened, unknown

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

NAME = "name"  # the kind whose texts are other words for labels: one for each class


def built_in_kinds() -> list[str]:
    """Return the kinds of the prompt templates that come with the program."""
    return sorted(file.name.removesuffix(".j2") for file in files("prompts").iterdir() if file.name.endswith(".j2"))


def refuse_unknown_kind(session: Session, kind: str) -> None:
    """Refuse a kind that is neither built in, nor that of a stored template, nor that of a stored descriptor.

    Raises:
        UsageError: the kind is unknown.
    """
    from sqlalchemy import select  # commands that only name the built-in kinds do without it

    from db.schema import DescriptorRow, TemplateRow

    known = set(built_in_kinds())
    if kind in known:
        return
    for column in (TemplateRow.kind, DescriptorRow.kind):
        known.update(session.scalars(select(column).distinct()))
    if kind not in known:
        raise UsageError(unknown("kind", shortened(kind), sorted(known)))
