"""The values of the pages about runs: what is chosen by the address of a page, and what its template shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from db.errors import UsageError, unknown
from db.local_paths import public_run, without_folders
from db.records import Action, Dataset, Descriptor, Prediction, Run
from db.store import Store
from recognizer.evaluation.compare import compare
from recognizer.evaluation.html import interval
from recognizer.evaluation.run_list import SORTS as ORDERS
from recognizer.evaluation.run_list import RunFilter, RunSummary, listed, shown_rows
from recognizer.evaluation.tables import over_groups
from recognizer.report.confusion import LEVELS, Confusion, confused_pairs, confusion, draw_matrix
from recognizer.report.findings import SORTS as OUTCOMES
from studio.run_memory import RunMemory, StoredRun

Values = dict[str, Any]
Row = TypeVar("Row")
PAGE, RUNS = 100, 50  # videos, and runs, on one page
PAIRS, CLASSES = 100, 40  # confused pairs, and classes won or lost, that are listed
OUTCOME_NAMES: Mapping[str, str] = {
    "won": "won by the descriptors",
    "lost": "lost by the descriptors",
    "right": "right by both",
    "wrong": "wrong by both",
}


@dataclass(frozen=True)
class ListChoice:
    """The query of the list of runs; `of` is `all` for all datasets, or empty for the dataset of the session."""

    of: str = ""
    encoder: str = ""
    protocol: str = ""
    method: str = ""
    tag: str = ""
    q: str = ""
    sort: str = "newest"
    page: str = "1"

    def query(self, **changed: object) -> str:
        """Return the query of an address with other values; defaults are left out."""
        default = asdict(ListChoice())
        values = {**asdict(self), **changed}
        return urlencode({name: value for name, value in values.items() if str(value) != default[name]})


def run_list(memory: RunMemory, dataset: Dataset, choice: ListChoice) -> Values:
    """Return the runs that are chosen, and what can be chosen."""
    runs = [_public(run) for run in memory.summaries(None if choice.of == "all" else dataset.name)]
    filter_ = RunFilter(choice.encoder, choice.method, choice.protocol, choice.tag, choice.q)
    sort = choice.sort if choice.sort in ORDERS else "newest"
    shown, values = paged(listed(runs, filter_, sort=sort), choice.page, size=RUNS)
    return values | {
        "runs": shown,
        "count": len(runs),
        "choice": replace(choice, sort=sort),
        "orders": list(ORDERS),
        "encoders": sorted({run.encoder for run in runs}),
        "protocols": sorted({run.protocol for run in runs}),
        "methods": sorted({run.method for run in runs}),
        "tags": sorted({tag for run in runs for tag in run.tags}),
    }


def _public(run: RunSummary) -> RunSummary:
    return replace(run, encoder=without_folders(run.encoder), texts=without_folders(run.texts))


@dataclass(frozen=True)
class VideoChoice:
    """The query of the videos of a run.

    Attributes:
        label: name of the true or the predicted class.
        true, predicted: names of classes, of a cell of the confusion matrix.
        outcome: a key of `OUTCOME_NAMES`.
        q: a part of the video's name.
        page: number of the page, from 1.
    """

    label: str = ""
    true: str = ""
    predicted: str = ""
    outcome: str = ""
    q: str = ""
    page: str = "1"

    def query(self, **changed: object) -> str:
        """Return the query of an address with other values; empty ones, and the first page, are left out."""
        values = {name: str(value) for name, value in {**asdict(self), **changed}.items() if value}
        return urlencode({name: value for name, value in values.items() if (name, value) != ("page", "1")})


@dataclass(frozen=True)
class ClassLink:
    """A class of a run: its name, and its page in the review; empty if the review has no such class."""

    name: str
    address: str


@dataclass(frozen=True)
class VideoRow:
    """A video of a run.

    Attributes:
        place: its number among the videos of the run, from 0.
        video: its name.
        true: its class; None: it has none.
        predicted: the class that it got.
        score: of that class.
        true_score: of its own class; None if the run did not store it, or if it is the predicted class.
        rank, label_only_rank: of its own class, from 1.
        outcome: a key of `OUTCOME_NAMES`; empty if it has no class.
        rejected: whether it was rejected as none of the classes.
    """

    place: int
    video: str
    true: ClassLink | None
    predicted: ClassLink
    score: float
    true_score: float | None
    rank: int
    label_only_rank: int
    outcome: str
    rejected: bool


class Links:
    """Addresses in the review of a dataset: of its classes by name, and of its texts."""

    def __init__(self, dataset: Dataset, run: Run) -> None:
        same = run.dataset == dataset.name
        self._labels = {action.name: action.label for action in dataset.actions} if same else {}

    def of_class(self, name: str) -> ClassLink:
        """Return a class."""
        return ClassLink(name, f"/class/{self._labels[name]}" if name in self._labels else "")


def outcome_of(prediction: Prediction) -> str:
    """Return the key of `OUTCOME_NAMES` for a video; empty if it has no class."""
    return next(name for name, belongs in OUTCOMES.items() if belongs(prediction)) if prediction.label >= 0 else ""


def videos(stored: StoredRun, dataset: Dataset, choice: VideoChoice) -> Values:
    """Return a page of the videos that are chosen.

    Raises:
        UsageError: the choice names a class or an outcome that the run does not have.
    """
    passes = _condition(stored, choice)
    shown, values = paged([(place, p) for place, p in enumerate(stored.run.predictions) if passes(p)], choice.page)
    links, rejected = Links(dataset, stored.run), _rejected(stored.run)
    return values | {"rows": [_row(stored, links, place, p, rejected=p.video in rejected) for place, p in shown]}


def paged(rows: Sequence[Row], page: str, *, size: int = PAGE) -> tuple[Sequence[Row], Values]:
    """Return the rows of a page, and what a template says about pages.

    `page` is its number as text; a number beyond the last page means the last page.
    """
    pages = max(1, -(-len(rows) // size))
    number = min(max(int(page) if page.isascii() and page.isdecimal() else 1, 1), pages)
    first = (number - 1) * size
    return rows[first : first + size], {"matching": len(rows), "first": first + 1, "number": number, "pages": pages}


def _condition(stored: StoredRun, choice: VideoChoice) -> Callable[[Prediction], bool]:
    label, true, other = (stored.label(name) for name in (choice.label, choice.true, choice.predicted))
    if choice.outcome and choice.outcome not in OUTCOME_NAMES:
        raise UsageError(unknown("outcome", choice.outcome, OUTCOME_NAMES))
    search = choice.q.casefold()
    conditions: list[tuple[object, Callable[[Prediction], bool]]] = [
        (label is not None, lambda p: label in (p.label, stored.predicted(p))),
        (true is not None, lambda p: p.label == true),
        (other is not None, lambda p: stored.predicted(p) == other),
        (choice.outcome, lambda p: outcome_of(p) == choice.outcome),
        (search, lambda p: search in stored.names[p.video].casefold()),
    ]
    tests = [test for is_active, test in conditions if is_active]
    return lambda prediction: all(test(prediction) for test in tests)


def _rejected(run: Run) -> frozenset[str]:
    return frozenset(run.results.get("none_of_these", {}).get("rejected", ()))


def _row(stored: StoredRun, links: Links, place: int, p: Prediction, *, rejected: bool) -> VideoRow:
    scores, got = dict(p.ranking), stored.predicted(p)
    return VideoRow(
        place=place,
        video=stored.names[p.video],
        true=links.of_class(stored.classes[p.label]) if p.label >= 0 else None,
        predicted=links.of_class(stored.classes[got]),
        score=scores[got],
        true_score=scores.get(p.label) if p.label != got else None,
        rank=p.rank,
        label_only_rank=p.label_only_rank,
        outcome=outcome_of(p),
        rejected=rejected,
    )


@dataclass(frozen=True)
class UsedText:
    """A text that a run used, and its address in the review; empty if the text is out of use now."""

    descriptor: Descriptor
    address: str


def texts_of(store: Store, dataset: Dataset, run: Run, name: str, in_use: Mapping[int, Action]) -> list[UsedText]:
    """Return the texts of a class that a run used.

    Args:
        store: has the texts.
        dataset: of the review.
        run: the run.
        name: of the class.
        in_use: id -> class, of the texts that the review shows.
    """
    if not name or run.dataset != dataset.name:
        return []
    used = (text for text in store.descriptors_by_id(run.descriptor_ids, dataset) if text.action == name)
    return [
        UsedText(text, f"/class/{in_use[text.id].label}#d{text.id}" if text.id in in_use else "")
        for text in sorted(used, key=lambda text: (text.kind, text.position, text.id))
    ]


def shown_run(stored: StoredRun) -> Run:
    """Return a run to show, without folders of this machine, and without its predictions."""
    return public_run(replace(stored.run, predictions=()))


REJECTION = ("kept", "rejected", "kept %", "top-1 of kept %")
OUTSIDE = ("of no class, kept", "of no class, rejected")


def rejection(run: Run) -> Values:
    """Return the table of a run that rejects videos as none of the classes: its heads, and its cells by row."""
    result = run.results.get("none_of_these")
    if not result:
        return {"rejection": {}, "rejection_heads": ()}
    outside = result.get("detection", {})
    cells = {
        name: (
            row["kept"],
            row["rejected"],
            interval(row["coverage"]),
            interval(row["top1_of_kept"]) if row["top1_of_kept"] else "none kept",
            *((outside[name]["kept"], outside[name]["rejected"]) if outside else ()),
        )
        for name, row in result["rows"].items()
        if name in shown_rows(run)
    }
    return {"rejection": cells, "rejection_heads": (*REJECTION, *(OUTSIDE if outside else ()))}


def no_pictures(run: Run) -> str:
    """Return why there are no pictures of a run's videos; empty if their folder is there."""
    root = run.settings.get("root")
    if root and Path(root).exists():
        return ""
    return f"No pictures: {Path(root).name if root else 'the folder of the videos'} is not where it was during the run."


def left_out(run: Run) -> Sequence[tuple[str, int, Sequence[str]]]:
    """Return (reason, number of listed videos that were left out for it, the first of them)."""
    by_reason: dict[str, list[str]] = {}
    for video, reason in run.left_out:
        by_reason.setdefault(reason, []).append(video)
    return [(reason, len(names), names[:5]) for reason, names in sorted(by_reason.items(), key=lambda r: -len(r[1]))]


def matrix(stored: StoredRun, dataset: Dataset) -> Values:
    """Return the confusion matrix of a run of videos with one label each, and its most confused pairs."""
    counted, pairs, names = confusion(stored.run), confused_pairs(stored.run), stored.classes
    links = Links(dataset, stored.run)
    return {
        "matrix": draw_matrix(counted, names),
        "cells": _cells(counted, names),
        "levels": LEVELS,
        "pairs": [(links.of_class(names[p.true]), links.of_class(names[p.predicted]), p) for p in pairs[:PAIRS]],
        "all_pairs": len(pairs),
    }


def _cells(counted: Confusion, names: Sequence[str]) -> Values:
    """Return the matrix as the script reads it; cells are (column, videos) by row."""
    place = {label: column for column, label in enumerate(counted.columns)}
    by_row: dict[int, list[tuple[int, int]]] = {}
    for cell in counted.cells:
        by_row.setdefault(cell.true, []).append((place[cell.predicted], cell.videos))
    return {
        "rows": [names[label] for label in counted.rows],
        "columns": [names[label] for label in counted.columns],
        "videos": [counted.videos[label] for label in counted.rows],
        "cells": [by_row[label] for label in counted.rows],
    }


def compared(first: StoredRun, second: StoredRun | None, dataset: Dataset, *, show: str, page: str) -> Values:
    """Return two runs compared; without `second`, the labels alone of a run with its descriptors.

    Args:
        first, second: the runs.
        dataset: of the review.
        show: only videos that the second `gained` or `lost`.
        page: number of the page of these videos, as text.

    Raises:
        UserError: as `compare`.
    """
    comparison = compare(first.run, second.run if second else None)
    shown = second or first
    links, places = Links(dataset, shown.run), {p.video: place for place, p in enumerate(shown.run.predictions)}
    wanted = {"gained": (True,), "lost": (False,)}.get(show, (True, False))
    videos = [v for is_gained in wanted for v in comparison.videos if (v.second <= 1) == is_gained]
    changed, values = paged(videos, page)
    return values | {
        "comparison": comparison,
        "runs": [stored.run for stored in (first, second) if stored],
        "titles": (first.run.title, second.run.title) if second else ("labels alone", first.run.title),
        "shown": shown.run,
        "changed": [(v, places[v.video], shown.names[v.video], links.of_class(v.name)) for v in changed],
        "won": [(links.of_class(c.name), c) for c in comparison.classes if c.second > c.first],
        "lost": [(links.of_class(c.name), c) for c in reversed(comparison.classes) if c.second < c.first],
        "groups": over_groups(comparison.groups, comparison.both),
        "no_pictures": no_pictures(shown.run),
        "most": CLASSES,
        "show": show if show in ("gained", "lost") else "",
    }
