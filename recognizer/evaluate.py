"""The job: descriptors and videos in, a run with every prediction out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from db.records import Dataset, Descriptor, Run
from recognizer.datasets.find import VideoList
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.features.embed import Progress
from recognizer.ranked import embed
from recognizer.record import run_of
from recognizer.scoring.ensemble import build_ensemble
from recognizer.scoring.pooling import Videos
from recognizer.settings import Settings


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
    seen = Videos.of(embedded.features.frames, pooling=settings.pooling)
    run = run_of(embedded, seen, ensemble, descriptors, settings=settings)
    return replace(run, seconds=time.perf_counter() - start)
