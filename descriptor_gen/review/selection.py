"""Which descriptors a decision is about: some ids, or all that a filter takes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from db.choice import STATUSES
from db.errors import UsageError
from db.records import Dataset, Seen
from db.store import Store

_ID = re.compile(r"(\d{1,18})(?:@(\d{1,9}))?")


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
