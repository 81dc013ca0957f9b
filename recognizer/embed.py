"""Fill the feature store with the videos of a dataset."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from db.errors import UserError
from recognizer.datasets.find import VideoList
from recognizer.features import Progress, embed_videos, spread
from recognizer.stored_encoder import StoredEncoder
from recognizer.video.sampling import Sampling


@dataclass(frozen=True)
class EmbedReport:
    """What became of the videos of a dataset.

    Attributes:
        encoder: by its id.
        sampling: which frames and views.
        layout: how the videos were found.
        counts: listed, stored before, embedded, unreadable, missing, beyond the limit, by name.
        unreadable: (video id, reason).
        seconds: of all of it.
    """

    encoder: str
    sampling: Sampling
    layout: str
    counts: Mapping[str, int]
    unreadable: tuple[tuple[str, str], ...]
    seconds: float


def embed_dataset(
    videos: VideoList,
    encoder: StoredEncoder,
    *,
    sampling: Sampling,
    limit: int | None = None,
    retry: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> EmbedReport:
    """Embed those videos of a dataset that are on disk and not in the store.

    Args:
        videos: what was found.
        encoder: whose image tower.
        sampling: which frames and views.
        limit: only so many videos, evenly spread over the list.
        retry: try again those that could not be read before.
        on_progress: told (videos done, videos in all).

    Raises:
        UserError: no video is on disk, the encoder's weights are not here, or the store refuses.
    """
    start = time.perf_counter()
    there = [video for video in videos.videos if video.path]
    if not there:
        raise UserError(f"None of the {len(videos.videos)} listed videos is there ({videos.layout})")
    present = spread(there, limit)
    features = embed_videos(present, encoder, sampling=sampling, retry=retry, on_progress=on_progress)
    counts = {
        "listed": len(videos.videos),
        "stored before": len(features.videos) - features.new,
        "embedded": features.new,
        "unreadable": len(features.unreadable),
        "missing": len(videos.videos) - len(there),
        "beyond the limit": len(there) - len(present),
    }
    seconds = time.perf_counter() - start
    return EmbedReport(encoder.id, sampling, videos.layout, counts, features.unreadable, seconds)
