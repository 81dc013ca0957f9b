"""`stata`: a Gaussian for each class, fitted to the videos and held near its text; videos that are alike agree.

StatA (Zanella, Fuchs, De Vleeschouwer and Ben Ayed, 2025, arXiv 2501.03729).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ALPHA = 1.0  # the text of a class weighs as many videos; this and NEIGHBOURS are the authors' values
NEIGHBOURS = 3  # videos that a video agrees with
_ROUNDS, _STEPS = 10, 5  # fits of the Gaussians; updates of the predictions between two fits
_FLATNESS = 50.0  # likelihoods are raised to the power 1 / 50
_TINY = 1e-12  # variances and sums of weights are at least this
_AT_ONCE = 2**24  # cosines between videos that are held in memory


def stata(log_probabilities: Tensor, videos: Tensor, texts: Tensor) -> Tensor:
    """Return the log of the predictions after all rounds, float64 [V, C].

    Args:
        log_probabilities: of each video without the others, float64 [V, C].
        videos: float64 [V, D], unit norm.
        texts: the mean text of each class, float64 [C, D], unit norm.
    """
    neighbours = _Neighbours.of(videos)
    spread = _variances(log_probabilities.exp(), videos, texts).shared()  # [D]
    means, variances = texts, spread.expand_as(texts)
    log_z = log_probabilities
    for rounds_left in range(_ROUNDS, -1, -1):
        likelihood = _log_likelihood(videos, means, variances) / _FLATNESS
        for _ in range(_STEPS):
            agreement = neighbours.sums(log_z.exp()) / (2 * NEIGHBOURS)
            log_z = (log_probabilities + likelihood + agreement).log_softmax(dim=1)
        if rounds_left:
            means, variances = _fitted(log_z, videos, texts, spread)
    return log_z


def _fitted(log_z: Tensor, videos: Tensor, texts: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means, unit norm, and the variances of the classes, [C, D] each.

    A class that is the best one for n videos takes its mean and variance from the videos with weight n / (n + alpha),
    else from its anchor: the mean is its text, the variance that of all videos around their texts.
    """
    from torch.nn.functional import normalize

    z = log_z.exp()
    counts = z.argmax(dim=1).bincount(minlength=z.shape[1]).to(z)
    share = (counts / (counts + ALPHA)).unsqueeze(1)  # [C, 1]
    own = normalize(z.T @ videos, dim=1)  # of the weighted sum, and so of the weighted mean
    means = normalize(share * own + (1 - share) * texts, dim=1)
    around = _variances(z, videos, means).by_class()
    return means, share * around + (1 - share) * (spread + (texts - means).square())


@dataclass(frozen=True)
class _Variances:
    """Weighted sums [C, D] of the squared differences of videos from the centre of each class, and weights [C, 1]."""

    sums: Tensor
    weights: Tensor

    def by_class(self) -> Tensor:
        return (self.sums / self.weights.clamp(min=_TINY)).clamp(min=_TINY)  # [C, D]

    def shared(self) -> Tensor:
        return (self.sums.sum(dim=0) / self.weights.sum()).clamp(min=_TINY)  # [D]


def _variances(z: Tensor, videos: Tensor, centres: Tensor) -> _Variances:
    weights = z.sum(dim=0).unsqueeze(1)
    sums = z.T @ videos.square() - 2 * centres * (z.T @ videos) + weights * centres.square()
    return _Variances(sums, weights)


def _log_likelihood(videos: Tensor, means: Tensor, variances: Tensor) -> Tensor:
    """Return -1/2 sum over dimensions of (video - mean)^2 / variance, [V, C]; without the log of the determinant."""
    inverse = 1 / variances
    squares = videos.square() @ inverse.T - 2 * videos @ (means * inverse).T + (means.square() * inverse).sum(dim=1)
    return -squares / 2


@dataclass(frozen=True)
class _Neighbours:
    """The nearest other videos of each video, int64 [V, N], and their cosines; N is below 3 if there are few videos."""

    index: Tensor
    cosines: Tensor

    @classmethod
    def of(cls, videos: Tensor) -> _Neighbours:
        import torch

        count, rows = min(NEIGHBOURS, len(videos) - 1), max(1, _AT_ONCE // len(videos))
        nearest = []
        for start in range(0, len(videos), rows):
            cosines = videos[start : start + rows] @ videos.T
            cosines.diagonal(start).fill_(-torch.inf)  # itself
            nearest.append(cosines.topk(count, dim=1))
        return cls(torch.cat([best.indices for best in nearest]), torch.cat([best.values for best in nearest]))

    def sums(self, z: Tensor) -> Tensor:
        """Return W z + W' z for predictions z [V, C], where W has the cosines of neighbours, else 0."""
        received = (self.cosines.unsqueeze(2) * z[self.index]).sum(dim=1)
        sent = (self.cosines.unsqueeze(2) * z.unsqueeze(1)).flatten(0, 1)  # [V * N, C]
        return received.index_add(0, self.index.flatten(), sent)
