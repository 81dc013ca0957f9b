"""Run a tower: the device, the batches of forward passes, and the preprocessing of frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from encoders.protocol import Preprocessing

TEXTS_PER_FORWARD = 256
FRAMES_PER_FORWARD = {"cuda": 256, "cpu": 16}  # larger batches exceed the caches of a CPU: 2.4 times slower at 128
Transform = Callable[[Image.Image], Image.Image]


def best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def encode_in_batches(
    texts: Sequence[str], encode: Callable[[list[str]], Tensor], *, width: int, size: int = TEXTS_PER_FORWARD
) -> Tensor:
    """Return the embeddings [K, width] of texts, at most `size` in a forward pass; float32 on the CPU.

    Texts of similar length go together: they need little padding.
    """
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    encoded = torch.empty(len(texts), width)
    with torch.no_grad():
        for start in range(0, len(texts), size):
            batch = order[start : start + size]
            encoded[batch] = encode([texts[index] for index in batch]).float().cpu()
    return encoded


def encode_frames_in_batches(
    pixels: Tensor,
    encode: Callable[[Tensor], Tensor],
    *,
    device: torch.device | str,
    normalize: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return the embeddings [N, D] of pixels [N, 3, S, S], N at least 1; float32 on the CPU.

    Bytes (uint8) are normalised on the device: they take a quarter of the time of floats to copy there. Floats are
    taken as normalised already. Nothing waits for a GPU before its last batch.
    """
    kind = torch.device(device).type
    pixels = pixels.pin_memory() if kind == "cuda" else pixels
    parts = []
    with torch.no_grad():
        for batch in pixels.split(FRAMES_PER_FORWARD.get(kind, FRAMES_PER_FORWARD["cpu"])):
            moved = batch.to(device, non_blocking=True)
            parts.append(encode(moved if moved.is_floating_point() else normalize(moved)).float())
        return torch.cat(parts).cpu()


def encode_clips_in_batches(clips: Tensor, encode: Callable[[Tensor], Tensor], *, device: torch.device | str) -> Tensor:
    """Return the embeddings [N, D] of clips [N, T, 3, S, S], N at least 1; float32 on the CPU."""
    frames = FRAMES_PER_FORWARD.get(torch.device(device).type, FRAMES_PER_FORWARD["cpu"])
    with torch.no_grad():
        parts = [encode(part.to(device)).float() for part in clips.split(max(1, frames // clips.shape[1]))]
        return torch.cat(parts).cpu()


def normalizer(*, mean: Sequence[float], std: Sequence[float]) -> Callable[[Tensor], Tensor]:
    """Return a function uint8 [N, 3, S, S] -> float32: scaled to 0..1, then each channel less `mean`, over `std`.

    To the last bit what torchvision's ToTensor and Normalize do.
    """

    @cache
    def on_device(device: torch.device) -> list[Tensor]:
        return [torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1) for values in (mean, std)]

    def normalize(pixels: Tensor) -> Tensor:
        means, deviations = on_device(pixels.device)
        return pixels.float().div_(255).sub_(means).div_(deviations)

    return normalize


def square_transform(*, resize: int, crop: int) -> Transform:
    """Return a transform PIL image -> PIL image of crop x crop, at most `resize`.

    The shorter side becomes `resize` (bicubic, with PIL's antialiasing), and the centre square is cut. To the last bit
    what torchvision's Resize and CenterCrop do; importing torchvision takes longer than torch.
    """

    def transform(image: Image.Image) -> Image.Image:
        shorter = min(image.size)
        width, height = (resize * side // shorter for side in image.size)  # rounded down
        resized = image.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (round((side - crop) / 2) for side in resized.size)
        return resized.crop((left, top, left + crop, top + crop))

    return transform


def tear_transform(*, crop: int) -> Transform:
    """Return TEAR's transform: resize to 256 and crop to 224, or other sizes in the same proportion."""
    return square_transform(resize=crop * 256 // 224, crop=crop)


def transform_frames(frames: NDArray[np.uint8], transform: Transform) -> Tensor:
    """Return frames [T, H, W, 3] as uint8 [T, 3, S, S]."""
    squares = np.stack([np.asarray(transform(Image.fromarray(frame))) for frame in frames])
    return torch.from_numpy(squares).permute(0, 3, 1, 2).contiguous()


class Squares:
    """Preprocesses frames as CLIP does: the shorter side becomes S (bicubic), and the centre S x S is cut."""

    def __init__(self, side: int) -> None:
        self._transforms: dict[Preprocessing, Transform] = {
            "own": square_transform(resize=side, crop=side),
            "tear": tear_transform(crop=side),
        }

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] as uint8 [T, 3, S, S]."""
        return transform_frames(frames, self._transforms[preprocessing])
