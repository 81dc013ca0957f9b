"""Preprocess frames as an image processor of transformers does; no weights are needed for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.errors import UserError
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
        self._bytes = _BYTES | ({"include_top": False} if hasattr(image_processor, "include_top") else {})
        normalize = _normalizer(image_processor)
        self._repeats_normalizing = normalize is not None
        self.normalize = normalize or _never
        self._gives_bytes = normalize is not None and self._stays_equal_in_bytes()
        self.black = self.preprocess(np.zeros((1, 32, 32, 3), np.uint8))
        self._tear_transform = tear_transform(crop=self.black.shape[-1])

    @classmethod
    def load(cls, model: str, revision: str) -> Images:
        """Open the image processor of a folder, or of a repository of the hub at a commit."""
        from transformers import AutoImageProcessor

        return cls(AutoImageProcessor.from_pretrained(model, revision=revision, trust_remote_code=False))

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] as [T, 3, S, S]: bytes, or float32 where normalising later would not be equal.

        Raises:
            UserError: `tear` of a processor that does more in its last step than to scale and shift each channel.
        """
        if preprocessing == "own":
            return _processed(self._processor, frames, **(self._bytes if self._gives_bytes else {}))
        if not self._repeats_normalizing:
            raise UserError(
                f"--protocol tear cuts frames in its own way and normalises them as the model does, but what "
                f"{type(self._processor).__name__} does with values is not known here. Take --protocol default"
            )
        return transform_frames(frames, self._tear_transform)

    def _stays_equal_in_bytes(self) -> bool:
        """Return whether the last step can be left out and done later, with the same result to the last bit."""
        frames = np.random.default_rng(0).integers(0, 256, (2, 40, 56, 3), np.uint8)
        cut = _processed(self._processor, frames, **self._bytes)
        is_image = cut.dtype == torch.uint8 and cut.ndim == 4 and cut.shape[1] == 3
        return is_image and torch.equal(self.normalize(cut), _processed(self._processor, frames))


_BYTES = {"do_rescale": False, "do_normalize": False}
_LEVELS = (0, 255, 64, 192)  # of grey frames, which no resizing changes


def _processed(image_processor: Any, frames: NDArray[np.uint8], **options: bool) -> Tensor:
    output = image_processor(images=list(frames), input_data_format="channels_last", return_tensors="pt", **options)
    pixels: Tensor = output["pixel_values"]
    return pixels


def _normalizer(image_processor: Any) -> Callable[[Tensor], Tensor] | None:
    """Return the last step of an image processor: uint8 [N, 3, S, S] -> float32, rescaled and normalised.

    What its settings say is compared with what it makes of grey frames. Where that differs, as with the offset of
    EfficientNet's, the step is what these frames show; None if it does not scale and shift each channel.
    """
    stated = _stated_normalizer(image_processor)
    frames = np.stack([np.full((40, 56, 3), level, np.uint8) for level in _LEVELS])
    pixels = _processed(image_processor, frames)
    if pixels.ndim != 4 or pixels.shape[1] != 3:
        return stated  # no squares, which its encoder refuses
    side = pixels.shape[-1]
    made = pixels[:, :, side // 2, side // 2]  # [L, 3]
    grey = torch.tensor(_LEVELS, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 1, 1)
    low, high = made[:2]  # -mean / std, (1 - mean) / std
    std = 1 / (high - low)
    measured = normalizer(mean=(-low * std).tolist(), std=std.tolist())
    fitting = (step for step in (stated, measured) if torch.allclose(step(grey).flatten(1), made, atol=1e-3))
    return next(fitting, None)


def _stated_normalizer(image_processor: Any) -> Callable[[Tensor], Tensor]:
    if not hasattr(image_processor, "rescale_and_normalize"):  # one that computes in numpy
        return normalizer(mean=image_processor.image_mean, std=image_processor.image_std)
    names = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    settings = {name: getattr(image_processor, name) for name in names}
    return lambda pixels: image_processor.rescale_and_normalize(pixels, **settings)


def _never(pixels: Tensor) -> Tensor:
    raise AssertionError("frames of this processor are normalised by itself")
