"""An encoder that is known by name, and loaded when something is to be encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from encoders.protocol import Encoder, Preprocessing


class LazyEncoder:
    """The encoder that `open_encoder` opens, without its weights until they are needed; see `Encoder`.

    `id` and `revision` need no weights; all else loads them, once, also where several threads ask.
    """

    def __init__(self, load: Callable[[], Encoder], *, id: str, revision: str) -> None:  # noqa: A002
        self.id = id
        self.revision = revision
        self._load = load
        self._lock = Lock()
        self._loaded: Encoder | None = None

    def loaded(self) -> Encoder:
        """Return the encoder itself.

        Raises:
            UserError: its weights are not here and cannot be fetched, or cannot be read.
        """
        with self._lock:
            self._loaded = self._loaded or self._load()
            return self._loaded

    @property
    def width(self) -> int:
        return self.loaded().width

    @property
    def context_length(self) -> int:
        return self.loaded().context_length

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [K, D] of texts."""
        return self.loaded().encode_texts(texts)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in tokens, start and end included."""
        return self.loaded().token_counts(texts)

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] as float32 [T, 3, S, S]."""
        return self.loaded().preprocess(frames, preprocessing=preprocessing)

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Return the embeddings [N, D] of pixels [N, 3, S, S]."""
        return self.loaded().encode_frames(pixels)
