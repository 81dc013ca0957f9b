"""The queries of the review application for a blind reviewer: nothing in their results tells what others decided."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Engine

from db.blind_verdicts import BlindReviews
from db.records import Action, Dataset, Descriptor, Impact, Verdicts, Writer, Written
from db.review_queries import ReviewQueries, Stamp
from db.written_texts import written_in


class BlindQueries(ReviewQueries):
    """Queries for the reviewer of some blind verdicts."""

    def __init__(self, engine: Engine, own: BlindReviews) -> None:
        super().__init__(engine)
        self._own = own

    def stamps(self, dataset: Dataset) -> Mapping[str, Stamp]:
        """Return, by action name, a value that changes with the texts in use and with the reviewer's own verdicts."""
        texts, own = super().stamps(dataset), self._own.stamps()
        return {name: (*stamp, *own.get(name, ())) for name, stamp in texts.items()}

    def written(self, dataset: Dataset, kind: str) -> dict[Writer, Mapping[str, Written]]:
        """Return what was written of a kind, by writer and action name; without what people added."""
        return {writer: texts for writer, texts in super().written(dataset, kind).items() if writer.source != "hand"}

    def out_of_use(self, dataset: Dataset, kind: str, calls: Collection[int]) -> Sequence[Descriptor]:
        """Return all texts of some calls as they were written: which of them are in use, the snapshot knows."""
        with self._read() as session:
            return self._own.with_verdicts(session, written_in(session, dataset, kind, calls))

    def last_event(self) -> int:
        """Return 0: the log is that of others."""
        return 0

    def changed_by(self, dataset: Dataset, action: Action, *, since: int) -> Mapping[str, int]:
        """Return nobody."""
        return {}

    def impacts(self, dataset: Dataset) -> Mapping[int, Impact]:
        """Return none: a run of accepted texts would tell which ones they are."""
        return {}

    def verdicts(self, dataset: Dataset) -> Verdicts | None:
        """Return none, as for impacts."""
        return None
