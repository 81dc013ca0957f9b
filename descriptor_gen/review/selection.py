"""Which descriptors a decision is about: some ids, or all that a filter takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from db.errors import UsageError, UserError
from db.records import Dataset, Descriptor, Seen
from db.store import Store

STATUSES = ("pending", "accepted", "rejected")
_ID = re.compile(r"(\d{1,18})(?:@(\d{1,9}))?")


@dataclass(frozen=True)
class Filter:
    """Descriptors of some kinds and statuses; `llm` is part of the name of a model or an imported file, or `hand`."""

    statuses: Sequence[str]
    kinds: Sequence[str] | None = None
    llm: str | None = None

    def fits(self, descriptor: Descriptor) -> bool:
        """Return whether a descriptor is one of them."""
        return (
            descriptor.status in self.statuses
            and (self.kinds is None or descriptor.kind in self.kinds)
            and descriptor.written_by(self.llm)
        )

    def __str__(self) -> str:
        by = f" by {self.llm}" if self.llm else ""
        of_kind = f" of kind {' or '.join(self.kinds)}" if self.kinds else ""
        return f"{' or '.join(self.statuses)} descriptors{by}{of_kind}"


def filtered(store: Store, dataset: Dataset, wanted: Filter) -> list[Seen]:
    """Return what a filter takes of a dataset's actions, as it is now.

    Raises:
        UserError: nothing; the message says what there is.
    """
    there = store.descriptors(dataset, statuses=STATUSES)
    found = [descriptor.seen for descriptor in there if wanted.fits(descriptor)]
    if found:
        return found
    few = len(dataset.actions) <= 3
    classes = f" ({', '.join(action.name for action in dataset.actions)})" if few else ""
    if not there:
        raise UserError(
            f"No descriptors of {dataset.name}{classes} here. Write them with: descgen build --dataset {dataset.name}"
        )
    counts = Counter((each.kind, each.status, each.writer) for each in there)
    others = ", ".join(f"{count} {kind} {status} by {by}" for (kind, status, by), count in sorted(counts.items()))
    raise UserError(f"No {wanted} of {dataset.name}{classes}. There are: {others}")


def named(store: Store, ids: Sequence[str], dataset: Dataset | None = None) -> list[Seen]:
    """Return what ids name: as it is now, or for `ID@VERSION` as it was in that version.

    Raises:
        UsageError: something is no id, is not there or out of use, or is not of the dataset.
    """
    parts = [_ID.fullmatch(text) for text in ids]
    wrong = [text for text, part in zip(ids, parts, strict=True) if not part]
    if wrong:
        raise UsageError(
            f"{', '.join(map(repr, wrong))} is no id of a descriptor, such as 12, or 12@3 for its version 3"
        )
    pairs = [(int(part[1]), int(part[2]) if part[2] else None) for part in parts if part]
    now = {d.id: d for d in store.reviews().descriptors([number for number, version in pairs if version is None])}
    if dataset:
        mine = {descriptor.id for descriptor in store.descriptors(dataset, statuses=STATUSES)}
        if others := [str(number) for number in now if number not in mine]:
            raise UsageError(f"{', '.join(others)} not of {dataset.name}. Leave --dataset out, or name ids of its own")
    return [now[number].seen if version is None else Seen(number, version) for number, version in pairs]
