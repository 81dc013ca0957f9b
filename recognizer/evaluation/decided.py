"""The texts in use after a decision that nobody has made: as `db.reviews` would leave them, without a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from db.errors import UsageError, unknown
from db.kinds import built_in_kinds
from db.records import Dataset, Descriptor, DescriptorStatus

DecisionKind = Literal["accept", "reject", "restore", "edit", "add"]
_STATUS: Mapping[str, DescriptorStatus] = {"accept": "accepted", "reject": "rejected", "restore": "pending"}
_NEW = 0  # id of an added text: no row of a database has it


@dataclass(frozen=True)
class Possible:
    """A decision of a reviewer that could be made.

    Attributes:
        decision: what is done.
        descriptor: id of the text; not for `add`.
        text: the new text, for `edit` and `add`.
        action, kind: of the new text, for `add`; the action by its name in the dataset.
    """

    decision: DecisionKind
    descriptor: int | None = None
    text: str = ""
    action: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Decided:
    """The texts in use after a decision, of any status, and the action whose texts it changes."""

    in_use: tuple[Descriptor, ...]
    action: str


def decided(dataset: Dataset, in_use: Sequence[Descriptor], possible: Possible) -> Decided:
    """Return the texts in use after a decision.

    Args:
        dataset: has the actions.
        in_use: the texts in use before it, of any status.
        possible: the decision.

    Raises:
        UsageError: the decision cannot be made: no such decision, text, action or kind, or the text is empty or there
            already.
    """
    if possible.decision not in _DECIDE:
        raise UsageError(unknown("decision", possible.decision, _DECIDE))
    return _DECIDE[possible.decision](dataset, in_use, possible)


def _judged(dataset: Dataset, in_use: Sequence[Descriptor], possible: Possible) -> Decided:
    row = _row(dataset, in_use, possible)
    return _replaced(in_use, row, replace(row, status=_STATUS[possible.decision]))


def _edited(dataset: Dataset, in_use: Sequence[Descriptor], possible: Possible) -> Decided:
    row, text = _row(dataset, in_use, possible), _stored(possible.text)
    if row.text == text:
        raise UsageError(f"{row.id} has that text already: {text!r}. Accept it with: descgen accept {row.id}")
    return _replaced(in_use, row, replace(row, text=text, source="human", status="accepted"))


def _added(dataset: Dataset, in_use: Sequence[Descriptor], possible: Possible) -> Decided:
    names = [action.name for action in dataset.actions]
    kinds = sorted({*built_in_kinds(), *(d.kind for d in in_use)})
    if possible.action not in names:
        raise UsageError(unknown("action", possible.action, names))
    if possible.kind not in kinds:
        raise UsageError(unknown("kind", possible.kind, kinds))
    text, beside = _stored(possible.text), [d for d in in_use if (d.action, d.kind) == (possible.action, possible.kind)]
    if twin := next((d for d in beside if d.text == text), None):
        raise UsageError(
            f"{twin.id} has that text already, and is {twin.status}. Accept it with: descgen accept {twin.id}"
        )
    last = max((d.position for d in beside if d.generation is None and d.origin is None), default=-1)
    new = Descriptor(_NEW, possible.action, possible.kind, last + 1, text, "human", "accepted", None, None)
    return Decided((*in_use, new), possible.action)


_DECIDE: Mapping[str, Callable[[Dataset, Sequence[Descriptor], Possible], Decided]] = {
    **dict.fromkeys(_STATUS, _judged),
    "edit": _edited,
    "add": _added,
}


def _row(dataset: Dataset, in_use: Sequence[Descriptor], possible: Possible) -> Descriptor:
    row = next((d for d in in_use if d.id == possible.descriptor), None)
    if row is None:
        raise UsageError(
            f"No descriptor {possible.descriptor} of {dataset.name} is in use. The ids are shown by: "
            f"descgen show --dataset {dataset.argument} --ids"
        )
    return row


def _replaced(in_use: Sequence[Descriptor], old: Descriptor, new: Descriptor) -> Decided:
    return Decided(tuple(new if d.id == old.id else d for d in in_use), old.action)


def _stored(text: str) -> str:
    """Return a text as the review would store it."""
    from db.reviews import normalised  # SQLAlchemy loads with it

    return normalised(text)
