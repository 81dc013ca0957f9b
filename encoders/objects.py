"""The encoder `objects`: frames and texts as mixtures of ImageNet's classes. Needs no download, but is weak.

After Objects2Action (Jain et al., ICCV 2015): a frame is described by its scores for ImageNet's classes, a text by the
class names that are near to it in meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from encoders import efficientnet, minilm
from encoders.bundled import EFFICIENTNET, MINILM
from encoders.minilm import MiniLM
from encoders.protocol import Logits
from encoders.towers import (
    Transform,
    encode_frames_in_batches,
    normalizer,
    square_transform,
    tear_transform,
    transform_frames,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders.protocol import Preprocessing

OBJECTS = 1000
KEPT = 50  # number of classes that describe a text


class Objects:
    """The encoder `objects`; see the protocol `Encoder`."""

    id = "objects"
    # The trailing number is the version of the formulas below; increase it when they change.
    revision = hashlib.sha256(f"{EFFICIENTNET.sha256} {MINILM.sha256} {KEPT} 1".encode()).hexdigest()
    width = OBJECTS
    context_length = minilm.CONTEXT_LENGTH
    logits = Logits(calibrated=False)  # nothing was trained on these cosines

    def __init__(self) -> None:
        """Check the files of the bundled weights; each tower loads at its first use."""
        self._weights, self._sentences_folder = EFFICIENTNET.file(), MINILM.file().parent
        self._transforms: dict[Preprocessing, Transform] = {
            "own": square_transform(resize=efficientnet.RESIZE, crop=efficientnet.SIZE),
            "tear": tear_transform(crop=efficientnet.SIZE),
        }
        self._normalize = normalizer(mean=efficientnet.MEAN, std=efficientnet.STD)

    @cached_property
    def _classifier(self) -> Any:
        return efficientnet.load_classifier(self._weights)

    @cached_property
    def _sentences(self) -> MiniLM:
        return MiniLM.load(self._sentences_folder)

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] as uint8 [T, 3, 260, 260]."""
        return transform_frames(frames, self._transforms[preprocessing])

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Return the object vectors [N, 1000] of pixels [N, 3, 260, 260]."""
        device = next(self._classifier.parameters()).device
        logits = encode_frames_in_batches(pixels, self._classifier, device=device, normalize=self._normalize)
        return frame_vectors(logits)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the object vectors [K, 1000] of texts."""
        return text_vectors(self._sentences.encode_texts(texts), self._names)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return self._sentences.token_counts(texts)

    @cached_property
    def _names(self) -> Tensor:
        """Embeddings [1000, 384] of ImageNet's class names; needed for texts only."""
        from torchvision.models._meta import _IMAGENET_CATEGORIES

        return self._sentences.encode_texts(_IMAGENET_CATEGORIES)


def frame_vectors(logits: Tensor) -> Tensor:
    """Return sqrt(p) - mean(sqrt(p)) [N, 1000], where p is the softmax of logits [N, 1000].

    The root reduces the weight of a few confident classes; without subtracting the mean, texts near to many objects
    would score high on every frame.
    """
    roots = logits.softmax(dim=-1).sqrt()
    return roots - roots.mean(dim=-1, keepdim=True)


def text_vectors(texts: Tensor, names: Tensor) -> Tensor:
    """Return the similarity [K, 1000] of texts [K, 384] to class names [1000, 384]; unit norm.

    Cosines after subtracting the mean of the names; all but the `KEPT` largest of each text are set to 0.
    """
    centre = names.mean(dim=0)
    cosines = normalize(texts - centre, dim=-1) @ normalize(names - centre, dim=-1).T  # [K, 1000]
    largest = cosines.topk(KEPT, dim=-1)
    return normalize(torch.zeros_like(cosines).scatter(-1, largest.indices, largest.values), dim=-1)
