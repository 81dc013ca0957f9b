"""Who reviews: the progress of each reviewer, and what others did on the page of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from db.records import Action, Descriptor, Progress
from descriptor_gen.review.reviewers import Reviewers
from descriptor_gen.review.session import ReviewSession


@dataclass(frozen=True)
class Person:
    """One reviewer.

    Attributes:
        classes: number of classes that the reviewer got; None: no class is assigned.
        texts, decided: numbers in those classes; unless the review is blind, decided by anybody.
        accepted, refused: own verdicts that stand.
        last: time of the last decision.
    """

    name: str
    classes: int | None
    texts: int
    decided: int
    accepted: int
    refused: int
    last: datetime | None


def page(session: ReviewSession, reviewers: Reviewers | None) -> dict[str, Any]:
    """Return the values of the page of reviewers; a blind reviewer sees only their own row."""
    verdicts, log = session.all_verdicts, session.log
    if log is None:
        return {"people": [_myself(session)], "pairs": [], "is_blind": True, "differing": None}
    is_blind = reviewers is not None and reviewers.panel.blind
    progress = verdicts.progress(session.dataset) if verdicts and is_blind else log.progress(session.dataset)
    assigned = reviewers.panel.names if reviewers else ()
    names = [*assigned, *sorted(progress.keys() - set(assigned))]
    judged = verdicts.judged(session.dataset, session.snapshot().descriptors) if verdicts else []
    return {
        "people": [_person(name, session, reviewers, progress.get(name), is_blind=is_blind) for name in names],
        "pairs": [] if is_blind else log.agreement(session.dataset),
        "is_blind": is_blind,
        "differing": sum(len(set(text.verdicts.values())) > 1 for text in judged) if judged else None,
    }


def _myself(session: ReviewSession) -> Person:
    counts, events = session.totals(), session.reviews.events(session.dataset)
    classes = len(session.classes) if session.classes is not None else None
    last = events[-1].at if events else None
    return Person(session.reviewer, classes, counts.all, counts.decided, counts.accepted, counts.rejected, last)


def _person(
    name: str, session: ReviewSession, reviewers: Reviewers | None, progress: Progress | None, *, is_blind: bool
) -> Person:
    classes = reviewers.classes_of(name) if reviewers else None
    texts = _texts(session, classes, is_blind=is_blind)
    accepted, refused = (progress.accepted, progress.refused) if progress else (0, 0)
    decided = accepted + refused if is_blind else sum(text.status != "pending" for text in texts)
    number = len(classes) if classes is not None else None
    return Person(name, number, len(texts), decided, accepted, refused, progress.last if progress else None)


def _texts(session: ReviewSession, classes: frozenset[str] | None, *, is_blind: bool) -> Sequence[Descriptor]:
    """Return the texts that a reviewer is to judge; in a blind review, without texts that people added."""
    texts = session.snapshot().descriptors
    own = texts if classes is None else [text for text in texts if text.action in classes]
    return [text for text in own if not (is_blind and text.by_hand)]


def changes(session: ReviewSession, action: Action, since: int) -> str:
    """Return what others did to the texts of a class after an event of the log, in words; empty: nothing."""
    by_others = session.queries.changed_by(session.dataset, action, since=since)
    parts = [
        f"{name} changed {texts} text{'s' if texts > 1 else ''} here"
        for name, texts in sorted(by_others.items())
        if name != session.reviewer
    ]
    return "; ".join(parts)
