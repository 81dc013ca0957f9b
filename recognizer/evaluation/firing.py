"""What a text fires on: how its cosines with all videos lie by class, and a verdict in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from recognizer.datasets.official import clip_groups
from recognizer.datasets.records import Video
from recognizer.scoring.intervals import Flags, Floats, Indices, newcombe
from recognizer.scoring.metrics import Rate

LEAST = 3  # videos of a class about which something is said
FIRES = 0.7  # AUROC from which a text fires on a class: 7 of 10 pairs in order (Hosmer and Lemeshow: acceptable)
CHANCE = 0.5  # AUROC of a text that says nothing about a class
ALSO = 0.5  # share of the own class's height from which another class is named beside it
_LEVEL = 0.05  # two-sided

Verdict = Literal["own", "also", "more", "nothing", "few"]


@dataclass(frozen=True)
class Firing:
    """What V videos say about one text of a class.

    Attributes:
        verdict: `own`: it fires on its class; `also`: on another one too; `more`: on another one more, or instead;
            `nothing`: on no class in particular; `few`: its class or the others have fewer than `LEAST` videos, or the
            interval of `area` holds both `CHANCE` and `FIRES`.
        videos: number of its class's videos.
        others: number of all other videos.
        area: AUROC of its class's videos against all others by their cosine with the text, with the 95% interval over
            groups of clips cut from one source; None with fewer than `LEAST` videos.
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
        rows, classes: the pairs of a video, numbered from 0, and one of its classes, [N] each.
        counts: [C], videos of each class.
        units: [C], number of groups of clips cut from one source in each class; that of videos if none are known.
        other_units: [C], number of groups with videos that are not of the class.
    """

    rows: Indices
    classes: Indices
    counts: Floats
    units: Floats
    other_units: Floats

    @classmethod
    def of(cls, videos: Sequence[Video], classes: int) -> Crowd:
        """Count videos and their groups by class."""
        pairs = [(row, c) for row, video in enumerate(videos) for c in video.classes]
        rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        _, group, size = np.unique(clip_groups(video.id for video in videos), return_inverse=True, return_counts=True)
        shared, inside = np.unique(np.stack([columns, group[rows]]), axis=1, return_counts=True)
        whole = np.bincount(shared[0, inside == size[shared[1]]], minlength=classes)  # groups of this class alone
        counts, units = (np.bincount(of, minlength=classes).astype(float) for of in (columns, shared[0]))
        return cls(rows, columns, counts, units, (len(size) - whole).astype(float))

    def firing(self, cosines: Floats, own: int) -> Firing:
        """Return what the videos say about a text of class `own`, by its cosines with them [V]."""
        with np.errstate(invalid="ignore"):
            means = self._sums(cosines) / self.counts  # [C], NaN without videos
        videos, others = int(self.counts[own]), int(len(cosines) - self.counts[own])
        enough = self.counts >= LEAST
        rival = self._rival(means, own, enough)
        rank = 1 + int((means > means[own]).sum()) if videos else 0
        if not enough[own] or others < LEAST:
            return Firing("few", videos, others, None, rival, means, rank)
        areas, heights = self._areas(cosines), _standardised(means, enough)
        area = self._rate(areas, own)
        verdict: Verdict = "own" if _fires(area) else "few" if area.low <= CHANCE and area.high >= FIRES else "nothing"
        if rival is not None and _fires(self._rate(areas, rival, corrected=True)):
            verdict = _with_rival(verdict, heights[own], heights[rival])
        return Firing(verdict, videos, others, area, rival, means, rank)

    def _sums(self, values: Floats) -> Floats:
        """Return the sum of values [V] over the videos of each class, [C]."""
        return np.bincount(self.classes, values[self.rows], minlength=len(self.counts)).astype(float)

    def _rival(self, means: Floats, own: int, enough: Flags) -> int | None:
        candidates = np.where(enough, means, -np.inf)
        candidates[own] = -np.inf
        best = int(candidates.argmax())
        return best if np.isfinite(candidates[best]) else None

    def _areas(self, cosines: Floats) -> Floats:
        """Return the AUROC of the videos of each class against all others, [C], by rank sums (Mann and Whitney)."""
        ordered = np.sort(cosines)
        ranks = (np.searchsorted(ordered, cosines, "left") + np.searchsorted(ordered, cosines, "right") + 1) / 2
        wins = self._sums(ranks) - self.counts * (self.counts + 1) / 2
        with np.errstate(invalid="ignore"):
            areas: Floats = wins / (self.counts * (len(cosines) - self.counts))
        return areas

    def _rate(self, areas: Floats, c: int, *, corrected: bool = False) -> Rate:
        """Return the area of class c with its interval; `corrected`: for choosing c among all classes."""
        chances = (self.counts >= LEAST).sum() if corrected else 1
        z = NormalDist().inv_cdf(1 - _LEVEL / 2 / max(1, int(chances)))
        low, high = newcombe(areas[c], self.units[c], self.other_units[c], z=z)
        return Rate(float(areas[c]), float(low), float(high))


def _standardised(means: Floats, enough: Flags) -> Floats:
    """Return the mean cosines in deviations from their mean over the classes with enough videos, [C]."""
    spread = means[enough].std()
    heights: Floats = (means - means[enough].mean()) / (spread if spread > 0 else 1)
    return heights


def _fires(area: Rate) -> bool:
    return area.value >= FIRES and area.low > CHANCE


def _with_rival(verdict: Verdict, own: float, rival: float) -> Verdict:
    """Return the verdict about a text that fires on another class too, by the heights of both."""
    if rival > own:
        return "more"
    return "also" if verdict == "own" and rival >= ALSO * own else verdict
