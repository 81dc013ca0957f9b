"""Refuse an encoder that cannot tell texts or frames apart: every number that it gives would be chance."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from db.errors import UserError
from encoders.protocol import Encoder

_TEXTS = ("a dog", "riding a bike", "a photo of a dog")
_SIZE = 64  # of the probe's frames, pixels
_SAME = 1e-6  # difference, as a part of the largest value, below which two vectors are one

E = TypeVar("E", bound=Encoder)


def refuse_collapsed(encoder: E) -> E:
    """Return the encoder, after three texts and three frames went through it.

    Raises:
        UserError: it maps them to one vector, or to values that are not finite.
    """
    texts = encoder.encode_texts(_TEXTS)
    frames = encoder.encode_frames(encoder.preprocess(_frames()))
    for vectors, inputs in ((texts, "texts"), (frames, "frames")):
        refuse_not_finite(vectors, encoder.id)
        if _is_one(vectors):
            raise UserError(f"{encoder.id} maps different {inputs} to one vector. {_CAUSES[inputs]}")
    return encoder


_CAUSES = {
    "texts": "Its folder probably lacks the files of its tokenizer (tokenizer.json; or vocab.json and merges.txt; or "
    "spiece.model): save them there with tokenizer.save_pretrained(FOLDER), or download the whole repository",
    "frames": "Its weights are probably incomplete, or of another architecture: download them again",
}


def refuse_not_finite(vectors: Tensor, name: str) -> None:
    """Raise UserError if a value is not a finite number."""
    if not bool(torch.isfinite(vectors).all()):
        raise UserError(f"{name} gives embeddings that are not finite numbers: its weights are damaged")


def _is_one(vectors: Tensor) -> bool:
    return bool((vectors - vectors[0]).abs().max() <= _SAME * vectors.abs().max())


def _frames() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return three frames [3, 64, 64, 3]: black, a gradient, and noise."""
    black = np.zeros((_SIZE, _SIZE, 3), np.uint8)
    gradient = np.broadcast_to(np.linspace(0, 255, _SIZE, dtype=np.uint8)[:, None, None], black.shape)
    noise = np.random.default_rng(0).integers(0, 256, black.shape, np.uint8)
    return np.stack([black, gradient, noise])
