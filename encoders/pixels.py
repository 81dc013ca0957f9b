"""Frames to the input of an image tower, as torchvision does it on PIL images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Transform = Callable[[Image.Image], Tensor]


def frame_transform(*, resize: int, crop: int, mean: Sequence[float], std: Sequence[float]) -> Transform:
    """Return a transform PIL image -> float32 [3, crop, crop].

    The shorter side becomes `resize` (bicubic, with PIL's antialiasing), the centre square is cut out, and each
    channel in 0..1 is normalised.
    """
    from torchvision import transforms

    transform: Transform = transforms.Compose(
        [
            transforms.Resize(resize, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(tuple(mean), tuple(std)),
        ]
    )
    return transform


def tear_transform(*, crop: int, mean: Sequence[float], std: Sequence[float]) -> Transform:
    """Return TEAR's transform: 256 -> 224, in the same proportion for other sizes."""
    return frame_transform(resize=crop * 256 // 224, crop=crop, mean=mean, std=std)


def transform_frames(frames: NDArray[np.uint8], transform: Transform) -> Tensor:
    """Return frames [T, H, W, 3] as float32 [T, 3, S, S]."""
    return torch.stack([transform(Image.fromarray(frame)) for frame in frames])
