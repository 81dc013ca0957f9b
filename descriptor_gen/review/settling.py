"""Settling a blind review: the texts on which reviewers differ, and those on which all agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from db.blind_verdicts import BlindVerdicts, Judged
from db.errors import UserError
from descriptor_gen.review.session import DecisionRequest, Outcome, ReviewSession, stamp

Which = Literal["agreed", "single"]
Verdict = Literal["accept", "reject"]

_LISTED = 100
_IS: Mapping[Which, Callable[[Judged], bool]] = {
    "agreed": lambda text: len(text.verdicts) > 1 and len(set(text.verdicts.values())) == 1,
    "single": lambda text: len(text.verdicts) == 1,
}


@dataclass(frozen=True)
class Group:
    """Texts with one verdict from all who judged them, that are still to be decided as they were written.

    Attributes:
        decided: number of texts with that verdict that are decided, edited or replaced already.
    """

    which: Which
    verdict: Verdict
    texts: Sequence[Judged]
    decided: int

    @property
    def stamp(self) -> str:
        """Digest of the texts and their versions."""
        return stamp(text.now for text in self.texts if text.now)


def verdicts_of(session: ReviewSession) -> BlindVerdicts:
    """Return the verdicts of all reviewers.

    Raises:
        UserError: the session is not that of the person who started the server, or is blind.
    """
    if session.all_verdicts is None:
        raise UserError(
            "Only the person who started the server settles a blind review, at the address printed as: to settle. "
            f"Without other reviewers: descgen review --dataset {session.dataset.argument}"
        )
    return session.all_verdicts


def group(judged: Sequence[Judged], which: Which, verdict: Verdict) -> Group:
    """Return the texts that are judged alike by all who judged them."""
    alike = [text for text in judged if _IS[which](text) and set(text.verdicts.values()) == {verdict == "accept"}]
    texts = [text for text in alike if _is_open(text) and text.now and text.now.id == text.written.id]
    return Group(which, verdict, texts, len(alike) - len(texts))


def _is_open(text: Judged) -> bool:
    return text.now is not None and text.now.status == "pending"


def page(session: ReviewSession) -> dict[str, Any]:
    """Return the values of the page: agreement, groups, and the texts on which reviewers differ, open ones first."""
    verdicts = verdicts_of(session)
    judged = verdicts.judged(session.dataset, session.snapshot().descriptors)
    differing = [text for text in judged if len(set(text.verdicts.values())) > 1]
    differing.sort(key=lambda text: not _is_open(text))  # stable: by label within
    return {
        "pairs": verdicts.agreement(session.dataset),
        "groups": [group(judged, which, verdict) for which in ("agreed", "single") for verdict in ("accept", "reject")],
        "judged": len(judged),
        "by_hand": sum(text.by_hand for text in session.snapshot().descriptors),
        "differing": len(differing),
        "open": sum(map(_is_open, differing)),
        "texts": differing[:_LISTED],
        "labels": {action.name: action for action in session.dataset.actions},
    }


def settle(session: ReviewSession, which: Which, verdict: Verdict, *, expected: str) -> Outcome:
    """Give all texts of a group the status of their verdict, as one decision in the log.

    Args:
        expected: `Group.stamp` of the group as the page showed it.

    Raises:
        UserError: the group has changed since, or the session may not settle.
    """
    session.refresh()
    judged = verdicts_of(session).judged(session.dataset, session.snapshot().descriptors)
    now = group(judged, which, verdict)
    if not now.texts or now.stamp != expected:
        raise UserError("These verdicts have changed. Reload the page and decide again")
    refs = tuple(text.now.ref for text in now.texts if text.now)
    return session.decide(DecisionRequest(verdict, refs))
