"""What a text fires on: how its cosines with all videos lie by class, and a verdict in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from recognizer.datasets.official import clip_groups
from recognizer.datasets.records import Video
from recognizer.evaluation.ranking import truth_of
from recognizer.scoring.intervals import Flags, Floats, newcombe
from recognizer.scoring.metrics import Rate

LEAST = 3  # videos of a class about which something is said
FIRES = 0.7  # AUROC from which a text fires on a class: 7 of 10 pairs in order (Hosmer and Lemeshow: acceptable)
ALSO = 0.5  # share of the own class's height from which another class is named beside it
_LEVEL = 0.05  # two-sided

Verdict = Literal["own", "also", "more", "nothing", "few"]


@dataclass(frozen=True)
class Firing:
    """What V videos say about one text of a class.

    Attributes:
        verdict: `own`: it fires on its class; `also`: on another one too; `more`: on another one more, or instead;
            `nothing`: on no class in particular; `few`: its class has fewer than `LEAST` videos, or the others have.
        videos: number of its class's videos.
        others: number of all other videos.
        area: AUROC of its class's videos against all others by their cosine with the text, with the 95% interval over
            groups of clips cut from one source; None if the verdict is `few`.
        rival: the other class of the highest mean cosine, of those with `LEAST` videos; None if there is none.
        means: mean cosine with the videos of each class, [C]; NaN for a class without videos.
        rank: place of its class by `means`, from 1; 0 if it has no videos.
    """

    verdict: Verdict
    videos: int
    others: int
    area: Rate | None
    rival: int | None
    means: Floats
    rank: int

    def sentence(self, phrases: Sequence[str]) -> str:
        """Return the verdict in words; `phrases` [C] are those of the classes."""
        rival = phrases[self.rival] if self.rival is not None else ""
        return {
            "own": "fires on its own class",
            "also": f"fires on its own class; also on {rival}",
            "more": f"fires more on {rival} than on its own class",
            "nothing": "fires on nothing in particular",
            "few": f"too few videos to say ({self.videos} of its class, {self.others} of others)",
        }[self.verdict]


@dataclass(frozen=True)
class Crowd:
    """V videos by class: what the texts of C classes are measured on.

    Attributes:
        truth: bool [V, C]; a video may have several classes.
        counts: [C], videos of each class.
        units: [C], groups of clips cut from one source, of each class: as many as videos, if no groups are known.
        other_units: [C], groups of the videos of no such class.
    """

    truth: Flags
    counts: Floats
    units: Floats
    other_units: Floats

    @classmethod
    def of(cls, videos: Sequence[Video], classes: int) -> Crowd:
        """Count videos and their groups by class."""
        truth = truth_of(videos, classes)
        names = clip_groups(video.id for video in videos)
        groups = np.unique(names, return_inverse=True)[1]
        units, others = (
            np.array([len(np.unique(groups[side[:, c]])) for c in range(classes)], float) for side in (truth, ~truth)
        )
        return cls(truth, truth.sum(axis=0).astype(float), units, others)

    def firing(self, cosines: Floats, own: int) -> Firing:
        """Return what the videos say about a text of class `own`, by its cosines with them [V]."""
        with np.errstate(invalid="ignore"):
            means = cosines @ self.truth / self.counts  # [C], NaN without videos
        videos, others = int(self.counts[own]), int(len(cosines) - self.counts[own])
        told = self.counts >= LEAST
        rival = self._rival(means, own, told)
        rank = 1 + int((means > means[own]).sum()) if videos else 0
        if not told[own] or others < LEAST:
            return Firing("few", videos, others, None, rival, means, rank)
        areas = self._areas(cosines)
        area = self._rate(areas, own)
        heights = _standardised(means, told)
        verdict: Verdict = "own" if _fires(area) else "nothing"
        if rival is not None and _fires(self._rate(areas, rival, corrected=True)):
            verdict = _with_rival(heights[own], heights[rival], fires=verdict == "own")
        return Firing(verdict, videos, others, area, rival, means, rank)

    def _rival(self, means: Floats, own: int, told: Flags) -> int | None:
        candidates = np.where(told, means, -np.inf)
        candidates[own] = -np.inf
        best = int(candidates.argmax())
        return best if np.isfinite(candidates[best]) else None

    def _areas(self, cosines: Floats) -> Floats:
        """Return the AUROC of the videos of each class against all others, [C], by rank sums (Mann and Whitney)."""
        ordered = np.sort(cosines)
        ranks = (np.searchsorted(ordered, cosines, "left") + np.searchsorted(ordered, cosines, "right") + 1) / 2
        wins = ranks @ self.truth - self.counts * (self.counts + 1) / 2
        with np.errstate(invalid="ignore"):
            areas: Floats = wins / (self.counts * (len(cosines) - self.counts))
        return areas

    def _rate(self, areas: Floats, c: int, *, corrected: bool = False) -> Rate:
        """Return the area of class c with its interval; `corrected` for as many classes as it was chosen from."""
        chances = (self.counts >= LEAST).sum() if corrected else 1
        z = NormalDist().inv_cdf(1 - _LEVEL / 2 / max(1, int(chances)))
        low, high = newcombe(areas[c], self.units[c], self.other_units[c], z=z)
        return Rate(float(areas[c]), float(low), float(high))


def _standardised(means: Floats, told: Flags) -> Floats:
    """Return the mean cosines in deviations from their mean over the classes with enough videos, [C]."""
    spread = means[told].std()
    heights: Floats = (means - means[told].mean()) / (spread if spread > 0 else 1)
    return heights


def _fires(area: Rate) -> bool:
    return area.value >= FIRES and area.low > 0.5


def _with_rival(own: float, rival: float, *, fires: bool) -> Verdict:
    if not fires or rival > own:
        return "more"
    return "also" if rival >= ALSO * own else "own"
