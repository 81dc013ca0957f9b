"""Videos of a dataset as an encoder sees them, and the ranks that texts give to their classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import UserError
from db.records import Dataset
from encoders.protocol import Encoder
from recognizer.datasets.find import VideoList
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.features.embed import Features, Progress, embed_videos, spread
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import log_probabilities, scores
from recognizer.scoring.metrics import log_loss, ranks
from recognizer.scoring.pooling import Videos

if TYPE_CHECKING:
    from torch import Tensor


LABEL_ONLY = "label only"
WITH_DESCRIPTORS = "label + descriptors"


@dataclass(frozen=True)
class Embedded:
    """The videos of a dataset as an encoder sees them: all that evaluations of other texts and methods share."""

    dataset: Dataset
    videos: VideoList
    encoder: Encoder
    features: Features


def embed(
    dataset: Dataset,
    videos: VideoList,
    encoder: StoredEncoder,
    *,
    settings: Settings,
    on_progress: Progress = lambda done, total: None,
) -> Embedded:
    """Embed those of the videos that are on disk, up to the limit.

    Raises:
        UserError: no video is on disk, or none of them can be read.
    """
    present = spread([video for video in videos.videos if video.path], settings.limit)
    if not present:
        raise UserError(f"None of the {len(videos.videos)} listed videos of {dataset.name} is there ({videos.layout})")
    features = embed_videos(present, encoder, sampling=settings.sampling, on_progress=on_progress)
    if not features.videos:
        raise UserError(f"None of {len(present)} videos can be read; the first: {': '.join(features.unreadable[0])}")
    return Embedded(dataset, videos, encoder, features)


@dataclass(frozen=True)
class Ranked:
    """What one set of texts made of V videos.

    Attributes:
        scores: [V, C].
        ranks: of the true class, int64 [V].
        log_loss: see `metrics.log_loss`.
    """

    scores: Tensor
    ranks: Tensor
    log_loss: float


def ranked(embedded: Embedded, batch: Videos, ensemble: Ensemble, *, settings: Settings) -> Ranked:
    """Return the ranks of the true classes; arguments as in `run_of`."""
    of_views = scores(batch, ensemble, method=settings.method, temperature=settings.temperature)
    scored = embedded.features.over_views(of_views)
    labels = labels_of(embedded.features)
    loss = log_loss(log_probabilities(scored, temperature=settings.temperature), labels)
    return Ranked(scored, ranks(scored, labels), loss)


def labels_of(features: Features) -> Tensor:
    """Return the labels of videos, int64 [V]."""
    import torch

    return torch.tensor([video.label for video in features.videos])
