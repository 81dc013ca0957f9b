"""Sampling that is independent of the rest of the batch: each reply has its own random stream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from descriptor_gen.llms import Request

if TYPE_CHECKING:
    from torch import Generator, Tensor


class GumbelSampling:
    """A logits processor; the largest logit of its output is a sample of softmax(logits / temperature).

    The Gumbel-max trick (Gumbel, 1954; Maddison et al., NeurIPS 2014): argmax(logits / t + g) with g drawn from the
    standard Gumbel distribution. The draws of a row depend only on the seed, its messages and its sample index.
    """

    def __init__(self, batch: Sequence[Request], temperature: float, seed: int) -> None:
        self._temperature = temperature
        self._streams = [_stream(request, seed) for request in batch]

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores [B, vocabulary] over the temperature, plus noise; forbidden tokens stay at -inf."""
        import torch

        uniform = torch.stack([torch.rand(scores.shape[1], generator=stream) for stream in self._streams])
        noise = -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))
        return scores / self._temperature + noise.to(scores)


def _stream(request: Request, seed: int) -> Generator:
    import torch

    parts: list[Any] = [seed, request.sample, request.messages]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
