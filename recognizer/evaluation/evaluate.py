"""Descriptors and videos in, a run out, with every prediction and everything that makes the numbers what they are."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from typing import Any

from db.records import Dataset, Descriptor, Prediction, Run
from db.store import Store
from recognizer.datasets.find import VideoList
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS, Embedded, Ranked, embed, labels_of, ranked
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.features.embed import Features, Progress
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.metrics import accuracy, over_splits
from recognizer.scoring.pooling import Videos
from recognizer.scoring.selection import descriptors_digest, writer

_PACKAGES = ("descgen-recognize", "torch", "transformers", "openai-clip", "decord2", "av", "pillow")
FORMAT = "descgen-recognize run, version 1"
_KEPT = 10  # classes of a ranking that are stored; the true one's rank is stored beside them


def run_of(
    embedded: Embedded,
    batch: Videos,
    ensemble: Ensemble,
    descriptors: Sequence[Descriptor],
    *,
    settings: Settings,
    baseline: Ranked | None = None,
    with_predictions: bool = True,
) -> Run:
    """Return the run of one choice of texts and method; its seconds are those of the scoring.

    Args:
        embedded: V videos of W views.
        batch: their V * W views, pooled as the settings say.
        ensemble: the texts of the descriptors, worded as the settings say.
        descriptors: for the record.
        settings: the method, and everything else for the record.
        baseline: the labels alone, where they are known already.
        with_predictions: whether the run keeps every prediction.
    """
    start = time.perf_counter()
    of_labels = baseline or ranked(embedded, batch, ensemble.label_only(), settings=settings)
    rows = {LABEL_ONLY: of_labels, WITH_DESCRIPTORS: ranked(embedded, batch, ensemble, settings=settings)}
    return Run(
        dataset=embedded.dataset.name,
        settings=_settings(settings, embedded, ensemble, descriptors),
        descriptors_sha256=descriptors_digest(descriptors),
        descriptor_ids=tuple(descriptor.id for descriptor in descriptors),
        counts=_counts(embedded.videos, embedded.features),
        left_out=_left_out(embedded.videos, embedded.features),
        results=_results(embedded.features, rows),
        seconds=time.perf_counter() - start,
        predictions=_predictions(embedded.features, rows) if with_predictions else (),
    )


def with_texts(store: Store, run: Run) -> dict[str, Any]:
    """Return a run as a file that says by itself what it is: all of it, and the texts that its ids stand for."""
    texts = store.readings().by_id(run.descriptor_ids)
    return {"format": FORMAT, **asdict(run), "descriptors": [asdict(text) for text in texts]}


def _results(features: Features, rows: Mapping[str, Ranked]) -> dict[str, Any]:
    """Return accuracies by row; where several official splits are evaluated, those of each beside,
    and their mean and deviation.
    """
    import torch

    labels = labels_of(features)
    results: dict[str, Any] = {
        "rows": {name: asdict(accuracy(row.ranks, labels)) for name, row in rows.items()},
        "log_loss": {name: row.log_loss for name, row in rows.items()},
    }
    splits = sorted({split for video in features.videos for split in video.splits})
    if len(splits) > 1:
        member = {n: torch.tensor([n in video.splits for video in features.videos]) for n in splits}
        results["splits"] = {
            str(n): {name: asdict(accuracy(row.ranks[of_split], labels[of_split])) for name, row in rows.items()}
            for n, of_split in member.items()
        }
        spreads = over_splits(list(results["splits"].values()))
        results["over_splits"] = {row: {key: asdict(each) for key, each in of.items()} for row, of in spreads.items()}
    return results


def _predictions(features: Features, rows: Mapping[str, Ranked]) -> tuple[Prediction, ...]:
    scored = rows[WITH_DESCRIPTORS].scores
    values, classes = scored.topk(min(_KEPT, scored.shape[1]), dim=1)
    columns = zip(
        features.videos,
        classes.tolist(),
        values.tolist(),
        rows[WITH_DESCRIPTORS].ranks.tolist(),
        rows[LABEL_ONLY].ranks.tolist(),
        strict=True,
    )
    return tuple(
        Prediction(video.id, video.label, tuple(zip(best, score, strict=True)), rank, label_only_rank)
        for video, best, score, rank, label_only_rank in columns
    )


def _counts(videos: VideoList, features: Features) -> dict[str, int]:
    missing = sum(video.path is None for video in videos.videos)
    tried = len(features.videos) + len(features.unreadable)
    return {
        "listed": len(videos.videos),
        "evaluated": len(features.videos),
        "missing": missing,
        "unreadable": len(features.unreadable),
        "beyond the limit": len(videos.videos) - missing - tried,
        "ignored files": sum(videos.ignored.values()),
    }


def _left_out(videos: VideoList, features: Features) -> tuple[tuple[str, str], ...]:
    missing = tuple((video.id, "missing") for video in videos.videos if video.path is None)
    return (*features.unreadable, *missing)


def _settings(
    settings: Settings, embedded: Embedded, ensemble: Ensemble, descriptors: Sequence[Descriptor]
) -> dict[str, Any]:
    """Return everything that makes the numbers what they are, and the dataset's classes by label index."""
    import torch

    protocol, dataset, encoder = settings.wording(), embedded.dataset, embedded.encoder
    return {
        **asdict(settings),
        "encoder_revision": encoder.revision,
        "label_templates": protocol.label_templates,
        "descriptor_templates": protocol.descriptor_templates,
        "preprocessing": protocol.preprocessing,
        "layout": embedded.videos.layout,
        "ignored": dict(embedded.videos.ignored),
        "kinds": sorted({d.kind for d in descriptors}),
        "statuses": dict(Counter(d.status for d in descriptors)),
        "edited": sum(d.edited_from is not None for d in descriptors),
        "llms": sorted({writer(d) or d.source for d in descriptors}),
        "texts_cut": ensemble.cut,
        "context_length": encoder.context_length,
        "classes": [[action.name, protocol.label_text(dataset, action)] for action in dataset.actions],
        "readers": dict(embedded.features.readers),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "versions": _versions(),
    }


@cache
def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES}


def evaluate(
    dataset: Dataset,
    videos: VideoList,
    descriptors: Sequence[Descriptor],
    encoder: StoredEncoder,
    *,
    settings: Settings,
    on_progress: Progress = lambda done, total: None,
) -> Run:
    """Classify the videos of a dataset with its labels alone and with its descriptors.

    Args:
        dataset: C classes.
        videos: what was found; those not on disk are counted as missing.
        descriptors: at least one for each class.
        encoder: opened by `settings.encoder`.
        settings: everything else.
        on_progress: told (videos done, videos in all).

    Raises:
        UserError: no video is on disk, or none of them can be read.
    """
    start = time.perf_counter()
    ensemble = build_ensemble(dataset, descriptors, encoder, settings.wording())
    embedded = embed(dataset, videos, encoder, settings=settings, on_progress=on_progress)
    batch = Videos.of(embedded.features.frames, pooling=settings.pooling)
    run = run_of(embedded, batch, ensemble, descriptors, settings=settings)
    return replace(run, seconds=time.perf_counter() - start)
