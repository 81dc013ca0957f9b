"""What the pages show, as plain values: the classes of a filter, and the texts of one class side by side."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from db.records import Action, Dataset, Descriptor, Impact
from descriptor_gen.lint.rules import Finding
from descriptor_gen.review.filters import Filter, Flagged
from descriptor_gen.review.flags import Flags


@dataclass(frozen=True)
class Counts:
    """How many descriptors are in each status."""

    accepted: int = 0
    rejected: int = 0
    pending: int = 0

    @classmethod
    def of(cls, descriptors: Iterable[Descriptor]) -> Counts:
        """Count descriptors by status."""
        return cls(**Counter[str](descriptor.status for descriptor in descriptors))

    @property
    def decided(self) -> int:
        """Accepted or rejected."""
        return self.accepted + self.rejected

    @property
    def all(self) -> int:
        """All of them."""
        return self.decided + self.pending


@dataclass(frozen=True)
class ClassRow:
    """One class of the overview, with what passes the filter; `impact` is its worst, in points of top-1."""

    label: int
    name: str
    phrase: str
    accepted: int
    rejected: int
    pending: int
    flagged: int
    impact: float | None


@dataclass(frozen=True)
class TextView:
    """One descriptor as a page shows it."""

    id: int
    version: int
    text: str
    status: str
    source: str
    original: str | None
    flags: Sequence[Finding]
    impact: Impact | None


@dataclass(frozen=True)
class Column:
    """The texts of one reply, import or person; `call` is the generation, where an LLM wrote."""

    source: str
    sample: int
    call: int | None
    texts: Sequence[TextView]
    flags: Sequence[Finding]


@dataclass(frozen=True)
class Section:
    """One kind of a class: everybody's texts side by side."""

    kind: str
    columns: Sequence[Column]


def class_rows(
    dataset: Dataset,
    matching: Sequence[Descriptor],
    *,
    order: str,
    flagged: Flagged,
    impacts: Mapping[int, Impact],
) -> list[ClassRow]:
    """Return the classes that have a descriptor among `matching`, in the order asked for."""
    by_class: dict[str, list[Descriptor]] = defaultdict(list)
    for descriptor in matching:
        by_class[descriptor.action].append(descriptor)
    rows = [
        _class_row(action, by_class[action.name], flagged, impacts)
        for action in dataset.actions
        if action.name in by_class
    ]
    return sorted(rows, key=_ORDER.get(order, _by_label))


def _class_row(
    action: Action, descriptors: Sequence[Descriptor], flagged: Flagged, impacts: Mapping[int, Impact]
) -> ClassRow:
    counts = Counts.of(descriptors)
    measured = [100 * impacts[d.id].top1_change for d in descriptors if d.id in impacts]
    return ClassRow(
        action.label,
        action.name,
        action.phrase,
        counts.accepted,
        counts.rejected,
        counts.pending,
        sum(bool(flagged.get(d.id)) for d in descriptors),
        max(measured, default=None),
    )


def _by_label(row: ClassRow) -> tuple[float, ...]:
    return (row.label,)


# What accuracy gains when a text is left out says how much the text costs: the largest is the worst.
_ORDER: Mapping[str, Callable[[ClassRow], tuple[float, ...]]] = {
    "open": lambda row: (-row.pending, row.label),
    "flags": lambda row: (-row.flagged, row.label),
    "impact": lambda row: (-row.impact if row.impact is not None else float("inf"), row.label),
}


def sections(
    descriptors: Sequence[Descriptor], *, chosen: Filter, flags: Flags, impacts: Mapping[int, Impact]
) -> list[Section]:
    """Return the descriptors of one class by kind, and in it by who wrote; kind and source of a filter choose."""
    columns: dict[str, dict[tuple[str, int, int], list[Descriptor]]] = defaultdict(lambda: defaultdict(list))
    for d in descriptors:
        if chosen.kind in ("", d.kind) and chosen.source in ("", d.writer):
            columns[d.kind][d.writer, d.sample or 0, d.generation or 0].append(d)
    return [
        Section(kind, [_column(key, columns[kind][key], flags, impacts) for key in sorted(columns[kind])])
        for kind in sorted(columns)
    ]


def _column(
    key: tuple[str, int, int], descriptors: Sequence[Descriptor], flags: Flags, impacts: Mapping[int, Impact]
) -> Column:
    source, sample, generation = key
    ordered = sorted(descriptors, key=lambda d: (d.position, d.id))
    texts = [_text(d, flags, impacts) for d in ordered]
    of_reply = flags.by_reply.get(tuple(d.id for d in ordered), ())
    return Column(source, sample, generation or None, texts, of_reply)


def _text(descriptor: Descriptor, flags: Flags, impacts: Mapping[int, Impact]) -> TextView:
    return TextView(
        descriptor.id,
        descriptor.version,
        descriptor.text,
        descriptor.status,
        descriptor.source,
        descriptor.original,
        flags.by_id.get(descriptor.id, ()),
        impacts.get(descriptor.id),
    )


def stamp(descriptors: Iterable[Descriptor]) -> str:
    """Return a digest of which descriptors these are and how they stand: whoever decides on all must have seen them."""
    seen = ",".join(f"{d.id}.{d.version}" for d in sorted(descriptors, key=lambda d: d.id))
    return hashlib.sha256(seen.encode()).hexdigest()[:16]
