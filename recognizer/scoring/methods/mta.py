"""`mta`: as `mean`, with the frames pooled by a robust mean shift in place of their mean.

MTA (Zanella and Ben Ayed, CVPR 2024, arXiv 2405.02266), with the frames of a video for the views of an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods.means import class_weights
from recognizer.scoring.methods.method import Method
from recognizer.scoring.pooling import VideoBatch

if TYPE_CHECKING:
    from torch import Tensor

LAMBDA_Y = 0.2  # weight of the entropy of the inlierness; this and the next are the paper's, for all datasets
LAMBDA_Q = 4.0  # weight of the affinity of frames
_STEPS = 5  # outer steps, and inner steps of each half, as in the authors' code
_NEIGHBOURS = 0.3  # share of the other frames that set the bandwidth of a frame
_SMALLEST = 1e-3  # bandwidth: frames that repeat have a distance of 0


def _mta(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    return modes(videos, ensemble).inner(class_weights(ensemble))


def _attribution(videos: VideoBatch, ensemble: Ensemble, _temperature: float) -> Tensor:
    lengths: Tensor = ensemble.text_sums().norm(dim=1, keepdim=True)  # [C, 1]
    return modes(videos, ensemble).inner(ensemble.texts) / lengths


def modes(videos: VideoBatch, ensemble: Ensemble) -> Tensor:
    """Return the mode of the frames of each video, [V, D], unit norm: where frames that agree are dense.

    Frames agree if they are predicted alike, by the mean text of each class. The search starts at the pooled video.
    """
    from torch.nn.functional import normalize

    frames, mode = (normalize(v.double(), dim=-1) for v in (videos.frames, videos.pooled))  # [V, T, D], [V, D]
    variance = _variances(frames)
    logits = frames.inner(class_weights(ensemble).double()) * ensemble.logit_scale
    affinity = _self_products(logits.softmax(dim=2))  # [V, T, T]
    inlierness = frames.new_full(frames.shape[:2], 1 / frames.shape[1])
    for _ in range(_STEPS):
        log_density = _log_density(frames, mode, variance)
        for _ in range(_STEPS):
            agreement = (affinity * inlierness.unsqueeze(1)).sum(dim=2)
            inlierness = ((log_density.exp() + LAMBDA_Q * agreement) / LAMBDA_Y).softmax(dim=1)
        for _ in range(_STEPS):
            mode = _shifted(frames, mode, variance, inlierness)
    return mode.to(videos.pooled)


def _variances(frames: Tensor) -> Tensor:
    """Return the squared bandwidth of each frame [V, T]: half the mean squared distance to its nearest frames."""
    count = frames.shape[1]
    if count == 1:
        return frames.new_full(frames.shape[:2], _SMALLEST**2)
    squared = (2 - 2 * _self_products(frames)).clamp(min=0)  # [V, T, T]
    squared.diagonal(dim1=1, dim2=2).fill_(-1)  # itself is the nearest, also beside frames that are the same
    nearest = squared.sort(dim=2).values[:, :, 1 : max(1, int(_NEIGHBOURS * (count - 1))) + 1]
    return (nearest.mean(dim=2) / 2).clamp(min=_SMALLEST**2)


def _self_products(rows: Tensor) -> Tensor:
    """Return the inner products of rows [V, T, N] within each video, [V, T, T]."""
    return rows @ rows.transpose(1, 2)


def _log_density(frames: Tensor, mode: Tensor, variance: Tensor) -> Tensor:
    """Return the log of each frame's Gaussian kernel around the mode, [V, T]."""
    return -(frames - mode.unsqueeze(1)).square().sum(dim=2) / (2 * variance)


def _shifted(frames: Tensor, mode: Tensor, variance: Tensor, inlierness: Tensor) -> Tensor:
    """Return the mean of the frames weighted by density and inlierness, unit norm, [V, D].

    The weights are computed as a softmax, which also holds where all densities are too small for a number.
    """
    from torch.nn.functional import normalize

    weights = (_log_density(frames, mode, variance) + inlierness.log()).softmax(dim=1)
    return normalize((weights.unsqueeze(2) * frames).sum(dim=1), dim=-1)


METHODS = [
    Method(
        "mta",
        "as mean, the frames pooled by a robust mean shift (MTA)",
        _mta,
        _attribution,
        needs_frames=True,
        classes_apart=False,
        pools=True,
    )
]
