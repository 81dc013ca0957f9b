"""The descriptors that a command decides on: by id, or all that match its filters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from db.errors import UsageError
from db.records import STATUSES, Dataset, DescriptorRef
from db.store import Store

_ID = re.compile(r"(\d{1,18})(?:@(\d{1,9}))?")


def select_ids(store: Store, ids: Sequence[str], dataset: Dataset | None = None) -> list[DescriptorRef]:
    """Return descriptors by `ID` (in the current version) or `ID@VERSION`.

    Raises:
        UsageError: an id is malformed, does not exist, is out of use, or is not of the dataset.
    """
    parts = [_ID.fullmatch(text) for text in ids]
    malformed = [text for text, part in zip(ids, parts, strict=True) if not part]
    if malformed:
        raise UsageError(
            f"{', '.join(map(repr, malformed))} is no id of a descriptor, such as 12, or 12@3 for its version 3"
        )
    pairs = [(int(part[1]), int(part[2]) if part[2] else None) for part in parts if part]
    current = store.reviews().descriptors([number for number, version in pairs if version is None])
    refs = {descriptor.id: descriptor.ref for descriptor in current}
    if dataset:
        known = {descriptor.id for descriptor in store.descriptors(dataset, statuses=STATUSES)}
        if others := [str(number) for number in refs if number not in known]:
            raise UsageError(f"{', '.join(others)} not of {dataset.name}. Leave --dataset out, or name ids of its own")
    return [refs[number] if version is None else DescriptorRef(number, version) for number, version in pairs]
