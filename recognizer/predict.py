"""Rank the classes for single videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.errors import UserError
from db.records import Dataset, Descriptor
from recognizer.datasets import Video
from recognizer.ensemble import build_ensemble
from recognizer.features import Progress, embed_videos
from recognizer.layouts import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from recognizer.scoring import log_probabilities, scores
from recognizer.settings import Settings
from recognizer.stored_encoder import StoredEncoder
from recognizer.videos import Videos


@dataclass(frozen=True)
class Candidate:
    """One class for one video: its score (cosine, -1 to 1), its probability, and its rank by the labels alone."""

    rank: int
    name: str
    phrase: str
    score: float
    probability: float
    label_only_rank: int


@dataclass(frozen=True)
class Ranking:
    """The best classes of one video, or why it could not be read."""

    video: str
    candidates: tuple[Candidate, ...]
    unreadable: str | None = None


def clips_below(paths: Sequence[Path]) -> list[Path]:
    """Return the paths with each folder of videos replaced by its videos, in order; folders of frames stay.

    Raises:
        UserError: a folder holds neither.
    """
    return [clip for path in paths for clip in (_clips_in(path) if path.is_dir() else [path])]


def _clips_in(folder: Path) -> list[Path]:
    """Return the videos below a folder, or the folder itself where it holds images and nothing else to look at."""
    found = sorted(path for path in folder.rglob("[!.]*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not found and any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.glob("[!.]*")):
        return [folder]
    if not found:
        raise UserError(f"{folder} holds neither videos nor the frames of one")
    return found


def predict(
    dataset: Dataset,
    paths: Sequence[Path],
    descriptors: Sequence[Descriptor],
    encoder: StoredEncoder,
    *,
    settings: Settings,
    top: int = 5,
    on_progress: Progress = lambda done, total: None,
) -> list[Ranking]:
    """Return the `top` classes of each video, in the order given; unreadable videos say why.

    Args:
        dataset: the classes to choose from.
        paths: video files or folders of frames.
        descriptors: of those classes; without any, the labels alone are used.
        encoder: opened by `settings.encoder`.
        settings: protocol, method, frames, and what else is for all videos alike.
        top: classes to return.
        on_progress: told (videos done, videos in all).
    """
    protocol = settings.wording()
    videos = [Video(id=str(path), label=0, path=path, splits=()) for path in paths]
    features = embed_videos(videos, encoder, sampling=settings.sampling, on_progress=on_progress)
    ensemble = build_ensemble(dataset, descriptors, encoder, protocol)
    seen, chosen = Videos.of(features.frames, pooling=settings.pooling), {"temperature": settings.temperature}
    scored = features.over_views(scores(seen, ensemble, method=settings.method, **chosen))  # [V, C]
    by_label = features.over_views(scores(seen, ensemble.label_only(), method="label"))
    order = by_label.argsort(dim=1, descending=True).argsort(dim=1) + 1
    values, classes = scored.topk(min(top, scored.shape[1]), dim=1)
    probable = log_probabilities(scored, **chosen).exp().gather(1, classes)
    rows = zip(features.videos, classes.tolist(), values.tolist(), probable.tolist(), order.tolist(), strict=True)
    read = {video.id: _ranking(dataset, video.id, *row) for video, *row in rows}
    lost = {video: Ranking(video, (), reason) for video, reason in features.unreadable}
    return [(read | lost)[str(path)] for path in paths]


def _ranking(dataset: Dataset, video: str, classes: Any, scores: Any, probable: Any, label_only: Any) -> Ranking:
    best = enumerate(zip(classes, scores, probable, strict=True), start=1)
    return Ranking(
        video,
        tuple(
            Candidate(rank, dataset.actions[c].name, dataset.actions[c].phrase, score, probability, label_only[c])
            for rank, (c, score, probability) in best
        ),
    )
