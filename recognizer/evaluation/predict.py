"""Rank the classes of single videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.kinds import NAME
from db.progress import ProgressBars, no_bars
from db.records import Dataset, Descriptor
from db.store import Store
from recognizer.datasets.find import Video
from recognizer.datasets.given import videos_at
from recognizer.evaluation.background import Background
from recognizer.evaluation.none_of_these import Gate, Verdict
from recognizer.evaluation.ranking import pooled, video_scores
from recognizer.evaluation.settings import ScoringSettings, Settings
from recognizer.evaluation.together import scored_together
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import Features, embed_videos
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.methods import BASELINE, log_probabilities, method_of, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.selection import DescriptorChoice, choose_descriptors, descriptors_digest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ClassTexts:
    """The classes to choose from, their descriptors, and the settings that compare them with videos."""

    dataset: Dataset
    descriptors: Sequence[Descriptor]  # empty: labels alone
    settings: Settings
    background: Background | None = None  # if videos of no class are rejected

    @classmethod
    def choose(cls, store: Store, dataset: Dataset, settings: Settings) -> ClassTexts:
        """Return the descriptors that the settings choose; labels alone if no choice is made and none are stored.

        Raises:
            UserError: as `choose_descriptors`.
        """
        background = Background.choose(store, dataset, settings)
        return cls(dataset, cls._descriptors(store, dataset, settings), settings, background)

    @staticmethod
    def _descriptors(store: Store, dataset: Dataset, settings: Settings) -> Sequence[Descriptor]:
        if not method_of(settings.method).uses_descriptors:  # the choice is shown as not used
            names = choose_descriptors(store, dataset, settings.choice.without_descriptors)
            others = store.descriptors(dataset, statuses=settings.choice.statuses)
            return [*names, *(d for d in others if d.kind != NAME)]
        any_will_do = replace(settings.choice, partial=False) == DescriptorChoice()
        if any_will_do and not any(settings.choice.takes(text.kind) for text in store.descriptors(dataset)):
            return []
        return choose_descriptors(store, dataset, settings.choice)

    def ensemble(self, encoder: CachingEncoder) -> Ensemble:
        """Return labels and descriptors as vectors, [C, K, D]."""
        return build_ensemble(self.dataset, self.descriptors, encoder, self.settings.wording())

    def for_programs(self) -> dict[str, Any]:
        """Return everything that changes rankings, as JSON values."""
        return {
            "dataset": self.dataset.name,
            **{field.name: getattr(self.settings, field.name) for field in fields(ScoringSettings)},
            "names": self.settings.choice.names,
            "descriptors": len(self.descriptors),
            "descriptors_sha256": descriptors_digest(self.descriptors),
        }


@dataclass(frozen=True)
class Candidate:
    """One class for one video: its score (cosine, -1 to 1), its probability, and its rank by the labels alone.

    `inductive_rank` is its rank with each video scored by itself; it equals `rank` unless they are scored together.
    """

    rank: int
    name: str
    phrase: str
    score: float
    probability: float
    label_only_rank: int
    inductive_rank: int


@dataclass(frozen=True)
class Together:
    """What users are told about videos that are scored together: their number, and fields of `Transduced`."""

    videos: int
    classes_present: float
    cautions: tuple[str, ...]


@dataclass(frozen=True)
class Ranking:
    """The best classes of one video, or why it could not be read."""

    video: str
    candidates: tuple[Candidate, ...]
    unreadable: str | None = None
    truncated: str | None = None  # how much is there of a file that breaks off
    verdict: Verdict | None = None  # whether it is of any class; None if that was not asked
    together: Together | None = None  # if it is scored with other videos


@dataclass(frozen=True)
class ScoredVideos:
    """V videos of W views and their scores for C classes; the base of rankings and explanations."""

    texts: ClassTexts
    features: Features
    ensemble: Ensemble
    batch: VideoBatch  # the V * W views, pooled
    scores: Tensor  # [V, C], in the units of cosines; the mean over the views
    label_only: Tensor  # the same by the labels alone
    probabilities: Tensor  # [V, C]
    ranks: Tensor  # int64 [V, C], from 1
    label_only_ranks: Tensor  # the same by the labels alone
    inductive_ranks: Tensor  # the same without the other videos
    together: Together | None = None  # if the videos are scored together

    def candidate(self, video: int, label: int) -> Candidate:
        """Return the scores and ranks of one class for one video, both by index."""
        action, cell = self.texts.dataset.actions[label], (video, label)
        score, probability = float(self.scores[cell]), float(self.probabilities[cell])
        rank, *others = (int(ranks[cell]) for ranks in (self.ranks, self.label_only_ranks, self.inductive_ranks))
        return Candidate(rank, action.name, action.phrase, score, probability, *others)

    def views_of(self, video: int) -> VideoBatch:
        """Return the W views of a video."""
        return self.batch.select(self.features.view_rows([video]))

    def best(self, video: int, count: int) -> list[int]:
        """Return the labels of the `count` best classes of a video, best first."""
        order: list[int] = self.ranks[video].argsort()[:count].tolist()
        return order


def score_videos(
    texts: ClassTexts, paths: Sequence[Path], encoder: CachingEncoder, *, bars: ProgressBars = no_bars
) -> ScoredVideos:
    """Score the videos that can be read; arguments as in `predict`."""
    settings = texts.settings
    settings.check_for(encoder)
    videos = [Video(id=str(path), label=0, path=path, splits=()) for path in paths]
    with bars(f"{texts.dataset.name}, {settings.encoder}", "videos") as advance:
        features = embed_videos(videos, encoder, sampling=settings.sampling, on_progress=advance)
    ensemble = texts.ensemble(encoder)
    batch = pooled(features, settings=settings)
    scored = video_scores(features, batch, ensemble, settings=settings)
    alone, together = _ranks(scored), None
    if settings.transductive:
        transduced = scored_together(texts.dataset, features, batch, ensemble, scored, settings=settings)
        scored, together = transduced.scores, Together(len(scored), transduced.present, transduced.cautions)
    by_label = features.over_views(scores(batch, ensemble.label_only(), method=BASELINE))
    probabilities = log_probabilities(scored, logit_scale=ensemble.logit_scale, temperature=settings.temperature).exp()
    return ScoredVideos(
        texts,
        features,
        ensemble,
        batch,
        scored,
        by_label,
        probabilities,
        _ranks(scored),
        _ranks(by_label),
        alone,
        together,
    )


def _ranks(scores: Tensor) -> Tensor:
    """Return the rank of each class, from 1; ties are in label order."""
    ranks: Tensor = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1) + 1
    return ranks


def predict(
    texts: ClassTexts, paths: Sequence[Path], encoder: CachingEncoder, *, top: int = 5, bars: ProgressBars = no_bars
) -> list[Ranking]:
    """Return the `top` classes of each video, in the order given; an unreadable video has its reason instead.

    Args:
        texts: the classes to choose from.
        paths: video files, folders of videos, or folders of frames.
        encoder: opened by `texts.settings.encoder`.
        top: classes to return.
        bars: opens a progress bar.

    Raises:
        UserError: a folder has neither videos nor images; or as in `transduce`, if the videos are scored together.
    """
    clips = videos_at(paths).paths
    scored = score_videos(texts, clips, encoder, bars=bars)
    rankings = {video: Ranking(video, (), reason) for video, reason in scored.features.unreadable}
    truncated = dict(scored.features.truncated)
    verdicts = _verdicts(scored, encoder)
    for row, video in enumerate(scored.features.videos):
        candidates = tuple(scored.candidate(row, label) for label in scored.best(row, top))
        part = truncated.get(video.id)
        rankings[video.id] = Ranking(
            video.id, candidates, truncated=part, verdict=verdicts[row], together=scored.together
        )
    return [rankings[str(clip)] for clip in clips]


def _verdicts(scored: ScoredVideos, encoder: CachingEncoder) -> Sequence[Verdict | None]:
    """Return whether each video is of any class; None for each if that was not asked."""
    if not scored.texts.background:
        return [None] * len(scored.features.videos)
    gate = Gate.of(scored.texts.background, encoder, scored.texts.settings)
    background = gate.background_scores(scored.features, scored.batch)
    return gate.verdicts(scored.scores, scored.label_only, background)
