"""The stored runs that pages show; what never changes about them is kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import Any

from db.errors import UsageError, unknown
from db.local_paths import public_names
from db.records import Prediction, Run
from db.runs import RunHeading
from db.store import Store
from recognizer.evaluation.multi_label import is_multi_label
from recognizer.evaluation.ranking import predicted
from recognizer.evaluation.run_list import RunSummary, summary

_KEPT = 4  # runs whose predictions stay in memory; one of 30,000 videos takes about 60 MB


@dataclass(frozen=True)
class StoredRun:
    """A run with its predictions, by the names of its classes.

    Attributes:
        run: as stored.
        names: a name for each video, without folders of this machine.
    """

    run: Run
    names: Mapping[str, str]

    @property
    def classes(self) -> list[str]:
        """The names of its classes, by label."""
        return [name for name, _ in self.run.settings["classes"]]

    @cached_property
    def labels(self) -> dict[str, int]:
        """Name of a class -> label."""
        return {name: label for label, name in enumerate(self.classes)}

    def label(self, name: str) -> int | None:
        """Return the label of a class by its name; None for an empty name.

        Raises:
            UsageError: the run has no such class.
        """
        if name and name not in self.labels:
            raise UsageError(unknown("class", name, self.classes, listed=5))
        return self.labels[name] if name else None

    def predicted(self, prediction: Prediction) -> int:
        """Return the label that a video got; with several labels a video, the class that scores best."""
        return prediction.ranking[0][0] if is_multi_label(self.run) else predicted(prediction)


class RunMemory:
    """The runs that pages show. Each summary is read once; the predictions of the last few runs are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._summaries: dict[tuple[Any, ...], RunSummary] = {}
        self._kept: OrderedDict[tuple[Any, ...], StoredRun] = OrderedDict()
        self._lock = Lock()

    def summaries(self, dataset: str | None) -> list[RunSummary]:
        """Return summaries of the runs of a dataset, or of all, oldest first; names, tags and notes are read anew."""
        return [self._summary(heading) for heading in self._store.run_changes().headings(dataset)]

    def _summary(self, now: RunHeading) -> RunSummary:
        key = (now.id, now.created_at)  # the number of a deleted run may be used again
        if key not in self._summaries:
            self._summaries[key] = summary(self._store.run_changes().without_predictions(now.id))
        return replace(self._summaries[key], dataset=now.dataset, name=now.name, note=now.note, tags=now.tags)

    def get(self, number: int) -> StoredRun:
        """Return a run as it is now: people may have renamed it, and commands may have added results.

        Raises:
            UsageError: it does not exist.
        """
        now = self._store.run_changes().without_predictions(number)
        key = (now.id, now.created_at)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                run = self._store.run(number)
                kept = StoredRun(run, public_names([p.video for p in run.predictions]))
                self._kept[key] = kept
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
        return StoredRun(replace(now, predictions=kept.run.predictions), kept.names)
