"""Frames as small pictures for people."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import numpy as np
from numpy.typing import NDArray


def small(pixels: NDArray[np.uint8], *, height: int) -> NDArray[np.uint8]:
    """Return a frame [H, W, 3] at that height, its proportions kept."""
    from PIL import Image

    size = max(1, pixels.shape[1] * height // pixels.shape[0]), height
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


def data_uri(pixels: NDArray[np.uint8], *, quality: int = 80) -> str:
    """Return a frame [H, W, 3] as a JPEG that stands in a page itself."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
