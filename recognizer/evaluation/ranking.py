"""The embedded videos of a dataset, and the ranks of their true classes by a set of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from db.errors import UserError
from db.progress import Progress
from db.records import Dataset, Prediction
from encoders.protocol import Encoder
from recognizer.datasets.find import VideoList
from recognizer.datasets.official import clip_groups
from recognizer.datasets.records import NO_CLASS, Video
from recognizer.evaluation.settings import ScoringSettings, Settings
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import Features, embed_videos, videos_on_disk
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.intervals import Flags
from recognizer.scoring.methods import BASELINE, log_probabilities, scores
from recognizer.scoring.metrics import log_loss, ranks
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor


LABEL_ONLY = "label only"
WITH_DESCRIPTORS = "label + descriptors"


@dataclass(frozen=True)
class EmbeddedDataset:
    """The embedded videos of a dataset, shared by evaluations with different texts and methods."""

    dataset: Dataset
    video_list: VideoList
    encoder: Encoder
    features: Features

    @cached_property
    def groups(self) -> list[str]:
        """The group of each embedded video; see `clip_groups`."""
        return clip_groups(video.id for video in self.features.videos)


def embed_listed(
    dataset: Dataset,
    video_list: VideoList,
    encoder: CachingEncoder,
    *,
    settings: Settings,
    on_progress: Progress = lambda done, total: None,
) -> EmbeddedDataset:
    """Embed the listed videos that are on disk, up to the limit.

    Raises:
        UserError: no video is on disk, or none can be read.
    """
    present = videos_on_disk(dataset, video_list, settings.limit)
    features = embed_videos(present, encoder, sampling=settings.sampling, on_progress=on_progress)
    if not features.videos:
        raise UserError(f"None of {len(present)} videos can be read; the first: {': '.join(features.unreadable[0])}")
    return EmbeddedDataset(dataset, video_list, encoder, features)


@dataclass(frozen=True)
class TrueRanks:
    """The scores of one set of texts for V videos, and the ranks of the true classes."""

    scores: Tensor  # [V, C]
    labels: Tensor  # of the true class, int64 [V]; of the best one, if videos have several labels (see `best_true`)
    ranks: Tensor  # of that class, from 1, int64 [V]
    log_loss: float | None  # see `metrics.log_loss`; None if videos have several labels

    def without_scores(self) -> TrueRanks:
        """Return the ranks alone, with scores [V, 0]: those of many evaluations fill the memory."""
        return replace(self, scores=self.scores.new_empty(len(self.scores), 0))


def rank_true_classes(
    features: Features, batch: VideoBatch, ensemble: Ensemble, *, settings: ScoringSettings
) -> TrueRanks:
    """Score the texts of an ensemble and rank the true classes; arguments as in `video_scores`."""
    scored = video_scores(features, batch, ensemble, settings=settings)
    if features.multi_label:
        return TrueRanks(scored, *best_true(scored, features.videos), log_loss=None)
    return ranked(features, scored, ensemble, settings=settings)


def ranked(features: Features, scored: Tensor, ensemble: Ensemble, *, settings: ScoringSettings) -> TrueRanks:
    """Rank the true classes by scores [V, C], in the units of cosines; each video has one label."""
    labels = features.labels
    logs = log_probabilities(scored, logit_scale=ensemble.logit_scale, temperature=settings.temperature)
    return TrueRanks(scored, labels, ranks(scored, labels), log_loss(logs, labels))


def rank_by_labels(
    features: Features, batch: VideoBatch, ensemble: Ensemble, *, settings: ScoringSettings
) -> TrueRanks:
    """Rank the true classes by the labels alone, the baseline of every method; arguments as in `video_scores`."""
    settings = replace(settings, method=BASELINE)
    return rank_true_classes(features, batch, ensemble.label_only(), settings=settings)


def both_rows(
    features: Features, batch: VideoBatch, ensemble: Ensemble, *, settings: ScoringSettings
) -> dict[str, TrueRanks]:
    """Return the ranks of both rows of a table, by labels alone and with descriptors; as in `video_scores`."""
    return {
        LABEL_ONLY: rank_by_labels(features, batch, ensemble, settings=settings),
        WITH_DESCRIPTORS: rank_true_classes(features, batch, ensemble, settings=settings),
    }


def pooled(features: Features, *, settings: ScoringSettings) -> VideoBatch:
    """Return the V * W views of videos, pooled as the settings say."""
    return VideoBatch.of(features.frames, pooling=settings.pooling, unit_frames=settings.unit_frames)


def video_scores(features: Features, batch: VideoBatch, ensemble: Ensemble, *, settings: ScoringSettings) -> Tensor:
    """Return the scores [V, C] by the method in the settings, averaged over the W views of each video.

    Args:
        features: V videos.
        batch: their V * W views, pooled.
        ensemble: texts of C classes.
        settings: method and temperature.
    """
    return features.over_views(scores(batch, ensemble, method=settings.method, temperature=settings.temperature))


def truth_of(videos: Sequence[Video], classes: int) -> Flags:
    """Return the true classes of videos, bool [V, C]."""
    truth = np.zeros((len(videos), classes), dtype=bool)
    for row, video in enumerate(videos):
        truth[row, list(video.classes)] = True
    return truth


def best_true(scores: Tensor, videos: Sequence[Video]) -> tuple[Tensor, Tensor]:
    """Return the true class of each video that scores best, and its rank from 1 among the classes that are not true.

    A tie with another class counts against it. Without a true class they are `NO_CLASS` and C + 1.

    Args:
        scores: [V, C].
        videos: V videos.

    Returns:
        Two tensors, int64 [V].
    """
    import torch

    truth = torch.from_numpy(truth_of(videos, scores.shape[1]))
    best, label = scores.masked_fill(~truth, -torch.inf).max(dim=1)
    rank = (~(scores < best[:, None]) & ~truth).sum(dim=1) + 1
    return label.masked_fill(~truth.any(dim=1), NO_CLASS), rank


def predicted(prediction: Prediction) -> int:
    """Return the predicted label: the true one only if its rank is 1.

    Ties count against the true class, as in every accuracy; so the share of right predictions is the top-1.
    """
    if prediction.rank <= 1:
        return prediction.label
    return rival(prediction) if len(prediction.ranking) > 1 else prediction.ranking[0][0]


def rival(prediction: Prediction) -> int:
    """Return the label of the best class that is not the true one, of a ranking of two or more."""
    return next(label for label, _ in prediction.ranking if label != prediction.label)
