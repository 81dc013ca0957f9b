"""How a tower is run: on which device, how many texts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

TEXTS_PER_FORWARD = 256


def best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def encode_in_batches(
    texts: Sequence[str], encode: Callable[[list[str]], Tensor], *, width: int, size: int = TEXTS_PER_FORWARD
) -> Tensor:
    """Return the embeddings [K, width] of texts, at most `size` a forward pass; float32 on the CPU."""
    batches = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
    with torch.no_grad():
        parts = [encode(batch).float().cpu() for batch in batches]
    return torch.cat([torch.empty(0, width), *parts])
