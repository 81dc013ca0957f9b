"""What rejecting videos costs and gains in an evaluation: risk and coverage, and videos of no class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from db.progress import ProgressBars
from db.records import Run
from recognizer.datasets.find import VideoList
from recognizer.datasets.official import clip_groups
from recognizer.evaluation.none_of_these import Gate
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS, EmbeddedDataset, TrueRanks, pooled, video_scores
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import Features, embed_videos, videos_on_disk
from recognizer.scoring.curves import (
    Estimate,
    Order,
    Resampling,
    auroc,
    estimate,
    false_positive_rate,
    risk_coverage_area,
)
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.intervals import Design, Flags, Floats
from recognizer.scoring.metrics import Rate, difference, rate
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor

_POINTS = 100  # of a curve that is stored


@dataclass(frozen=True)
class Risk:
    """The videos of the classes, those with the highest odds kept first.

    Attributes:
        kept, rejected: videos, by the threshold.
        coverage: kept / all.
        top1_of_kept: None if none is kept.
        aurc: area below the risk-coverage curve; see `risk_coverage_area`.
        curve: (coverage, top-1 of the kept ones), by falling threshold.
    """

    kept: int
    rejected: int
    coverage: Rate
    top1_of_kept: Rate | None
    aurc: Rate
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Detection:
    """The videos of no class.

    Attributes:
        kept, rejected: videos, by the threshold.
        false_accepts: kept / all.
        auroc: probability that a video of a class has higher odds than one of none.
        fpr95: share of the videos of no class that are kept, where 95% of the others are.
    """

    kept: int
    rejected: int
    false_accepts: Rate
    auroc: Rate
    fpr95: Rate


@dataclass(frozen=True)
class Outside:
    """The listed videos that are of no class."""

    video_list: VideoList
    features: Features | None  # None: none of them is on disk

    @classmethod
    def embed(
        cls, embedded: EmbeddedDataset, encoder: CachingEncoder, settings: Settings, *, bars: ProgressBars
    ) -> Outside:
        """Return a dataset's videos of no class, up to the limit, with their embeddings."""
        listed = replace(embedded.video_list, videos=embedded.video_list.outside, outside=())
        if not any(video.path for video in listed.videos):
            return cls(listed, None)
        present = videos_on_disk(embedded.dataset, listed, settings.limit)
        with bars(f"{embedded.dataset.name}, videos of no class", "videos") as advance:
            features = embed_videos(present, encoder, sampling=settings.sampling, on_progress=advance)
        return cls(listed, features)

    @property
    def count(self) -> int:
        """How many of them were read."""
        return len(self.features.videos) if self.features else 0

    @property
    def counts(self) -> dict[str, int]:
        """How many are listed, evaluated and so on, as the counts of a run."""
        missing = sum(video.path is None for video in self.video_list.videos)
        unreadable = len(self.features.unreadable) if self.features else 0
        listed = len(self.video_list.videos)
        return {
            "listed": listed,
            "evaluated": self.count,
            "truncated": len(self.features.truncated) if self.features else 0,
            "missing": missing,
            "unreadable": unreadable,
            "beyond the limit": listed - missing - unreadable - self.count,
        }

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Those that were not evaluated, with the reason, as a run has them."""
        unreadable = self.features.unreadable if self.features else ()
        return (*unreadable, *((video.id, "missing") for video in self.video_list.videos if not video.path))


def with_rejection(
    run: Run,
    gate: Gate,
    embedded: EmbeddedDataset,
    outside: Outside,
    batch: VideoBatch,
    ensemble: Ensemble,
    rows: Mapping[str, TrueRanks],
    *,
    settings: Settings,
) -> Run:
    """Return a run with the numbers of rejection, for both rows of its table, as its result `none_of_these`.

    Args:
        run: of V videos.
        gate: the rule.
        embedded: these videos.
        outside: U videos of no class; may be none.
        batch: the V * W views of the videos, pooled.
        ensemble: the texts of the run.
        rows: the scores of both rows.
        settings: of the run.
    """
    odds = _odds(gate, embedded.features, batch, {name: row.scores for name, row in rows.items()})
    beyond: Mapping[str, Floats] = {}
    if outside.features and outside.count:
        pool = pooled(outside.features, settings=settings)
        texts = {LABEL_ONLY: ensemble.label_only(), WITH_DESCRIPTORS: ensemble}
        scored = {name: video_scores(outside.features, pool, each, settings=settings) for name, each in texts.items()}
        beyond = _odds(gate, outside.features, pool, scored)
    bench = _Bench(embedded, outside, gate.least_odds, rows)
    result = {
        "threshold": settings.threshold,
        "background": {"texts": list(gate.background.texts), "same": list(gate.background.same)},
        "texts_cut": list(gate.ensemble.cut),
        "outside": outside.counts,
        **bench.numbers(odds, beyond),
    }
    return replace(run, results={**run.results, "none_of_these": result}, left_out=(*run.left_out, *outside.left_out))


def _odds(gate: Gate, features: Features, batch: VideoBatch, scored: Mapping[str, Tensor]) -> dict[str, Floats]:
    """Return the log odds of each row, [V]."""
    background = gate.background_scores(features, batch)
    return {name: gate.log_odds(each, scored[LABEL_ONLY], background).numpy() for name, each in scored.items()}


@dataclass(frozen=True)
class _Bench:
    """What the numbers of both rows have in common."""

    embedded: EmbeddedDataset
    outside: Outside
    least: float  # lowest log odds of a video that is kept
    rows: Mapping[str, TrueRanks]

    def numbers(self, odds: Mapping[str, Floats], beyond: Mapping[str, Floats]) -> dict[str, Any]:
        """Return the numbers of each row, and what descriptors gain."""
        risks = {name: self._aurc(name, each) for name, each in odds.items()}
        kept = {name: each >= self.least for name, each in odds.items()}
        gains = {
            "coverage": difference(kept[LABEL_ONLY], kept[WITH_DESCRIPTORS], self._design()),
            "aurc": risks[WITH_DESCRIPTORS].minus(risks[LABEL_ONLY]),
        }
        result = {"rows": {name: asdict(self._risk(name, odds[name], risks[name])) for name in odds}}
        if beyond:
            measured = {name: self._separation(odds[name], beyond[name]) for name in odds}
            for number, key in enumerate(("auroc", "fpr95")):
                gains[key] = measured[WITH_DESCRIPTORS][number].minus(measured[LABEL_ONLY][number])
            rows = {name: asdict(self._detection(beyond[name], *measured[name])) for name in odds}
            result["detection"] = rows
        return {
            **result,
            "gain": {name: asdict(gain) for name, gain in gains.items()},
            "rejected": self._rejected(self.embedded.features, odds),
            "outside_videos": [video.id for video in self.outside.features.videos] if self.outside.features else [],
            "outside_rejected": self._rejected(self.outside.features, beyond),
        }

    def _rejected(self, features: Features | None, odds: Mapping[str, Floats]) -> list[str]:
        """Return the ids of the videos that are rejected with descriptors."""
        if not (features and odds):
            return []
        below = odds[WITH_DESCRIPTORS] < self.least
        return [video.id for video, is_below in zip(features.videos, below, strict=True) if is_below]

    def _design(self, chosen: Flags | None = None) -> Design:
        """Return the design of the videos of the classes, or of some of them."""
        groups = self.embedded.groups
        rows = range(len(groups)) if chosen is None else np.flatnonzero(chosen).tolist()
        return Design.of([self.embedded.features.videos[v].label for v in rows], [groups[v] for v in rows])

    def _hits(self, row: str) -> Flags:
        hits: Flags = self.rows[row].ranks.numpy() <= 1
        return hits

    def _aurc(self, row: str, odds: Floats) -> Estimate:
        return estimate([risk_coverage_area(Order.of(odds), ~self._hits(row))], Resampling.of(self.embedded.groups))

    def _risk(self, row: str, odds: Floats, aurc: Estimate) -> Risk:
        kept, hits = odds >= self.least, self._hits(row)
        return Risk(
            kept=int(kept.sum()),
            rejected=int((~kept).sum()),
            coverage=rate(kept, self._design()),
            top1_of_kept=rate(hits[kept], self._design(kept)) if kept.any() else None,
            aurc=aurc.rate,
            curve=_curve(odds, hits),
        )

    def _outside_groups(self) -> list[str]:
        return clip_groups(video.id for video in self.outside.features.videos) if self.outside.features else []

    def _separation(self, odds: Floats, beyond: Floats) -> tuple[Estimate, Estimate]:
        """Return AUROC and FPR95."""
        order, known = Order.of(np.concatenate([odds, beyond])), np.arange(len(odds) + len(beyond)) < len(odds)
        resampling = Resampling.of([*self.embedded.groups, *self._outside_groups()], known.tolist())
        return estimate([auroc(order, known)], resampling), estimate([false_positive_rate(order, known)], resampling)

    def _detection(self, beyond: Floats, area: Estimate, false: Estimate) -> Detection:
        kept = beyond >= self.least
        design = Design.of([0] * len(beyond), self._outside_groups())
        return Detection(int(kept.sum()), int((~kept).sum()), rate(kept, design), auroc=area.rate, fpr95=false.rate)


def _curve(odds: Floats, hits: Flags) -> tuple[tuple[float, float], ...]:
    """Return the share of videos kept, and their top-1, at about `_POINTS` thresholds."""
    order, count = Order.of(odds), len(odds)
    share = order.share_at_or_above(hits, order.ones)
    places = sorted({int(order.ends[-(-step * count // _POINTS) - 1]) for step in range(1, _POINTS + 1)})
    return tuple(((place + 1) / count, float(share[place])) for place in places)
