"""Whether a video is of any of the classes: their texts against background texts, which mean none of them."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from encoders.protocol import LOGIT_SCALE

if TYPE_CHECKING:
    from torch import Tensor


def log_odds(
    scores: Tensor, by_label: Tensor, background: Tensor, *, logit_scale: float = LOGIT_SCALE, temperature: float = 1.0
) -> Tensor:
    """Return the log odds that each video is of one of the classes, float64 [V].

    With s = logit_scale / temperature,

        log odds = log mean_c exp(s (score_c + shift)) - log mean_b exp(s score_b)
        shift    = mean_c label_c - mean_c score_c

    Without the shift, and with sums in place of the means, it is NegLabel (Jiang et al., ICLR 2024, arXiv 2403.20078).
    The means make the classes as probable as the background before a video is seen, however many texts either has. The
    shift, one number for each video, brings the classes to the level of their labels: descriptors are other sentences
    than labels, and raise or lower the scores of all classes, which is not evidence for any of them.

    Args:
        scores: of C classes by their texts, [V, C], in the units of cosines.
        by_label: the same by their labels alone, [V, C].
        background: of B background texts, worded as labels, [V, B].
        logit_scale: of the encoder.
        temperature: of the softmax.
    """
    scores, by_label, background = scores.double(), by_label.double(), background.double()
    level = scores + (by_label - scores).mean(dim=1, keepdim=True)
    odds: Tensor = _log_mean_exp(level * (logit_scale / temperature)) - _log_mean_exp(
        background * (logit_scale / temperature)
    )
    return odds


def _log_mean_exp(logits: Tensor) -> Tensor:
    return logits.logsumexp(dim=1) - log(logits.shape[1])
