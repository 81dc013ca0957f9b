"""The kinds of descriptors that a database can take: those of the templates that come with the program, and its own."""

from __future__ import annotations

from importlib.resources import files

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.errors import UsageError
from db.schema import DescriptorRow, TemplateRow


def built_in_kinds() -> list[str]:
    """Return the kinds of the prompt templates that come with the program."""
    return sorted(file.name.removesuffix(".j2") for file in files("prompts").iterdir() if file.name.endswith(".j2"))


def refuse_unknown_kind(session: Session, kind: str) -> None:
    """Refuse a kind that is neither built in, nor that of a stored template, nor that of a stored descriptor.

    Raises:
        UsageError: the kind is unknown.
    """
    known = set(built_in_kinds())
    if kind in known:
        return
    known |= {*session.scalars(select(TemplateRow.kind).distinct()), *session.scalars(_KINDS_IN_USE)}
    if kind not in known:
        raise UsageError(f"Unknown kind {kind[:_LONGEST_SHOWN]!r}. Known: {', '.join(sorted(known))}")


_KINDS_IN_USE = select(DescriptorRow.kind).distinct()
_LONGEST_SHOWN = 100
