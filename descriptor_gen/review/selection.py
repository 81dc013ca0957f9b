"""The descriptors that a command decides on: by id, or all that match its filters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from db.errors import UsageError, UserError
from db.records import STATUSES, Dataset, DescriptorRef
from db.store import Store
from descriptor_gen.lint.rules import writer

_ID = re.compile(r"(\d{1,18})(?:@(\d{1,9}))?")


def select_matching(
    store: Store, dataset: Dataset, *, statuses: Sequence[str], kinds: Sequence[str] | None, llm: str | None
) -> list[DescriptorRef]:
    """Return the current versions of a dataset's descriptors that match.

    Args:
        kinds: None for all.
        llm: a part of the name of a model or imported file, or `hand`; None for all.

    Raises:
        UserError: none match; the message lists the ones that exist.
    """
    stored = store.descriptors(dataset, statuses=STATUSES)
    refs = [
        d.ref
        for d in stored
        if d.status in statuses
        and (kinds is None or d.kind in kinds)
        and (llm is None or llm.lower() in writer(d).lower())
    ]
    if refs:
        return refs
    few = len(dataset.actions) <= 3
    classes = f" ({', '.join(action.name for action in dataset.actions)})" if few else ""
    if not stored:
        raise UserError(
            f"No descriptors of {dataset.name}{classes} here. Write them with: descgen build --dataset {dataset.name}"
        )
    wanted = f"{' or '.join(statuses)} descriptors" + (f" by {llm}" if llm else "")
    wanted += f" of kind {' or '.join(kinds)}" if kinds else ""
    counts = Counter((d.kind, d.status, writer(d)) for d in stored)
    others = ", ".join(f"{count} {kind} {status} by {by}" for (kind, status, by), count in sorted(counts.items()))
    raise UserError(f"No {wanted} of {dataset.name}{classes}. There are: {others}")


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
