"""How a tower is run: on which device, how many texts or frames at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

TEXTS_PER_FORWARD = 256
FRAMES_PER_FORWARD = {"cuda": 256, "cpu": 16}  # on a CPU more than fit its caches are slower: 2.4 times at 128


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


def encode_frames_in_batches(
    pixels: Tensor, encode: Callable[[Tensor], Tensor], *, device: torch.device | str
) -> Tensor:
    """Return the embeddings [N, D] of pixels [N, 3, S, S], N at least 1; float32 on the CPU."""
    size = FRAMES_PER_FORWARD.get(torch.device(device).type, FRAMES_PER_FORWARD["cpu"])
    with torch.no_grad():
        return torch.cat([encode(batch.to(device)).float().cpu() for batch in pixels.split(size)])
