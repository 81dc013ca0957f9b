"""The page on which words are replaced in all texts of a filter."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from db.errors import ConflictError, UserError
from db.records import Decision
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.paging import paged, query_of
from descriptor_gen.review.replacing import Preview, Replaced, Words, linted, preview
from descriptor_gen.review.session import ReviewSession, stamp
from descriptor_gen.review.wording import differences, marked

_CHANGED = "The texts of this preview have changed meanwhile, and nothing was replaced. Look at the preview again"
_BLIND = "A blind reviewer changes no text: give verdicts on the pages of the classes"


@dataclass(frozen=True)
class Choice:
    """What the page is asked to show: the words, `whole` words or not, in the same `case` or not, number of a page."""

    old: str = ""
    new: str = ""
    whole: str = ""
    case: str = ""
    page: str = ""

    @property
    def words(self) -> Words:
        """The words.

        Raises:
            UsageError: there are none, or they are too long.
        """
        return Words(self.old, self.new, whole=bool(self.whole), case=bool(self.case))


def page(session: ReviewSession, chosen: Choice, filter_: Filter) -> dict[str, Any]:
    """Return the values of the page: each text before and after, 100 at a time."""
    refuse_blind(session)
    would = _preview(session, chosen.words, filter_) if chosen.old.strip() else None
    would = linted(session.dataset, session.snapshot().descriptors, would) if would else None
    query = query_of(asdict(chosen) | asdict(filter_) | {"page": ""})
    rows = paged(would.replaced if would else (), chosen.page, query)
    return {
        "chosen": chosen,
        "phrases": session.phrases,
        "labels": {action.name: action.label for action in session.dataset.actions},
        "preview": would,
        "rows": rows,
        "changes": [_change(item) for item in rows.shown],
        "stamp": _stamp(would) if would else "",
        "flagged": sum(bool(item.flags) for item in would.replaced) if would else 0,
        "conditions": [(name, value) for name, value in asdict(filter_).items() if value],
    }


def _preview(session: ReviewSession, words: Words, filter_: Filter) -> Preview:
    return preview(session.snapshot().descriptors, session.matching(filter_), words)


def _stamp(would: Preview) -> str:
    return stamp(item.descriptor for item in would.replaced)


def _change(item: Replaced) -> dict[str, Any]:
    before, after = differences(item.descriptor.text, item.text)
    marks: tuple[Markup, Markup] = marked(before, "del"), marked(after, "ins")
    return {"descriptor": item.descriptor, "before": marks[0], "after": marks[1], "flags": item.flags}


def apply(session: ReviewSession, words: Words, filter_: Filter, read: str) -> Decision:
    """Replace words in the texts of a filter, as one decision; `read`: the stamp of the preview.

    Raises:
        UserError: the texts have changed since the preview, nothing would change, or the session is blind.
    """
    refuse_blind(session)
    session.refresh()
    try:
        would = _preview(session, words, filter_)
        if _stamp(would) != read:
            raise UserError(_CHANGED)
        texts = {item.descriptor.ref: item.text for item in would.replaced}
        return session.reviews.replace(texts, reviewer=session.reviewer)
    except ConflictError as error:
        raise UserError(_CHANGED) from error
    finally:
        session.refresh()


def refuse_blind(session: ReviewSession) -> None:
    """Raise a UserError if the reviewer is blind."""
    if session.blind:
        raise UserError(_BLIND)
