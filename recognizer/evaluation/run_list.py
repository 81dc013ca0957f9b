"""Stored runs in short: what each one is and its main numbers, filtered and sorted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from db.records import Run
from recognizer.evaluation.multi_label import is_multi_label
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.scoring.methods import BASELINE

_SPLITS = re.compile(r" test splits? (\d(?:, \d)*)")  # in a layout that has the videos of official splits
_DIGEST = re.compile(" sha256:[0-9a-f]+")
_MEASURES = ("top1", "top5", "mean_per_class", "map", "top1_in_set")


@dataclass(frozen=True)
class RunSummary:
    """A run in short.

    Attributes:
        id, name, tags, note: what people call it.
        dataset: its name.
        split: official splits, or the part of a CSV file of videos; empty for all videos.
        encoder, protocol, method: of its settings.
        transductive: how videos were also scored together; None if they were not. No number here comes from it.
        texts: kinds and writers of its descriptors, or `labels alone`.
        descriptors: how many.
        counts: videos listed, evaluated, missing, unreadable and so on.
        left_out: listed videos that were not evaluated.
        measure: name of the main number: `top1`, or `map` if videos have several labels.
        rows: by row of its table, measure -> rate, 0 to 1, with its 95% interval; without descriptors one row.
        gain: measure -> difference of the rows with its 95% interval; empty if there is one row.
        created_at: in UTC.
        seconds: that it took.
    """

    id: int
    name: str | None
    tags: tuple[str, ...]
    note: str | None
    dataset: str
    split: str
    encoder: str
    protocol: str
    method: str
    transductive: str | None
    texts: str
    descriptors: int
    counts: Mapping[str, int]
    left_out: int
    measure: str
    rows: Mapping[str, Mapping[str, Mapping[str, float]]]
    gain: Mapping[str, Mapping[str, float]]
    created_at: datetime | None
    seconds: float

    @property
    def short_texts(self) -> str:
        """`texts` without the digests of imported files, which the run itself shows."""
        return _DIGEST.sub("", self.texts)

    @property
    def label_only(self) -> Mapping[str, float]:
        """The main number by the labels alone."""
        return self.rows[LABEL_ONLY][self.measure]

    @property
    def with_descriptors(self) -> Mapping[str, float] | None:
        """The main number with descriptors, or of labels by another method; None if there is one row."""
        return self.rows[WITH_DESCRIPTORS][self.measure] if WITH_DESCRIPTORS in self.rows else None


def summary(run: Run) -> RunSummary:
    """Return a run in short."""
    settings, names = run.settings, shown_rows(run)
    rows, gain = run.results["rows"], run.results.get("gain", {})
    writers = ", ".join(settings.get("llms", ()))
    return RunSummary(
        id=run.id or 0,
        name=run.name,
        tags=run.tags,
        note=run.note,
        dataset=run.dataset,
        split=split_of(run),
        encoder=settings["encoder"],
        protocol=settings["protocol"],
        method=settings["method"],
        transductive=run.results.get("transductive", {}).get("name"),
        texts=f"{'+'.join(settings['kinds'])} by {writers}" if run.descriptor_ids else "labels alone",
        descriptors=len(run.descriptor_ids),
        counts=run.counts,
        left_out=run.counts["listed"] - run.counts["evaluated"],
        measure="map" if is_multi_label(run) else "top1",
        rows={name: {key: rows[name][key] for key in _MEASURES if key in rows[name]} for name in names},
        gain={key: gain[key] for key in _MEASURES if key in gain} if len(names) > 1 else {},
        created_at=run.created_at,
        seconds=run.seconds,
    )


def shown_rows(run: Run) -> tuple[str, ...]:
    """Return the rows of a run's table that say something: without descriptors both are the same."""
    swept_labels = not run.descriptor_ids and run.settings["method"] != BASELINE
    return (LABEL_ONLY, WITH_DESCRIPTORS) if run.descriptor_ids or swept_labels else (LABEL_ONLY,)


def split_of(run: Run) -> str:
    """Return the split of a run's videos: numbers of official splits, or the part of a CSV file; empty for none."""
    return official_split(run) or str(run.settings.get("split") or "")


def official_split(run: Run) -> str:
    """Return the numbers of the official splits that a run's videos are of; empty for none."""
    split = _SPLITS.search(run.settings["layout"])
    return split[1] if split else ""


@dataclass(frozen=True)
class RunFilter:
    """Conditions on a run; an empty value is no condition.

    Attributes:
        encoder: a part of its name, in any case.
        method, protocol: exactly.
        tag: one of its tags, exactly.
        search: a part of its name or note, in any case.
        since: it was made then or later.
    """

    encoder: str = ""
    method: str = ""
    protocol: str = ""
    tag: str = ""
    search: str = ""
    since: datetime | None = None

    def passes(self, run: RunSummary) -> bool:
        """Return whether a run meets every condition."""
        said = f"{run.name or ''}\n{run.note or ''}".casefold()
        return (
            self.encoder.casefold() in run.encoder.casefold()
            and self.method in ("", run.method)
            and self.protocol in ("", run.protocol)
            and (not self.tag or self.tag in run.tags)
            and self.search.casefold() in said
            and (self.since is None or (run.created_at is not None and run.created_at >= self.since))
        )

    @property
    def in_words(self) -> str:
        """The conditions in words; empty if there are none."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name)}
        return ", ".join(f"{name} {value}" for name, value in given.items())


def _best(run: RunSummary) -> tuple[Any, ...]:
    return (run.measure != "top1", -(run.with_descriptors or run.label_only)["value"], run.id)  # an mAP is no top-1


def _gain(run: RunSummary) -> tuple[Any, ...]:
    return (run.measure != "top1", not run.gain, -run.gain[run.measure]["value"] if run.gain else 0, run.id)


SORTS: Mapping[str, Callable[[RunSummary], tuple[Any, ...]]] = {
    "oldest": lambda run: (run.id,),
    "newest": lambda run: (-run.id,),
    "best": _best,
    "gain": _gain,
    "name": lambda run: (not run.name, (run.name or "").casefold(), run.id),
}


def listed(runs: Iterable[RunSummary], filter_: RunFilter, *, sort: str = "oldest") -> Sequence[RunSummary]:
    """Return the runs that pass a filter, in an order of `SORTS`."""
    return sorted(filter(filter_.passes, runs), key=SORTS[sort])
