"""What a reviewer reads about a text that somebody else changed first."""

from __future__ import annotations

from collections.abc import Mapping

from db.records import Conflict

_DID = {
    "accept": "accepted this text",
    "reject": "rejected this text",
    "restore": "made this text pending again",
    "edit": "changed this text",
    "replace": "replaced words of this text",
    "reorder": "moved this text",
    "add": "added this text again",
    "undo": "undid a decision on this text",
}


def cause(conflict: Conflict, reviewer: str) -> str:
    """Return who did what before this reviewer's decision: a reviewer, or a build, which replaces replies."""
    event = conflict.event
    if event is None:
        return "A build replaced this text, or put it in use again, before you"
    if event.reviewer == reviewer:
        return f"You {_DID[event.what]} elsewhere"
    return f"{event.reviewer} {_DID[event.what]} before you"


def in_words(conflict: Conflict, reviewer: str) -> str:
    """Return one line for terminals: what was done, and the text as it is now."""
    now = conflict.now
    return f"{cause(conflict, reviewer)}: {now.text} [{now.status if conflict.in_use else 'out of use'}]"


def by_text(conflicts: tuple[Conflict, ...]) -> Mapping[int, Conflict]:
    """Return the conflicts about texts in use, by the id that the text has now."""
    return {conflict.now.id: conflict for conflict in conflicts if conflict.in_use}
