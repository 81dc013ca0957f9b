"""An encoder whose results are kept in the feature store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from encoders.protocol import Encoder, Preprocessing
from encoders.registry import find_encoder
from recognizer.features.store import FeatureStore, Loaded, New, Shelf
from recognizer.video.frames import DECODING
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


_TEXTS_AT_ONCE = 2048  # encoded before they are stored


class CachingEncoder:
    """An encoder in front of its shelves: each distinct text is encoded once, the weights load only for new ones.

    It is an `Encoder` itself; what of videos is kept, `embed_videos` looks after.
    """

    def __init__(self, encoder: Encoder, store: FeatureStore) -> None:
        self.id = encoder.id
        self.revision = encoder.revision
        self._encoder = encoder
        self._store = store
        self._texts = self._shelf(what="texts")

    def _shelf(self, **key: object) -> Shelf:
        return Shelf(self._store, {"encoder": self.id, "revision": self.revision, **key})

    def frames_shelf(self, sampling: Sampling) -> Shelf:
        """Return where the embeddings [W, T, D] of videos are, for one way to look at them."""
        parts = {"frames": sampling.frames, "clips": sampling.clips, "crops": sampling.crops}
        return self._shelf(what="frames", **parts, preprocessing=sampling.preprocessing, decoding=DECODING)

    def long_shelf(self, *, fps: float, preprocessing: Preprocessing) -> Shelf:
        """Return where the frames of long videos are, looked at at a rate; see `long_features`."""
        return self._shelf(what="long", fps=fps, preprocessing=preprocessing, decoding=DECODING)

    @property
    def width(self) -> int:
        row = self._texts.row()
        return row.shape[0] if row else self._encoder.width

    @property
    def context_length(self) -> int:
        row = self._texts.row()
        return int(row.facts["context_length"]) if row else self._encoder.context_length

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] as the image tower's input, float32 [T, 3, S, S]."""
        return self._encoder.preprocess(frames, preprocessing=preprocessing)

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Return the embeddings [N, D] of preprocessed frames [N, 3, S, S]; float32 on the CPU."""
        return self._encoder.encode_frames(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [K, D] of texts; float32, memory-mapped where nothing had to be gathered."""
        import torch

        loaded = self._with(texts)
        rows = loaded.rows([_key(text) for text in texts])
        return torch.from_numpy(rows) if texts else torch.empty(0, self.width)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in tokens, start and end included, before any cut."""
        entries = self._with(texts).entries
        return [int(entries[_key(text)].note) for text in texts]

    def _with(self, texts: Sequence[str]) -> Loaded:
        """Return what is stored of texts, after the new ones among them were encoded and stored."""
        by_key = {_key(text): text for text in texts}
        loaded = self._texts.load(by_key)
        new = [text for key, text in by_key.items() if key not in loaded.entries]
        if not new:
            return loaded
        self._texts.forget(loaded.damaged)
        for start in range(0, len(new), _TEXTS_AT_ONCE):
            self._encode(new[start : start + _TEXTS_AT_ONCE])
        return self._texts.load(by_key)

    def _encode(self, texts: Sequence[str]) -> None:
        vectors = self._encoder.encode_texts(texts).numpy()  # [K, D]
        counts = self._encoder.token_counts(texts)
        news = [New(_key(text), row, str(count)) for text, row, count in zip(texts, vectors, counts, strict=True)]
        self._texts.add(news, shape=vectors.shape[1:], facts={"context_length": self._encoder.context_length})


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def open_caching_encoder(name: str, folder: Path) -> Iterator[CachingEncoder]:
    """Open an encoder by the name that users type, in front of the feature store in a folder.

    Raises:
        UsageError: no encoder goes by that name.
        UserError: the store cannot be opened.
    """
    encoder = find_encoder(name)
    with FeatureStore.open(folder) as store:
        yield CachingEncoder(encoder, store)
