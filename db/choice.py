"""Choose descriptors by kind, status and writer, or say which there are instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from db.errors import UserError
from db.records import Dataset, Descriptor, Portable

Text = TypeVar("Text", Descriptor, Portable)


@dataclass(frozen=True)
class Choice:
    """Which descriptors are chosen; None is any.

    Attributes:
        statuses: review statuses.
        kinds: descriptor kinds.
        llm: part of the writer's name: of a model, of an imported file, or `hand`.
    """

    statuses: Sequence[str]
    kinds: Sequence[str] | None = None
    llm: str | None = None

    def fits(self, text: Descriptor | Portable) -> bool:
        """Return whether a descriptor is chosen."""
        fits_kind = self.kinds is None or text.kind in self.kinds
        return fits_kind and text.status in self.statuses and text.written_by(self.llm)

    def __str__(self) -> str:
        writer = f" by {self.llm}" if self.llm else ""
        kinds = f" of kind {' or '.join(self.kinds)}" if self.kinds else ""
        return f"{' or '.join(self.statuses)} descriptors{writer}{kinds}"


def choose(dataset: Dataset, stored: Sequence[Text], choice: Choice) -> list[Text]:
    """Return those of a dataset's stored descriptors that are chosen.

    Raises:
        UserError: there are none; the message says which there are, and how to write others.
    """
    if chosen := [text for text in stored if choice.fits(text)]:
        return chosen
    few = len(dataset.actions) <= 3
    subject = dataset.name + (f" ({', '.join(action.name for action in dataset.actions)})" if few else "")
    command = f"descgen build --dataset {dataset.name}"
    if not stored:
        raise UserError(f"No descriptors of {subject} here. Write them with: {command}")
    counts = Counter((text.kind, text.status, text.writer) for text in stored)
    others = ", ".join(f"{count} {kind} {status} by {name}" for (kind, status, name), count in sorted(counts.items()))
    kinds = "".join(f" --kind {kind}" for kind in choice.kinds or ())
    raise UserError(f"No {choice} of {subject}. There are: {others}. Write others with: {command}{kinds}")
