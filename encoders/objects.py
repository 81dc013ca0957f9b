"""Actions by the objects they share with ImageNet: no download, weak, always labelled so.

After Objects2Action (Jain et al., ICCV 2015): a frame and a text are both described by the 1000 classes of ImageNet,
the frame by what a classifier sees, the text by the names that are near to it in meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from encoders import efficientnet, minilm
from encoders.forward import encode_frames_in_batches
from encoders.minilm import MiniLM
from encoders.pixels import Transform, frame_transform, tear_transform, transform_frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders.protocol import Preprocessing

OBJECTS = 1000
KEPT = 50  # objects that describe a text


class Objects:
    """The encoder `objects`; see the protocol `Encoder`."""

    id = "objects"
    # the arithmetic counts as weights do: change the trailing number with it
    revision = hashlib.sha256(f"{efficientnet.SHA256} {minilm.SHA256} {KEPT} 1".encode()).hexdigest()
    width = OBJECTS
    context_length = minilm.CONTEXT_LENGTH

    def __init__(self, classifier: Callable[[], Any], sentences: Callable[[], MiniLM]) -> None:
        self._load_classifier = classifier
        self._load_sentences = sentences
        self._transforms: dict[Preprocessing, Transform] = {
            "own": frame_transform(
                resize=efficientnet.RESIZE, crop=efficientnet.SIZE, mean=efficientnet.MEAN, std=efficientnet.STD
            ),
            "tear": tear_transform(crop=efficientnet.SIZE, mean=efficientnet.MEAN, std=efficientnet.STD),
        }

    @classmethod
    def bundled(cls) -> Objects:
        """Open it from the weight packages of offline.txt; they are checked now, each tower loads when it is used."""
        weights, folder = efficientnet.bundled_weights(), minilm.bundled_folder()
        return cls(lambda: efficientnet.load_classifier(weights), lambda: MiniLM.load(folder))

    @cached_property
    def _classifier(self) -> Any:
        return self._load_classifier()

    @cached_property
    def _sentences(self) -> MiniLM:
        return self._load_sentences()

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] as float32 [T, 3, 260, 260]."""
        return transform_frames(frames, self._transforms[preprocessing])

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Return the object vectors [N, 1000] of pixels [N, 3, 260, 260]."""
        device = next(self._classifier.parameters()).device
        logits = encode_frames_in_batches(pixels, self._classifier, device=device)  # [N, 1000]
        return frame_vectors(logits)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the object vectors [K, 1000] of texts."""
        return text_vectors(self._sentences.encode_texts(texts), self._names)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in tokens, start and end included."""
        return self._sentences.token_counts(texts)

    @cached_property
    def _names(self) -> Tensor:
        """Embeddings [1000, 384] of ImageNet's class names; only texts need them."""
        from torchvision.models._meta import _IMAGENET_CATEGORIES

        return self._sentences.encode_texts(_IMAGENET_CATEGORIES)


def frame_vectors(logits: Tensor) -> Tensor:
    """Return sqrt(p) less its mean over the classes, p the posterior of logits [N, 1000].

    The root evens out a few confident classes against many faint ones; without the mean, a text near to many
    objects would gain from every frame.
    """
    roots = logits.softmax(dim=-1).sqrt()
    return roots - roots.mean(dim=-1, keepdim=True)


def text_vectors(texts: Tensor, names: Tensor) -> Tensor:
    """Return the nearness [K, 1000] of texts [K, 384] to object names [1000, 384]; unit norm.

    Cosines around the names' mean, which holds what all of them share; the `KEPT` largest of each text, else 0.
    """
    centre = names.mean(dim=0)
    cosines = normalize(texts - centre, dim=-1) @ normalize(names - centre, dim=-1).T  # [K, 1000]
    largest = cosines.topk(KEPT, dim=-1)
    return normalize(torch.zeros_like(cosines).scatter(-1, largest.indices, largest.values), dim=-1)
