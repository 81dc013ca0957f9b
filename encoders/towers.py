"""Run a tower: the device, the batches of forward passes, and the preprocessing of frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

TEXTS_PER_FORWARD = 256
FRAMES_PER_FORWARD = {"cuda": 256, "cpu": 16}  # larger batches exceed the caches of a CPU: 2.4 times slower at 128
Transform = Callable[[Image.Image], Tensor]


def best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def encode_in_batches(
    texts: Sequence[str], encode: Callable[[list[str]], Tensor], *, width: int, size: int = TEXTS_PER_FORWARD
) -> Tensor:
    """Return the embeddings [K, width] of texts, at most `size` in a forward pass; float32 on the CPU."""
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


def encode_clips_in_batches(clips: Tensor, encode: Callable[[Tensor], Tensor], *, device: torch.device | str) -> Tensor:
    """Return the embeddings [N, D] of clips [N, T, 3, S, S], N at least 1; float32 on the CPU."""
    frames = FRAMES_PER_FORWARD.get(torch.device(device).type, FRAMES_PER_FORWARD["cpu"])
    with torch.no_grad():
        parts = clips.split(max(1, frames // clips.shape[1]))
        return torch.cat([encode(part.to(device)).float().cpu() for part in parts])


def frame_transform(*, resize: int, crop: int, mean: Sequence[float], std: Sequence[float]) -> Transform:
    """Return a transform PIL image -> float32 [3, crop, crop].

    Resize the shorter side to `resize` (bicubic, with PIL's antialiasing), cut the centre square, scale to 0..1, and
    normalise each channel.
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
    """Return TEAR's transform: resize to 256 and crop to 224, or other sizes in the same proportion."""
    return frame_transform(resize=crop * 256 // 224, crop=crop, mean=mean, std=std)


def transform_frames(frames: NDArray[np.uint8], transform: Transform) -> Tensor:
    """Return frames [T, H, W, 3] as float32 [T, 3, S, S]."""
    return torch.stack([transform(Image.fromarray(frame)) for frame in frames])
