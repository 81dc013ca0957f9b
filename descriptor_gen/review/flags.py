"""Lint flags of the descriptors, computed in a thread and kept until the texts change."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from db.records import Dataset, Descriptor
from descriptor_gen.lint.rules import Finding, Limits, lint, template_items


@dataclass(frozen=True)
class Flags:
    """Lint findings.

    Attributes:
        by_id: descriptor id -> findings about its text.
        by_reply: ids of all texts of a reply -> findings about the reply (rule `count`).
        rules: descriptor id -> names of the rules that flagged it or its reply.
    """

    by_id: Mapping[int, Sequence[Finding]] = field(default_factory=dict)
    by_reply: Mapping[tuple[int, ...], Sequence[Finding]] = field(default_factory=dict)
    rules: Mapping[int, set[str]] = field(default_factory=dict)


def lint_flags(dataset: Dataset, descriptors: Sequence[Descriptor], limits: Limits) -> Flags:
    """Lint descriptors. Findings without descriptors (rule `missing`) are skipped."""
    by_id: dict[int, list[Finding]] = defaultdict(list)
    by_reply: dict[tuple[int, ...], list[Finding]] = defaultdict(list)
    rules: dict[int, set[str]] = defaultdict(set)
    for finding in lint(dataset, descriptors, limits=limits):
        if finding.text:
            by_id[finding.ids[0]].append(finding)
        elif finding.ids:
            by_reply[finding.ids].append(finding)
        for descriptor in finding.ids[:1] if finding.text else finding.ids:
            rules[descriptor].add(finding.rule)
    return Flags(by_id, by_reply, rules)


class Linter:
    """Lints in its own thread; a page waits for the result only as long as it chooses."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._limits = Limits(items=template_items())
        self._submitted: Sequence[Descriptor] | None = None
        self._linted: Sequence[tuple[int, str, int, bool]] = ()  # what flags depend on
        self._flags = Flags()
        self._changed = threading.Condition()
        self._busy = False
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, descriptors: Sequence[Descriptor], *, regardless: bool = False) -> None:
        """Lint these next, unless they are unchanged; they replace descriptors that are still waiting.

        Args:
            regardless: whether to ignore their status, as if all were pending.
        """
        linted = [(d.id, d.text, d.position, d.status == "rejected" and not regardless) for d in descriptors]
        with self._changed:
            if linted == self._linted:
                return
            pending = [replace(d, status="pending") for d in descriptors] if regardless else descriptors
            self._linted, self._submitted = linted, pending
            self._changed.notify_all()

    def flags(self, *, wait: float = 0.0) -> tuple[Flags, bool]:
        """Return the latest flags, and whether linting still runs after `wait` seconds."""
        with self._changed:
            current = self._changed.wait_for(lambda: not self._busy and self._submitted is None, timeout=wait)
            return self._flags, not current

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._submitted is not None)
                descriptors, self._submitted, self._busy = self._submitted, None, True
            flags = lint_flags(self._dataset, descriptors or (), self._limits)
            with self._changed:
                self._flags, self._busy = flags, False
                self._changed.notify_all()
