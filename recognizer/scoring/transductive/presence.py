"""How many of the classes have videos: an estimate from scores alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_LOW = 0.25  # quantile of a class's scores that stands for videos of other classes
_SURE = 0.5  # share of the videos, those with the largest margin, that are counted
_ONE = 3.0  # below this effective number of predicted classes, the videos may all be of one class


def classes_present(scores: Tensor) -> float:
    """Return the effective number of classes that videos are of, 1 to C, from their scores [V, C].

    It is 1 / sum of squared shares: the number of classes, if all have equally many videos, and fewer where some have
    most. A class that is near to every video is predicted even if it has no videos; so the lower quartile of a class's
    scores, which stands for videos of other classes, is subtracted from them. Errors spread over all classes; so only
    the half of the videos with the largest margins is counted. If nearly all plain predictions are of one class, its
    quartile may be of its own videos; then the plain predictions are counted instead.
    """
    plain = _effective(scores)
    low = scores.kthvalue(1 + int(_LOW * (len(scores) - 1)), dim=0).values  # [C]
    return plain if plain < _ONE else _effective(scores - low)


def _effective(scores: Tensor) -> float:
    """Return n (n - 1) / sum over classes of m (m - 1), where class c is predicted for m of the n surest videos.

    It is the inverse of Simpson's index, which is unbiased for few videos (Nature 163, 1949); C if no class has two.
    """
    classes = scores.shape[1]
    if classes == 1 or len(scores) == 1:
        return 1.0
    best, label = scores.topk(2, dim=1)
    count = max(2, round(_SURE * len(scores)))
    sure = (best[:, 0] - best[:, 1]).topk(count).indices
    counts = label[sure, 0].bincount(minlength=classes).tolist()
    pairs = sum(m * (m - 1) for m in counts)
    return min(float(classes), count * (count - 1) / pairs) if pairs else float(classes)
