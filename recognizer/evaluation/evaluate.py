"""Evaluate descriptors on the videos of a dataset: a run with all its settings, accuracies and predictions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from db.errors import UserError
from db.progress import ProgressBars, no_bars
from db.records import Dataset, Descriptor, Prediction, Run
from db.store import Store
from encoders.protocol import Encoder, logits_of, traits_of
from recognizer.datasets.find import VideoList, find_videos
from recognizer.evaluation.background import Background
from recognizer.evaluation.measure_rejection import Outside, with_rejection
from recognizer.evaluation.multi_label import multi_label_results
from recognizer.evaluation.none_of_these import Gate
from recognizer.evaluation.ranking import (
    LABEL_ONLY,
    WITH_DESCRIPTORS,
    EmbeddedDataset,
    TrueRanks,
    both_rows,
    embed_listed,
    pooled,
)
from recognizer.evaluation.settings import Settings
from recognizer.evaluation.together import transductive_results
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import Features
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.intervals import Indices
from recognizer.scoring.metrics import accuracies, gains, over_splits
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import Protocol
from recognizer.scoring.selection import choose_descriptors, classes_without, descriptors_digest

FORMAT = "descgen-recognize run, version 1"
_PACKAGES = ("descgen-recognize", "torch", "transformers", "openai-clip", "decord2", "av", "pillow")
_STORED_CLASSES = 10  # of each ranking; the rank of the true class is stored beside them


def evaluate(
    store: Store,
    dataset: Dataset,
    root: Path,
    encoder: CachingEncoder,
    *,
    settings: Settings,
    bars: ProgressBars = no_bars,
) -> Run:
    """Classify the videos of a dataset with its labels alone and with its descriptors; store and return the run.

    Args:
        store: has the descriptors; the run is saved to it, unless it is read-only: then the run has no id.
        dataset: C classes.
        root: folder of the videos, or a CSV file with the columns path and label; recorded in the settings.
        encoder: opened by `settings.encoder`.
        settings: everything else.
        bars: opens a progress bar.

    Raises:
        UserError: some classes lack descriptors, or no video is on disk or can be read; or as in `transduce`.
    """
    settings.check_for(encoder)
    settings = replace(settings.with_texts_used(), root=str(root.resolve()))
    descriptors = choose_descriptors(store, dataset, settings.choice)
    if not store.read_only:
        store.register(dataset)  # labels alone need no build, but a run needs its classes
    background = Background.choose(store, dataset, settings)
    video_list = find_videos(dataset, root, split=settings.split)
    if background and video_list.multi_label:
        raise UserError(f"--none-of-these needs one label a video, and {root} has several. Leave it out for the mAP")
    if settings.transductive and video_list.multi_label:
        raise UserError(f"--transductive needs one label a video, and {root} has several. Leave it out for the mAP")
    start = time.perf_counter()
    ensemble = build_ensemble(dataset, descriptors, encoder, settings.wording())
    with bars(f"{dataset.name}, {settings.encoder}", "videos") as advance:
        embedded = embed_listed(dataset, video_list, encoder, settings=settings, on_progress=advance)
    batch = pooled(embedded.features, settings=settings)
    if background:
        outside = Outside.embed(embedded, encoder, settings, bars=bars)
        embedded = replace(
            embedded, video_list=replace(video_list, outside=())
        )  # videos of no class do not count as skipped
    rows = both_rows(embedded.features, batch, ensemble, settings=settings)
    run = make_run(embedded, batch, ensemble, descriptors, settings=settings, rows=rows)
    if background:
        gate = Gate.of(background, encoder, settings)
        run = with_rejection(run, gate, embedded, outside, batch, ensemble, rows, settings=settings)
    together = transductive_results(embedded, batch, ensemble, rows[WITH_DESCRIPTORS], settings=settings)
    run = replace(run, results={**run.results, **together})
    run = replace(run, seconds=time.perf_counter() - start)
    return run if store.read_only else store.run(store.save_run(run))


def make_run(
    embedded: EmbeddedDataset,
    batch: VideoBatch,
    ensemble: Ensemble,
    descriptors: Sequence[Descriptor],
    *,
    settings: Settings,
    rows: Mapping[str, TrueRanks] | None = None,
    results: Mapping[str, Any] | None = None,
    with_predictions: bool = True,
) -> Run:
    """Return the run of one choice of texts and method; `seconds` is the time of the scoring.

    Args:
        embedded: V videos of W views.
        batch: their V * W views, pooled by `settings`.
        ensemble: labels and descriptors, worded by `settings`.
        descriptors: recorded in the run.
        settings: the method, and everything else to record.
        rows: the ranks of both rows of the table, if already computed.
        results: of these rows, if they are not to be computed here; see `results_of`.
        with_predictions: whether the run keeps every prediction.
    """
    start = time.perf_counter()
    video_list, features = embedded.video_list, embedded.features
    rows = rows or both_rows(features, batch, ensemble, settings=settings)
    return Run(
        dataset=embedded.dataset.name,
        settings=_run_settings(settings, embedded, ensemble, descriptors),
        descriptors_sha256=descriptors_digest(descriptors),
        descriptor_ids=tuple(descriptor.id for descriptor in descriptors),
        counts=_counts(video_list, features),
        left_out=(*features.unreadable, *((id_, "missing") for id_ in video_list.missing)),
        results=dict(results_of(embedded, [rows])[0] if results is None else results),
        seconds=time.perf_counter() - start,
        predictions=_predictions(features, rows) if with_predictions else (),
    )


def with_texts(store: Store, run: Run) -> dict[str, Any]:
    """Return a run as a JSON file shows it: all fields, and the texts of its descriptors."""
    texts = store.descriptors_by_id(run.descriptor_ids)
    return {"format": FORMAT, **asdict(run), "descriptors": [asdict(text) for text in texts]}


def results_of(embedded: EmbeddedDataset, evaluations: Sequence[Mapping[str, TrueRanks]]) -> list[dict[str, Any]]:
    """Return the results of evaluations of the same videos, each given by the ranks of both rows of its table."""
    if embedded.video_list.multi_label:
        return [multi_label_results(embedded, rows) for rows in evaluations]
    ranks = {
        name: np.stack([rows[name].ranks.numpy() for rows in evaluations]) for name in (LABEL_ONLY, WITH_DESCRIPTORS)
    }
    labels, groups = embedded.features.labels, embedded.groups
    gained = gains(ranks[LABEL_ONLY], ranks[WITH_DESCRIPTORS], labels, groups)
    return [
        {
            "rows": measured,
            "log_loss": {name: row.log_loss for name, row in rows.items()},
            "gain": asdict(gain),
            **by_split,
        }
        for rows, measured, gain, by_split in zip(
            evaluations, _by_row(ranks, labels, groups), gained, _by_split(embedded, ranks), strict=True
        )
    ]


def _by_row(
    ranks: Mapping[str, Indices], labels: ArrayLike, groups: Sequence[Hashable]
) -> list[dict[str, dict[str, Any]]]:
    """Return the accuracies by row of the table, for each of R evaluations; `ranks` has [R, V] for each row."""
    columns = [[asdict(each) for each in accuracies(rank, labels, groups)] for rank in ranks.values()]
    return [dict(zip(ranks, values, strict=True)) for values in zip(*columns, strict=True)]


def _by_split(embedded: EmbeddedDataset, ranks: Mapping[str, Indices]) -> list[dict[str, Any]]:
    """Return, for each evaluation, the accuracies by official split with mean and deviation, if there are several
    splits, and the splits without any video.
    """
    features, groups = embedded.features, embedded.groups
    listed = {split for video in embedded.video_list.videos for split in video.splits}
    if len(listed) < 2:
        return [{} for _ in ranks[LABEL_ONLY]]
    members = {n: [v for v, video in enumerate(features.videos) if n in video.splits] for n in sorted(listed)}
    splits = {
        str(n): _by_row(
            {name: rank[:, own] for name, rank in ranks.items()}, features.labels[own], [groups[v] for v in own]
        )
        for n, own in members.items()
        if own
    }
    empty = [str(n) for n, own in members.items() if not own]
    return [
        _over_splits({n: by_row[evaluation] for n, by_row in splits.items()}, empty)
        for evaluation in range(len(ranks[LABEL_ONLY]))
    ]


def _over_splits(splits: dict[str, dict[str, Any]], empty: list[str]) -> dict[str, Any]:
    spreads = over_splits(list(splits.values())) if len(splits) > 1 else {}
    return {
        "splits": splits,
        "over_splits": {
            row: {name: asdict(spread) for name, spread in by_measure.items()} for row, by_measure in spreads.items()
        },
        "splits_without_videos": empty,
    }


def _predictions(features: Features, rows: Mapping[str, TrueRanks]) -> tuple[Prediction, ...]:
    row = rows[WITH_DESCRIPTORS]
    best = row.scores.topk(min(_STORED_CLASSES, row.scores.shape[1]), dim=1)
    columns = (row.labels, best.indices, best.values, row.ranks, rows[LABEL_ONLY].ranks)
    return tuple(
        Prediction(video.id, true, tuple(zip(labels, scores, strict=True)), rank, label_only_rank)
        for video, true, labels, scores, rank, label_only_rank in zip(
            features.videos, *(column.tolist() for column in columns), strict=True
        )
    )


def _counts(video_list: VideoList, features: Features) -> dict[str, int]:
    missing = len(video_list.missing)
    tried = len(features.videos) + len(features.unreadable)
    return {
        "listed": len(video_list.videos),
        "evaluated": len(features.videos),
        "truncated": len(features.truncated),
        "missing": missing,
        "unreadable": len(features.unreadable),
        "beyond the limit": len(video_list.videos) - missing - tried,
        "ignored files": sum(video_list.skipped.values()),
    }


def _run_settings(
    settings: Settings, embedded: EmbeddedDataset, ensemble: Ensemble, descriptors: Sequence[Descriptor]
) -> dict[str, Any]:
    return {
        **asdict(settings),
        **text_settings(embedded.dataset, descriptors, embedded.encoder, settings.wording(), cut=ensemble.cut),
        **({"names": settings.choice.names} if settings.choice.names != "off" else {}),
        "layout": embedded.video_list.layout,
        **({"multi_label": True} if embedded.video_list.multi_label else {}),
        "ignored": dict(embedded.video_list.skipped),
        "statuses": dict(Counter(d.status for d in descriptors)),
        "edited": sum(d.edited_from is not None for d in descriptors),
        "truncated": dict(embedded.features.truncated),
        "readers": dict(embedded.features.readers),
        "device": device(),
        "versions": package_versions(),
    }


def text_settings(
    dataset: Dataset, descriptors: Sequence[Descriptor], encoder: Encoder, protocol: Protocol, *, cut: Sequence[str]
) -> dict[str, Any]:
    """Return the settings of a run or localization about its texts, encoder and classes (by label index)."""
    logits, traits = logits_of(encoder), traits_of(encoder)
    clips = {"clip_frames": traits.clip_frames} if traits.clip_frames is not None else {}
    return {
        "encoder_revision": encoder.revision,
        "encoder_texts": dict(traits.texts_key),
        **clips,
        **({"encoder_notes": list(traits.notes)} if traits.notes else {}),
        "logit_scale": logits.scale,
        "logit_bias": logits.bias,
        "calibrated": logits.calibrated,
        "label_templates": protocol.label_templates,
        "descriptor_templates": protocol.descriptor_templates,
        "preprocessing": protocol.preprocessing,
        "kinds": sorted({d.kind for d in descriptors}),
        "llms": sorted({d.writer for d in descriptors}),
        "classes_without": dict(classes_without(dataset, descriptors)),
        "texts_cut": cut,
        "context_length": encoder.context_length,
        "classes": [[action.name, protocol.label_text(dataset, action)] for action in dataset.actions],
    }


def device() -> str:
    """Return where models run here: `cuda` or `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def package_versions() -> dict[str, str]:
    """Return the installed versions of the packages that can change the numbers."""
    return {package: version(package) for package in _PACKAGES}
