"""`sinkhorn`: the classes get the shares of the videos that a prior says.

Prior matching by optimal transport with the entropy of the prediction itself (Sinkhorn's algorithm: Cuturi, NeurIPS
2013, arXiv 1306.0895); with exact transport it is OTTER (Shin et al., NeurIPS 2024, arXiv 2404.08461).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from db.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_ROUNDS = 5000
_NEAR = 1e-6  # largest error of the log of a class's share at which the rounds end
_ENOUGH = 1e-3  # largest error accepted after the last round: uncalibrated logits converge slowly


def sinkhorn(log_probabilities: Tensor, prior: Tensor) -> Tensor:
    """Return the log of the matrix Q nearest to the predictions whose classes have the shares of a prior, [V, C].

    Of all Q with rows of sum 1 and columns of sum V * prior it has the smallest Kullback-Leibler divergence from the
    predictions P. So log Q = log P + a number for each video + a number for each class: the scores of
    a class are shifted by one number, the same for all videos.

    Args:
        log_probabilities: log P, float64 [V, C]; rows of P sum to 1.
        prior: shares of the classes, float64 [C], above 0, of sum 1.

    Raises:
        UserError: the shares cannot be reached in reasonable time.
    """
    wanted = (prior * len(log_probabilities)).log()
    log_q, error = log_probabilities, float("inf")
    for _ in range(_ROUNDS):
        missing = wanted - log_q.logsumexp(dim=0)  # [C]
        error = float(missing.abs().max())
        if error < _NEAR:
            break
        log_q = (log_q + missing).log_softmax(dim=1)
    if not error < _ENOUGH:
        raise UserError(
            f"Sinkhorn's rounds do not reach the shares of the classes: after {_ROUNDS} a class still has {error:.1%} "
            "more or fewer videos. Leave --transductive out, or raise --temperature, which makes predictions less sure"
        )
    return log_q
