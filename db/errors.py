"""The errors that a user is meant to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.records import Conflict

_SHOWN = 10


class UserError(Exception):
    """Something the user can mend; the message names the value, what is known, and what to type next."""


class UsageError(UserError):
    """The command itself was wrong: an unknown name, a missing option."""


class ConflictError(UserError):
    """A decision named descriptors that somebody changed since they were seen; nothing was changed by it."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        lines = [_told(conflict) for conflict in self.conflicts[:_SHOWN]]
        more = len(self.conflicts) - len(lines)
        lines += [f"... and {more} more"] if more else []
        super().__init__("\n".join(["Nothing was changed: this is no longer what was seen.", *lines]))


def _told(conflict: Conflict) -> str:
    """Return one line: what was seen, what it is now, and who did what to it when."""
    seen, now = f"{conflict.seen.id} (version {conflict.seen.version})", f"{conflict.id} (version {conflict.version})"
    what = f"{conflict.text!r}, {conflict.status}" if conflict.in_use else f"out of use (it was {conflict.text!r})"
    when = f", {conflict.at:%Y-%m-%d %H:%M:%S} UTC" if conflict.at else ""
    return f"{seen} is now {now}: {what}; {_doing(conflict)}{when}"


def _doing(conflict: Conflict) -> str:
    return f"{conflict.what} by {conflict.reviewer}" if conflict.what else "another reply took or gave back its place"
