"""What lint says of the descriptors, kept until they change and worked out beside the requests."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from db.records import Dataset, Descriptor
from descriptor_gen.lint.rules import Finding, Limits, items_of_templates, lint

_OF_NO_TEXT = "missing"  # found in classes, where no descriptor can carry the flag


@dataclass(frozen=True)
class Flags:
    """Findings by descriptor, and those of whole replies (`count`) by the ids of all their descriptors.

    Attributes:
        rules: descriptor id -> names of the rules.
    """

    by_id: Mapping[int, Sequence[Finding]] = field(default_factory=dict)
    by_reply: Mapping[tuple[int, ...], Sequence[Finding]] = field(default_factory=dict)
    rules: Mapping[int, frozenset[str]] = field(default_factory=dict)


def flags_of(dataset: Dataset, descriptors: Sequence[Descriptor], limits: Limits) -> Flags:
    """Return what lint finds in descriptors."""
    by_id: dict[int, list[Finding]] = {}
    by_reply: dict[tuple[int, ...], list[Finding]] = {}
    rules: dict[int, set[str]] = {}
    for finding in lint(dataset, descriptors, limits=limits):
        if finding.rule == _OF_NO_TEXT:
            continue
        if finding.text:
            by_id.setdefault(finding.ids[0], []).append(finding)
            rules.setdefault(finding.ids[0], set()).add(finding.rule)
            continue
        by_reply.setdefault(finding.ids, []).append(finding)
        for descriptor in finding.ids:
            rules.setdefault(descriptor, set()).add(finding.rule)
    return Flags(by_id, by_reply, {descriptor: frozenset(found) for descriptor, found in rules.items()})


class Linter:
    """Lints in a thread of its own; a page shows what is known so far, and whether more is coming."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._limits = Limits(items=items_of_templates())
        self._wanted: Sequence[Descriptor] | None = None
        self._flags = Flags()
        self._changed = threading.Condition()
        self._busy = False
        threading.Thread(target=self._work, daemon=True).start()

    def look_at(self, descriptors: Sequence[Descriptor]) -> None:
        """Lint these next; what was wanted before and not begun is forgotten."""
        with self._changed:
            self._wanted = descriptors
            self._changed.notify_all()

    def now(self, *, wait: float = 0.0) -> tuple[Flags, bool]:
        """Return the newest flags and whether they are of older texts; wait for newer ones up to so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._behind, timeout=wait)
            return self._flags, self._behind

    @property
    def _behind(self) -> bool:
        return self._busy or self._wanted is not None

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted is not None)
                wanted, self._wanted, self._busy = self._wanted, None, True
            flags = flags_of(self._dataset, wanted or (), self._limits)
            with self._changed:
                self._flags, self._busy = flags, False
                self._changed.notify_all()
