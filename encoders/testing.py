"""Test helpers that need no weights: `FakeEncoder`, and `registered`, which gives it a name (docs/llms.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from encoders.registry import register, unregister

if TYPE_CHECKING:
    from encoders.protocol import TextEncoder


@contextmanager
def registered(encoder: TextEncoder, *names: str) -> Iterator[None]:
    """Register an encoder under some names while the block runs."""
    for name in names:
        register(name, encoder)
    try:
        yield
    finally:
        for name in names:
            unregister(name)


class FakeEncoder:
    """An encoder with fixed vectors: random ones seeded by the text for texts, the mean colour for frames.

    Attributes:
        encoded: the texts encoded so far.
        frames: the number of frames of each call so far.
    """

    id = "fake"
    revision = "1"
    width = 32
    context_length = 77

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.frames: list[int] = []

    def preprocess(self, frames: Any, *, preprocessing: str = "own") -> Any:
        import torch

        return torch.from_numpy(frames.astype("float32")).permute(0, 3, 1, 2).mean(dim=(2, 3), keepdim=True)

    def encode_frames(self, pixels: Any) -> Any:
        import torch

        self.frames.append(len(pixels))
        return torch.nn.functional.pad(pixels.flatten(1), (0, self.width - 3))

    def encode_texts(self, texts: Sequence[str]) -> Any:
        import torch

        self.encoded.extend(texts)
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
        rows = [torch.randn(self.width, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(rows)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]
