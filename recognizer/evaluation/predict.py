"""Rank the classes for single videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.errors import UserError
from db.records import Dataset, Descriptor
from recognizer.datasets.find import Video
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.features.embed import Features, Progress, embed_videos
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.methods import log_probabilities, scores
from recognizer.scoring.pooling import Videos
from recognizer.scoring.selection import descriptors_digest
from recognizer.video.file_types import IMAGE_SUFFIXES, VIDEO_SUFFIXES

if TYPE_CHECKING:
    from torch import Tensor


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


@dataclass(frozen=True)
class Scored:
    """Videos scored against classes: what their rankings are made of.

    Attributes:
        dataset: the C classes.
        features: of the V videos, W views each.
        ensemble: the texts of the classes.
        batch: the V * W views.
        scores: [V, C], in the units of cosines; the mean over the views.
        probabilities: [V, C].
        ranks: int64 [V, C], from 1.
        label_only_ranks: the same by the labels alone.
    """

    dataset: Dataset
    features: Features
    ensemble: Ensemble
    batch: Videos
    scores: Tensor
    probabilities: Tensor
    ranks: Tensor
    label_only_ranks: Tensor

    def candidate(self, video: int, label: int) -> Candidate:
        """Return how a class did for a video; both by their index."""
        action, place = self.dataset.actions[label], (video, label)
        score, probability = float(self.scores[place]), float(self.probabilities[place])
        ranks = int(self.ranks[place]), int(self.label_only_ranks[place])
        return Candidate(ranks[0], action.name, action.phrase, score, probability, ranks[1])

    def views_of(self, video: int) -> Videos:
        """Return the W views of a video."""
        of = slice(video * self.features.views, (video + 1) * self.features.views)
        return Videos(self.batch.frames[of], self.batch.pooled[of], self.batch.pooling)

    def best(self, video: int, count: int) -> list[int]:
        """Return the `count` best classes of a video, best first."""
        order: list[int] = self.ranks[video].argsort()[:count].tolist()
        return order


def score_videos(
    dataset: Dataset,
    paths: Sequence[Path],
    descriptors: Sequence[Descriptor],
    encoder: StoredEncoder,
    *,
    settings: Settings,
    on_progress: Progress = lambda done, total: None,
) -> Scored:
    """Score those of the videos that can be read; arguments as in `predict`."""
    videos = [Video(id=str(path), label=0, path=path, splits=()) for path in paths]
    features = embed_videos(videos, encoder, sampling=settings.sampling, on_progress=on_progress)
    ensemble = build_ensemble(dataset, descriptors, encoder, settings.wording())
    batch, chosen = Videos.of(features.frames, pooling=settings.pooling), {"temperature": settings.temperature}
    scored = features.over_views(scores(batch, ensemble, method=settings.method, **chosen))
    by_label = features.over_views(scores(batch, ensemble.label_only(), method="label"))
    probable = log_probabilities(scored, **chosen).exp()
    return Scored(dataset, features, ensemble, batch, scored, probable, _ranks(scored), _ranks(by_label))


def _ranks(scores: Tensor) -> Tensor:
    """Return the rank of each class, from 1; of equal ones the first in label order is before."""
    ranks: Tensor = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1) + 1
    return ranks


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
    scored = score_videos(dataset, paths, descriptors, encoder, settings=settings, on_progress=on_progress)
    lost = {video: Ranking(video, (), reason) for video, reason in scored.features.unreadable}
    read = {
        video.id: Ranking(video.id, tuple(scored.candidate(row, label) for label in scored.best(row, top)))
        for row, video in enumerate(scored.features.videos)
    }
    return [(read | lost)[str(path)] for path in paths]


def settings_used(dataset: Dataset, settings: Settings, descriptors: Sequence[Descriptor]) -> dict[str, Any]:
    """Return what rankings were made with, for programs and for `report.made_with`."""
    names = ("protocol", "encoder", "frames", "clips", "crops", "method", "pooling", "templates", "condition")
    return {
        "dataset": dataset.name,
        **{name: getattr(settings, name) for name in (*names, "temperature")},
        "descriptors": len(descriptors),
        "descriptors_sha256": descriptors_digest(descriptors),
    }
