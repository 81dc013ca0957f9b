"""A batch at the provider: how far it is, and why it failed where it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from descriptor_gen.llms.batch_files import Asked

if TYPE_CHECKING:
    from openai.types import Batch
    from openai.types.batch_error import BatchError

_ENDED = ("completed", "expired", "cancelled", "failed")
_QUEUE_IS_FULL = "token_limit_exceeded"
_SHOWN_ERRORS = 3


@dataclass
class UnderWay:
    """A batch as it was last seen, and the calls of ours in it that have no reply yet, by key."""

    batch: Batch
    calls: dict[str, Asked]

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.batch.status in _ENDED

    @property
    def failed(self) -> bool:
        """Whether it was refused as a whole: none of its calls was made."""
        return self.batch.status == "failed"

    @property
    def answered(self) -> int:
        """How many of the calls the provider is done with; about, where the batch holds others too."""
        counts = self.batch.request_counts
        return min(len(self.calls), counts.completed + counts.failed) if counts else 0

    @property
    def seconds_each(self) -> float:
        """The share of a call in the time that the batch took."""
        batch = self.batch
        ended = batch.completed_at or batch.expired_at or batch.cancelled_at or batch.created_at
        return (ended - batch.created_at) / max(1, batch.request_counts.total if batch.request_counts else 1)

    @property
    def was_too_much(self) -> bool:
        """Whether it failed because the provider's queue had no room for so many tokens at that time."""
        return any(error.code == _QUEUE_IS_FULL for error in self._errors)

    @property
    def why(self) -> str:
        """The provider's words on its failure."""
        lines = [f"{error.message or error.code}{_place(error.line)}" for error in self._errors[:_SHOWN_ERRORS]]
        more = len(self._errors) - len(lines)
        said = "; ".join([*lines, f"and {more} more"] if more else lines)
        return said.rstrip(".") or "no reason was given"

    @property
    def shown(self) -> str:
        """Its state, for people."""
        counts = self.batch.request_counts
        done = f", {counts.completed} of {counts.total} done, {counts.failed} failed" if counts else ""
        return f"batch {self.batch.id}: {self.batch.status}{done}"

    @property
    def _errors(self) -> list[BatchError]:
        return (self.batch.errors.data if self.batch.errors else None) or []


def _place(line: int | None) -> str:
    return "" if line is None else f" (line {line})"
