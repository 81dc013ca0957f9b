"""The leaderboard: stored runs as one table, encoders and texts by datasets.

A column holds runs whose numbers can be compared: the same videos, classes, label texts, split and protocol. A run that
differs in one of them gets a column of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Literal

from db import vocabulary
from db.local_paths import without_folders
from db.records import Run
from db.store import Store
from recognizer.datasets.official import OFFICIAL_DATASETS
from recognizer.evaluation.multi_label import is_multi_label
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.evaluation.run_list import official_split
from recognizer.evaluation.tables import FEW, WEAK, changed_choices
from recognizer.scoring.protocols import TEMPLATES
from recognizer.video.sampling import Sampling

Measure = Literal["top1", "top5", "mean_per_class", "map"]
MEASURE_NAMES: Mapping[Measure, str] = {
    "top1": "top-1 %",
    "top5": "top-5 %",
    "mean_per_class": "mean per class %",
    "map": "mAP %",
}


@dataclass(frozen=True)
class Column:
    """What the runs of a column have in common.

    Attributes:
        dataset: its name.
        protocol: of the texts and frames.
        split: official test splits, such as `1` or `1, 2, 3`; empty if the videos are of no official split.
        root: folder of the videos; None for an official dataset, whose videos are the same in every folder.
        classes: number of classes to choose from.
        classes_sha256: digest of their names and label texts.
        listed: number of videos listed.
        videos: number of videos evaluated; the others are left out.
        videos_sha256: digest of the evaluated videos and their true classes.
    """

    dataset: str
    protocol: str
    split: str
    root: str | None
    classes: int
    classes_sha256: str
    listed: int
    videos: int
    videos_sha256: str

    @property
    def left_out(self) -> int:
        """Listed videos that were not evaluated: missing, unreadable, or beyond the limit."""
        return self.listed - self.videos


@dataclass(frozen=True)
class Row:
    """What is compared: an encoder with texts and a method.

    Attributes:
        encoder: its name.
        encoder_revision: of its weights.
        texts: kinds and writers of the descriptors, or `labels alone`.
        method: scoring method.
        choices: frames, and all other choices that change a number, in words.
    """

    encoder: str
    encoder_revision: str
    texts: str
    method: str
    choices: str


@dataclass(frozen=True)
class Entry:
    """The number of a row in a column.

    Attributes:
        row: its row.
        column: its column.
        run: id of the run that it comes from, the newest of that row and column.
        run_name: what people call it, if it has a name.
        rate: the accuracy, 0 to 1, as `value`, with the 95% interval `low`, `high`.
        label_only: the same by the labels alone: same encoder, videos and templates.
        groups: number of groups of clips that the interval is over.
        counts: videos listed, evaluated, missing, unreadable and so on.
        descriptors: number of descriptors.
        texts_cut: number of texts that are too long for the encoder.
        older: ids of older runs of the same row and column, which are not shown.
        older_with_other_texts: those of them that used other texts.
    """

    row: Row
    column: Column
    run: int
    run_name: str | None
    rate: Mapping[str, float]
    label_only: Mapping[str, float]
    groups: int
    counts: Mapping[str, int]
    descriptors: int
    texts_cut: int
    older: tuple[int, ...]
    older_with_other_texts: tuple[int, ...]


@dataclass(frozen=True)
class Leaderboard:
    """Runs as a table.

    Attributes:
        measure: the accuracy that is shown.
        columns: the column with the most rows first.
        rows: best first, by the first column in which they have a number.
        entries: one for each row and column that has runs.
        notes: what a reader has to know about the numbers, a sentence each.
    """

    measure: Measure
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...]

    def entry(self, row: Row, column: Column) -> Entry | None:
        """Return the entry of a row and a column, if there is one."""
        return next((entry for entry in self.entries if (entry.row, entry.column) == (row, column)), None)


def leaderboard(
    store: Store, *, runs: Sequence[int | str] = (), datasets: Sequence[str] = (), measure: Measure = "top1"
) -> Leaderboard:
    """Return stored runs as a leaderboard; without any, it is empty.

    Args:
        store: has the runs.
        runs: their numbers or names; none means all.
        datasets: only runs on these; none means all.
        measure: the accuracy to show.

    Raises:
        UsageError: a run does not exist.
    """
    wanted = {vocabulary.canonical(name) for name in datasets}
    numbers = {store.run_changes().without_predictions(name).id for name in runs}
    chosen = [run for run in store.runs() if (not runs or run.id in numbers) and (not wanted or run.dataset in wanted)]
    return _leaderboard(chosen, store.videos_of_runs([run.id or 0 for run in chosen]), measure)


def _leaderboard(runs: Sequence[Run], videos: Mapping[int, Sequence[tuple[str, int]]], measure: Measure) -> Leaderboard:
    cells: dict[tuple[Row, Column], list[Run]] = {}
    shown = [run for run in runs if is_multi_label(run) == (measure == "map")]
    for run in shown:
        cells.setdefault((_row(run), _column(run, videos.get(run.id or 0, ()))), []).append(run)
    entries = [_entry(row, column, of_cell, measure) for (row, column), of_cell in cells.items()]
    rows_of = Counter(entry.column for entry in entries)
    columns = sorted(rows_of, key=lambda column: (-rows_of[column], column.dataset, repr(column)))
    values = {(entry.row, entry.column): entry.rate["value"] for entry in entries}

    def best_first(row: Row) -> tuple[object, ...]:
        return ([-values.get((row, column), -1.0) for column in columns], astuple(row))

    rows = sorted({entry.row for entry in entries}, key=best_first)
    notes = [*_others(len(runs) - len(shown), measure), *_notes(columns, entries)]
    return Leaderboard(measure, tuple(columns), tuple(rows), tuple(entries), tuple(notes))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def _column(run: Run, videos: Sequence[tuple[str, int]]) -> Column:
    settings, classes = run.settings, run.settings["classes"]
    return Column(
        dataset=run.dataset,
        protocol=settings["protocol"],
        split=official_split(run),
        root=None if run.dataset in OFFICIAL_DATASETS else settings.get("root"),
        classes=len(classes),
        classes_sha256=_digest(classes),
        listed=run.counts["listed"],
        videos=run.counts["evaluated"],
        videos_sha256=run.results.get("labels_sha256") or _digest(sorted(videos)),
    )


def _row(run: Run) -> Row:
    settings = run.settings
    writers = ", ".join(_writer(name, run.dataset) for name in settings["llms"])
    texts = f"{'+'.join(settings['kinds'])} by {writers}" if run.descriptor_ids else "labels alone"
    return Row(
        without_folders(settings["encoder"]), settings["encoder_revision"], texts, settings["method"], _choices(run)
    )


def _writer(name: str, dataset: str) -> str:
    """Return a writer; in the name of an imported file, `<dataset>` stands for the dataset, to share rows."""
    file, digest, _ = name.partition(" sha256:")
    return re.sub(re.escape(dataset), "<dataset>", file, flags=re.IGNORECASE) if digest else name


def _choices(run: Run) -> str:
    settings, choice = run.settings, run.settings.get("choice", {})
    only_accepted = bool(run.descriptor_ids) and "pending" not in choice.get("statuses", ("pending",))
    return " · ".join(
        [
            str(Sampling(settings["frames"], settings.get("clips", 1), settings.get("crops", 1))),
            *(without_folders(_with_content(choice, settings)) for choice in changed_choices(settings)),
            *(["accepted texts"] if only_accepted else []),
            *(["partial: some classes without texts"] if settings.get("classes_without") else []),
        ]
    )


def _with_content(choice: str, settings: Mapping[str, Any]) -> str:
    """Return a choice in words; templates from a file also with a digest, since the file may have changed."""
    name = settings.get("templates", "protocol")
    is_file = choice == f"templates {name}" and name not in TEMPLATES
    return f"{choice} ({_digest(settings['label_templates'])[:8]})" if is_file else choice


def _entry(row: Row, column: Column, runs: Sequence[Run], measure: Measure) -> Entry:
    *older, newest = sorted(runs, key=lambda run: run.id or 0)
    rows = newest.results["rows"]
    other_texts = (run for run in older if run.descriptors_sha256 != newest.descriptors_sha256)
    return Entry(
        row=row,
        column=column,
        run=newest.id or 0,
        run_name=newest.name,
        rate=rows[WITH_DESCRIPTORS][measure],
        label_only=rows[LABEL_ONLY][measure],
        groups=rows[LABEL_ONLY].get("groups", column.videos),
        counts=newest.counts,
        descriptors=len(newest.descriptor_ids),
        texts_cut=len(newest.settings.get("texts_cut", ())),
        older=tuple(run.id or 0 for run in older),
        older_with_other_texts=tuple(run.id or 0 for run in other_texts),
    )


_DIFFERENCES = {
    "protocol": "protocol",
    "split": "split",
    "root": "folder of the videos",
    "classes_sha256": "classes or label texts",
    "listed": "number of listed videos",
    "videos_sha256": "evaluated videos",
}


def _notes(columns: Sequence[Column], entries: Sequence[Entry]) -> list[str]:
    return [
        *_apart(columns),
        *(_older(entry) for entry in entries if entry.older),
        *_over_groups(columns, entries),
        *_few(columns),
        *([WEAK] if any(entry.row.encoder == "objects" for entry in entries) else []),
        *_selected(columns, entries),
    ]


def _others(count: int, measure: Measure) -> list[str]:
    """Return a sentence on the runs that lack the measure, if there are any."""
    kinds = ("one label", "top1") if measure == "map" else ("several labels", "map")
    runs = "1 run is" if count == 1 else f"{count} runs are"
    return [f"{runs} not shown, of videos with {kinds[0]} each: --measure {kinds[1]}"] if count else []


def _apart(columns: Sequence[Column]) -> list[str]:
    """Return a sentence for each dataset with several columns: why they cannot be compared."""
    notes = []
    for dataset in dict.fromkeys(column.dataset for column in columns):
        same = [column for column in columns if column.dataset == dataset]
        differ = [words for name, words in _DIFFERENCES.items() if len({getattr(column, name) for column in same}) > 1]
        if differ:
            notes.append(f"The {len(same)} columns of {dataset} cannot be compared: other {', '.join(differ)}")
    return notes


def _older(entry: Entry) -> str:
    runs = ", ".join(
        f"{run}{' (with other texts)' if run in entry.older_with_other_texts else ''}" for run in entry.older
    )
    return f"{entry.column.dataset}: run {entry.run} stands for older runs of the same choices: {runs}"


def _over_groups(columns: Sequence[Column], entries: Sequence[Entry]) -> list[str]:
    groups = {entry.column: entry.groups for entry in entries if entry.groups < entry.column.videos}
    return [
        f"{column.dataset}, {column.videos} videos: intervals over {groups[column]} groups of clips cut from one source"
        for column in _distinct(columns)
        if column in groups
    ]


def _distinct(columns: Sequence[Column]) -> list[Column]:
    """Return a column for each dataset and set of videos."""
    return list({(column.dataset, column.videos_sha256): column for column in columns}.values())


def _few(columns: Sequence[Column]) -> list[str]:
    few = sorted({f"{column.videos} of {column.dataset}" for column in columns if column.videos < FEW})
    return [f"Too few videos to compare anything: {', '.join(few)}"] if few else []


def _selected(columns: Sequence[Column], entries: Sequence[Entry]) -> list[str]:
    rows = Counter(entry.column for entry in entries)
    if not any(rows[column] > 1 for column in columns):
        return []
    return [
        "The best of several rows was selected on these videos and is likely to be worse on others. To test whether "
        "two differ: recognize compare RUN RUN"
    ]
