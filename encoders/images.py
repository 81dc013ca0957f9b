"""Preprocess frames as an image processor of transformers does; no weights are needed for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.towers import normalizer, tear_transform, transform_frames

if TYPE_CHECKING:
    from encoders.protocol import Preprocessing


class Images:
    """An image processor, with its last step, normalising, kept apart.

    Attributes:
        normalize: the last step, uint8 [N, 3, S, S] -> float32.
        black: a preprocessed black frame, [1, 3, S, S]; another shape if the processor does not make squares.
    """

    def __init__(self, image_processor: Any) -> None:
        self._processor = image_processor
        self.normalize = _normalizer(image_processor)
        self._gives_bytes = _gives_bytes(image_processor, self.normalize)
        self.black = self.preprocess(np.zeros((1, 32, 32, 3), np.uint8))
        self._tear_transform = tear_transform(crop=self.black.shape[-1])

    @classmethod
    def load(cls, model: str, revision: str) -> Images:
        """Open the image processor of a folder, or of a repository of the hub at a commit."""
        from transformers import AutoImageProcessor

        return cls(AutoImageProcessor.from_pretrained(model, revision=revision, trust_remote_code=False))

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] as [T, 3, S, S]: bytes, or float32 where normalising later would not be equal."""
        if preprocessing == "own":
            return _processed(self._processor, frames, **(_BYTES if self._gives_bytes else {}))
        return transform_frames(frames, self._tear_transform)


_BYTES = {"do_rescale": False, "do_normalize": False}


def _processed(image_processor: Any, frames: NDArray[np.uint8], **options: bool) -> Tensor:
    output = image_processor(images=list(frames), input_data_format="channels_last", return_tensors="pt", **options)
    pixels: Tensor = output["pixel_values"]
    return pixels


def _normalizer(image_processor: Any) -> Callable[[Tensor], Tensor]:
    """Return the last step of an image processor: uint8 [N, 3, S, S] -> float32, rescaled and normalised."""
    if not hasattr(image_processor, "rescale_and_normalize"):  # one that computes in numpy
        return normalizer(mean=image_processor.image_mean, std=image_processor.image_std)
    names = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    settings = {name: getattr(image_processor, name) for name in names}
    return lambda pixels: image_processor.rescale_and_normalize(pixels, **settings)


def _gives_bytes(image_processor: Any, normalize: Callable[[Tensor], Tensor]) -> bool:
    """Return whether the last step can be left out and done later, with the same result to the last bit."""
    frames = np.random.default_rng(0).integers(0, 256, (2, 40, 56, 3), np.uint8)
    cut = _processed(image_processor, frames, **_BYTES)
    is_image = cut.dtype == torch.uint8 and cut.ndim == 4 and cut.shape[1] == 3
    return is_image and torch.equal(normalize(cut), _processed(image_processor, frames))
