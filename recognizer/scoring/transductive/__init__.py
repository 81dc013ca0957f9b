"""Transductive scoring: each video is scored with all other videos of the same call, without their labels.

docs/protocols.md has the formulas. To add a way, add its function to `TRANSDUCTIVE`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import UserError
from recognizer.scoring.transductive.presence import classes_present
from recognizer.scoring.transductive.sinkhorn import sinkhorn
from recognizer.scoring.transductive.stata import stata

if TYPE_CHECKING:
    from torch import Tensor

UNIFORM = "uniform"  # the prior with the same share for each class
ENOUGH = 0.7  # least share of the prior's classes that should have videos; with fewer, Sinkhorn costs accuracy
_VIDEOS_A_CLASS = 2  # fewer cannot tell which classes have videos


@dataclass(frozen=True)
class Unlabelled:
    """V videos and C classes, as one call scores them.

    Attributes:
        scores: of each video without the others, [V, C], in the units of cosines.
        videos: [V, D], unit norm.
        texts: the mean text of each class, [C, D], unit norm.
        prior: shares of the classes, [C], of sum 1; None is uniform.
        scale: logits are scale * score.
    """

    scores: Tensor
    videos: Tensor
    texts: Tensor
    prior: Tensor | None
    scale: float

    def log_probabilities(self) -> Tensor:
        """Return the log of the softmax of the logits over classes, float64 [V, C]."""
        return (self.scores.double() * self.scale).log_softmax(dim=1)

    def shares(self) -> Tensor:
        """Return the prior, float64 [C]."""
        classes = self.scores.shape[1]
        uniform = self.scores.new_full((classes,), 1 / classes)
        return (uniform if self.prior is None else self.prior).double()


@dataclass(frozen=True)
class Transduced:
    """Scores with the help of the other videos.

    Attributes:
        scores: [V, C], in the units of cosines: their softmax, times the scale, is the new prediction.
        present: estimated number of classes with videos; see `classes_present`.
        cautions: sentences that belong to the numbers.
        shares: the prior by class, [C]; empty if it is uniform.
    """

    scores: Tensor
    present: float
    cautions: tuple[str, ...]
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Transductive:
    """A way to score videos together: the value of `--transductive`, its line in the help, and what it does.

    `log_predictions` returns the log of the predictions, float64 [V, C]; `uses_prior` says whether the shares of the
    classes determine them.
    """

    name: str
    about: str
    log_predictions: Callable[[Unlabelled], Tensor]
    uses_prior: bool


TRANSDUCTIVE = {
    way.name: way
    for way in (
        Transductive(
            "sinkhorn",
            "the classes get the shares of the videos that --class-prior says",
            lambda given: sinkhorn(given.log_probabilities(), given.shares()),
            uses_prior=True,
        ),
        Transductive(
            "stata",
            "a Gaussian for each class is fitted to the videos, held near its text (StatA)",
            lambda given: stata(given.log_probabilities(), given.videos.double(), given.texts.double()),
            uses_prior=False,
        ),
    )
}


def transduce(name: str, given: Unlabelled) -> Transduced:
    """Return the scores of V videos with the help of each other.

    Args:
        name: one of `TRANSDUCTIVE`.
        given: the videos and classes.

    Raises:
        UserError: there are too few videos; or a uniform prior, and the videos seem to be of too few classes.
    """
    way, present = TRANSDUCTIVE[name], classes_present(given.scores)
    _refuse_few_videos(way, given)
    cautions = _cautions(way.name, given, present) if way.uses_prior else ()
    scores = (way.log_predictions(given) / given.scale).to(given.scores)
    return Transduced(scores, present, cautions, () if given.prior is None else tuple(given.prior.tolist()))


def _refuse_few_videos(way: Transductive, given: Unlabelled) -> None:
    videos, classes = given.scores.shape
    needed = _VIDEOS_A_CLASS * classes if way.uses_prior and given.prior is None else 2
    if videos < needed:
        of_classes = f" for {classes} classes" if needed > 2 else ""
        raise UserError(
            f"--transductive {way.name} needs at least {needed} videos{of_classes}, there are {videos}: it scores each "
            "video by the others. Leave --transductive out to score each by itself"
        )


def _cautions(name: str, given: Unlabelled, present: float) -> tuple[str, ...]:
    """Refuse a uniform prior, and warn of another one, if too few of its classes seem to have videos."""
    expected = 1 / float(given.shares().square().sum())
    if present >= ENOUGH * expected:
        return ()
    seem = f"the videos seem to be of about {present:.1f} classes"
    if given.prior is not None:
        return (f"{seem}, the class prior is of {expected:.1f}: if it is wrong, {name} costs accuracy",)
    raise UserError(
        f"--transductive {name} assumes that all {given.scores.shape[1]} classes have equally many videos, but "
        f"{seem}: accuracy would collapse. Use --transductive stata, say the shares with --class-prior FILE, or leave "
        "--transductive out"
    )
