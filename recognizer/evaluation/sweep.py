"""Evaluate many combinations of choices on videos that are embedded once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from db.errors import UsageError, UserError, first_few, unknown
from db.progress import Progress, ProgressBars, no_bars
from db.records import Dataset, Descriptor, Run
from db.store import Store
from encoders.protocol import Preprocessing
from recognizer.datasets.find import find_videos
from recognizer.evaluation.best_of import corrected_p, elsewhere
from recognizer.evaluation.evaluate import make_run, results_of
from recognizer.evaluation.ranking import (
    LABEL_ONLY,
    WITH_DESCRIPTORS,
    EmbeddedDataset,
    TrueRanks,
    embed_listed,
    pooled,
    rank_by_labels,
    rank_true_classes,
)
from recognizer.evaluation.settings import STATUSES, Settings
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.scoring.ensemble import Ensemble, build_ensembles, labels_again
from recognizer.scoring.intervals import Design
from recognizer.scoring.methods import BASELINE, method_of
from recognizer.scoring.pooling import Pooling, VideoBatch
from recognizer.scoring.protocols import Names, Protocol
from recognizer.scoring.selection import DescriptorChoice, choose_each

DescriptorsByChoice = Mapping[DescriptorChoice, Sequence[Descriptor]]


@dataclass(frozen=True)
class Grid:
    """Lists of choices, each as in `Settings` and `DescriptorChoice`."""

    kinds: tuple[tuple[str, ...] | None, ...] = (None,)
    methods: tuple[str, ...] = ("mean",)
    templates: tuple[str, ...] = ("protocol",)
    conditions: tuple[bool, ...] = (False,)
    llms: tuple[tuple[str, ...] | None, ...] = (None,)
    statuses: tuple[tuple[str, ...], ...] = (STATUSES["any"],)
    poolings: tuple[Pooling, ...] = ("avg",)
    unit_frames: tuple[bool, ...] = (False,)
    protocols: tuple[str, ...] = ("default",)
    names: tuple[Names, ...] = ("off",)

    def settings(self, base: Settings) -> list[Settings]:
        """Return the settings of each combination, without duplicates.

        `base` has the shared ones, a text pack and `partial` of its choice among them.

        Labels alone appear once, because method, source and conditioning do not change their scores; except with a
        protocol that repeats the label (`tear`), which keeps methods and conditioning, and with methods that pool the
        frames in their own way.

        Raises:
            UsageError: a name is unknown.
            UserError: a file of templates is invalid.
        """
        axes = (self.protocols, self.templates, self.conditions, self.poolings, self.unit_frames, self.methods)
        names = ("protocol", "templates", "condition", "pooling", "unit_frames", "method")
        parts = product(self.kinds, self.statuses, self.llms, self.names)
        choices = [
            replace(base.choice, kinds=kinds, statuses=statuses, llms=llms, names=labels_by)
            for kinds, statuses, llms, labels_by in parts
        ]
        combinations: Iterator[dict[str, Any]] = (dict(zip(names, values, strict=True)) for values in product(*axes))
        every = (replace(base, **values, choice=choice) for values, choice in product(combinations, choices))
        distinct = list(dict.fromkeys(map(_without_idle_choices, every)))
        for settings in distinct:
            settings.check()
        return distinct


def _without_idle_choices(settings: Settings) -> Settings:
    if settings.choice.kinds != ():
        return settings
    settings = replace(settings, choice=settings.choice.without_descriptors)
    if settings.wording().label_again:
        return settings
    pools = method_of(settings.method).pools
    return replace(settings, method=settings.method if pools else BASELINE, condition=False)


GRIDS = {
    "tear": Grid(  # the 40 combinations of TEAR's scripts
        kinds=((), ("description",), ("decomposition",), ("context",), ("decomposition", "description", "context")),
        methods=("mean", "ensemble"),
        templates=("tear16", "single"),
        conditions=(True, False),
        protocols=("tear",),
    )
}


def named_grid(name: str) -> Grid:
    """Return a grid of `GRIDS`.

    Raises:
        UsageError: the name is unknown.
    """
    if name not in GRIDS:
        raise UsageError(unknown("grid", name, GRIDS))
    return GRIDS[name]


def sweep(
    store: Store,
    dataset: Dataset,
    root: Path,
    encoder: CachingEncoder,
    *,
    settings: Sequence[Settings],
    store_runs: bool = False,
    bars: ProgressBars = no_bars,
) -> list[Run]:
    """Evaluate each of the settings; the videos are embedded once. Return the runs, best top-1 first.

    Arguments and errors as in `evaluate`, and:

    Args:
        settings: all with the same encoder, sampling, limit and split.
        store_runs: store the runs; without it they have no ids and predictions.
    """
    for each in settings:
        each.check_for(encoder)
        if each.none_of_these:
            raise UsageError("A sweep rejects no videos. Leave none_of_these out, and evaluate the best choice with it")
        each.refuse_transductive("A sweep scores each video by itself")
    recorded = str(root.resolve())
    settings = [replace(each, root=recorded) for each in settings]
    descriptors = choose_each(store, dataset, dict.fromkeys(each.choice for each in settings))
    video_list = find_videos(dataset, root, split=settings[0].split)
    if video_list.multi_label:
        raise UserError(
            f"{root} has several labels a video, and a sweep is sorted by top-1. Evaluate one choice at a time: "
            "recognize eval"
        )
    with bars(f"{dataset.name}, {settings[0].encoder}", "videos") as advance:
        by_preprocessing = {each.wording().preprocessing: each for each in settings}  # nearly always one
        embedded = {
            preprocessing: embed_listed(dataset, video_list, encoder, settings=each, on_progress=advance)
            for preprocessing, each in by_preprocessing.items()
        }
    with bars(f"{dataset.name}, sweep", "evaluations") as advance:
        runs = score_grid(embedded, descriptors, settings=settings, with_predictions=store_runs, on_progress=advance)
    return [replace(run, id=store.save_run(run)) for run in runs] if store_runs else runs


def score_grid(
    embedded: Mapping[Preprocessing, EmbeddedDataset],
    descriptors: DescriptorsByChoice,
    *,
    settings: Sequence[Settings],
    with_predictions: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> list[Run]:
    """Return a run for each of the settings, best top-1 first; each distinct text is encoded once.

    Args:
        embedded: the videos, by preprocessing.
        descriptors: the texts, by choice.
        settings: of the evaluations.
        with_predictions: whether the runs keep every prediction.
        on_progress: called with (runs done, runs in all).

    Raises:
        UserError: the videos that can be read differ between preprocessings.
    """
    videos = _same_videos(list(embedded.values()))
    ensembles = _ensembles(embedded, descriptors, settings)
    batches: dict[object, VideoBatch] = {}
    baselines: dict[object, TrueRanks] = {}
    runs: list[Run] = []
    rows: list[dict[str, TrueRanks]] = []
    for each in settings:
        start, protocol = time.perf_counter(), each.wording()
        own, ensemble = embedded[protocol.preprocessing], ensembles[each.choice, protocol]
        pooling = (protocol.preprocessing, each.pooling, each.unit_frames)
        if pooling not in batches:
            batches[pooling] = pooled(own.features, settings=each)
        batch, labels = batches[pooling], (protocol.name, protocol.label_templates, pooling)
        if labels not in baselines:  # the same for every method
            baselines[labels] = rank_by_labels(own.features, batch, ensemble, settings=each)
        ranked = rank_true_classes(own.features, batch, ensemble, settings=each)
        both = {LABEL_ONLY: baselines[labels], WITH_DESCRIPTORS: ranked}
        run = make_run(
            own, batch, ensemble, descriptors[each.choice],
            settings=each, rows=both, results={}, with_predictions=with_predictions,
        )  # fmt: skip
        runs.append(replace(run, seconds=time.perf_counter() - start))
        rows.append({name: row.without_scores() for name, row in both.items()})
        on_progress(len(runs), len(settings))
    runs = [replace(run, results=each) for run, each in zip(runs, results_of(videos, rows), strict=True)]
    return _best_first(runs, rows, videos.groups)


def _same_videos(embedded: Sequence[EmbeddedDataset]) -> EmbeddedDataset:
    """Return the first, whose videos are those of all; refuse other videos, since their rows are compared."""
    first, *others = ({video.id for video in each.features.videos} for each in embedded)
    if differing := sorted(set().union(*(first ^ other for other in others))):
        raise UserError(
            f"Of the videos, {len(differing)} can be read with the preprocessing of one protocol but not of another: "
            f"{first_few(differing)}. Read the unreadable ones again: --retry. Or sweep one --protocol at a time"
        )
    return embedded[0]


def _best_first(runs: Sequence[Run], rows: Sequence[Mapping[str, TrueRanks]], sources: Sequence[str]) -> list[Run]:
    """Return the runs, best top-1 first, each with its p corrected for their number; the first, if they are several,
    also says what the best is worth on other videos.

    Args:
        runs: of the same V videos.
        rows: by run, the ranks by the labels alone and with descriptors.
        sources: the group of each video; see `clip_groups`.
    """
    before, after = (
        np.stack([row[name].ranks.numpy() <= 1 for row in rows]) for name in (LABEL_ONLY, WITH_DESCRIPTORS)
    )
    groups = Design.of([0] * len(sources), sources).groups
    with_p = [
        replace(run, results={**run.results, "corrected_p": p})
        for run, p in zip(runs, corrected_p(before, after, groups), strict=True)
    ]
    first, *others = sorted(with_p, key=lambda run: -run.results["rows"][WITH_DESCRIPTORS]["top1"]["value"])
    worth = elsewhere(before, after, groups) if others else None
    best_of = {"evaluations": len(runs), **asdict(worth)} if worth else None
    return [replace(first, results={**first.results, "best_of": best_of}) if worth else first, *others]


def _ensembles(
    embedded: Mapping[Preprocessing, EmbeddedDataset], descriptors: DescriptorsByChoice, settings: Sequence[Settings]
) -> dict[tuple[DescriptorChoice, Protocol], Ensemble]:
    videos = next(iter(embedded.values()))
    keys = list(dict.fromkeys((each.choice, each.wording()) for each in settings))
    texts = [(descriptors[choice] or labels_again(videos.dataset, protocol), protocol) for choice, protocol in keys]
    return dict(zip(keys, build_ensembles(videos.dataset, texts, videos.encoder), strict=True))
