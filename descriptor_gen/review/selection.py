"""The descriptors that a command names by id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from db.errors import UsageError
from db.records import Dataset, DescriptorRef

if TYPE_CHECKING:
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
        own = {descriptor.id for descriptor in store.descriptors_by_id([number for number, _ in pairs], dataset)}
        if foreign := [str(number) for number, _ in pairs if number not in own]:
            raise UsageError(
                f"Not of {dataset.name}: {', '.join(foreign)}. Leave --dataset out, or give ids of that dataset"
            )
    return [refs[number] if version is None else DescriptorRef(number, version) for number, version in pairs]
