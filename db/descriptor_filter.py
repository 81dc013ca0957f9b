"""Filter descriptors by kind, status and writer; if none matches, the error says which ones exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from db.errors import UserError
from db.records import Dataset, Descriptor, PortableDescriptor

Text = TypeVar("Text", Descriptor, PortableDescriptor)


@dataclass(frozen=True)
class DescriptorFilter:
    """Conditions on a descriptor; None is no condition.

    Attributes:
        statuses: review statuses.
        kinds: descriptor kinds.
        llm: part of the writer's name, in any case: a model, an imported file, or `hand`.
    """

    statuses: Sequence[str]
    kinds: Sequence[str] | None = None
    llm: str | None = None

    def matches(self, text: Descriptor | PortableDescriptor) -> bool:
        """Return whether a descriptor meets all conditions."""
        matches_kind = self.kinds is None or text.kind in self.kinds
        return matches_kind and text.status in self.statuses and text.written_by(self.llm)

    def __str__(self) -> str:
        writer = f" by {self.llm}" if self.llm else ""
        kinds = f" of kind {' or '.join(self.kinds)}" if self.kinds else ""
        return f"{' or '.join(self.statuses)} descriptors{writer}{kinds}"


def filter_descriptors(dataset: Dataset, stored: Sequence[Text], descriptor_filter: DescriptorFilter) -> list[Text]:
    """Return the stored descriptors of a dataset that match a filter.

    Raises:
        UserError: none matches; the message says which ones exist, and how to write others.
    """
    if matching := [text for text in stored if descriptor_filter.matches(text)]:
        return matching
    names = [action.name for action in dataset.actions]
    subject = dataset.name + (f" ({', '.join(names)})" if len(names) <= 3 else "")
    command = f"descgen build --dataset {dataset.name}"
    if not stored:
        raise UserError(f"No descriptors of {subject} in this database. Write them with: {command}")
    counts = Counter((text.kind, text.status, text.writer) for text in stored)
    others = ", ".join(f"{count} {kind} {status} by {name}" for (kind, status, name), count in sorted(counts.items()))
    kinds = "".join(f" --kind {kind}" for kind in descriptor_filter.kinds or ())
    raise UserError(f"No {descriptor_filter} of {subject}. Stored: {others}. Write others with: {command}{kinds}")
