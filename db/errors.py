"""Errors for users. Any other exception is a bug and ends in a traceback.

UserError                 something the user can fix; the command exits with 1
├── UsageError            the command was used wrongly: an unknown name, a missing option; it exits with 2
├── DatabaseError         the database cannot be used now; the message names its file or address
└── ConflictError         a decision is about descriptors that somebody else has changed; nothing was changed

A message names the value, the allowed values, and the next command to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from db.records import Conflict

_MAX_LISTED = 10
_LONGEST_SHOWN = 100  # characters of a name


def first_few(names: Sequence[str], *, count: int = 5, longest: int = _LONGEST_SHOWN) -> str:
    """Return the first names, and how many more there are: `a, b, c, d, e and 212 more`."""
    more = len(names) - count
    shown = [shortened(name, longest=longest) for name in names[:count]]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def shortened(name: str, *, longest: int = _LONGEST_SHOWN) -> str:
    """Return a name, or its beginning if it is too long for a message."""
    return name if len(name) <= longest else f"{name[:longest]}..."


def unknown(noun: str, given: str, known: Iterable[str], *, listed: int | None = None) -> str:
    """Return the beginning of a message: the unknown name, the known names like it, and the known names.

        Unknown method 'mena'. Did you mean mean? Known: align, label, max, mean

    Args:
        noun: the kind of thing that it names, such as `method`.
        given: the unknown name.
        known: the names to choose from.
        listed: how many of them to list; None lists all.
    """
    names = list(dict.fromkeys(known))
    shown = first_few(names, count=listed or len(names)) or "none"
    return f"Unknown {noun} {given!r}. {did_you_mean(given, names)}Known: {shown}"


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """Return `Did you mean a or b? `, the names that are spelled like the given one; "" if none is."""
    by_letters: dict[str, str] = {}
    for name in known:
        by_letters.setdefault(letters(name), name)
    near = get_close_matches(letters(given), by_letters, n=3, cutoff=0.7)
    if letters(given) in near:  # the same letters and digits: no other name was meant
        near = [letters(given)]
    return f"Did you mean {' or '.join(by_letters[each] for each in near)}? " if near else ""


def letters(name: str) -> str:
    """Return the letters and digits of a name in lower case: two spellings of one name have the same."""
    return "".join(filter(str.isalnum, name.lower())) or name


class UserError(Exception):
    """Something the user can fix."""


class UsageError(UserError):
    """The command was used wrongly."""


class DatabaseError(UserError):
    """The database cannot be used now; the message names its file or address, which not everyone may read."""


class ConflictError(UserError):
    """A decision is about descriptors that somebody else has changed; nothing was changed."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = tuple(conflicts)
        lines = [_line(conflict) for conflict in self.conflicts[:_MAX_LISTED]]
        more = len(self.conflicts) - len(lines)
        lines += [f"... and {more} more"] if more else []
        super().__init__("\n".join(["Nothing was changed: these descriptors changed since you read them.", *lines]))


def _line(conflict: Conflict) -> str:
    """Return one line: the version expected, the version now, and who made which change when."""
    expected, now, event = conflict.expected, conflict.now, conflict.event
    state = f"{now.text!r}, {now.status}" if conflict.in_use else f"out of use (its text was {now.text!r})"
    author = f"{event.what} by {event.reviewer}" if event else "replaced or restored by a build"
    when = f", {conflict.at:%Y-%m-%d %H:%M:%S} UTC" if conflict.at else ""
    return (
        f"{expected.id} (version {expected.version}) is now {now.id} (version {now.version}): {state}; {author}{when}"
    )
