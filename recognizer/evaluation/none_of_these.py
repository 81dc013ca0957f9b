"""The rule by which videos are rejected: answered with `none of these` instead of a class."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING

from encoders.protocol import Encoder
from recognizer.evaluation.background import Background
from recognizer.evaluation.settings import ScoringSettings
from recognizer.features.embed import Features
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import BASELINE, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.rejection import log_odds

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """Whether a video is of one of the classes.

    Attributes:
        one_of_these: probability that it is, 0 to 1, from a prior of 1/2.
        rejected: whether that is below the threshold: the answer is `none of these`.
        background: the background text with the best score.
    """

    one_of_these: float
    rejected: bool
    background: str


@dataclass(frozen=True)
class Gate:
    """Background texts as vectors, and the threshold."""

    background: Background
    ensemble: Ensemble  # [B, 1, D]
    settings: ScoringSettings

    @classmethod
    def of(cls, background: Background, encoder: Encoder, settings: ScoringSettings) -> Gate:
        """Return the gate of some settings; the texts are encoded."""
        return cls(background, background.ensemble(encoder, settings.wording()), settings)

    @property
    def least_odds(self) -> float:
        """The log odds of the threshold: a video below them is rejected."""
        return log(self.settings.threshold / (1 - self.settings.threshold))

    def background_scores(self, features: Features, batch: VideoBatch) -> Tensor:
        """Return the scores of the background texts [V, B], the mean over the views of each video."""
        return features.over_views(scores(batch, self.ensemble, method=BASELINE))

    def log_odds(self, scored: Tensor, by_label: Tensor, background: Tensor) -> Tensor:
        """Return the log odds that each video is of one of the classes, float64 [V]; see `rejection.log_odds`.

        Args:
            scored: scores of the classes, [V, C].
            by_label: the same by their labels alone.
            background: see `background_scores`.
        """
        scale, temperature = self.ensemble.logit_scale, self.settings.temperature
        return log_odds(scored, by_label, background, logit_scale=scale, temperature=temperature)

    def verdicts(self, scored: Tensor, by_label: Tensor, background: Tensor) -> list[Verdict]:
        """Return the verdict on each video; arguments as in `log_odds`."""
        odds = self.log_odds(scored, by_label, background)
        values = (odds.sigmoid().tolist(), odds.tolist(), background.argmax(dim=1).tolist())
        return [
            Verdict(probability, value < self.least_odds, self.background.texts[best])
            for probability, value, best in zip(*values, strict=True)
        ]
