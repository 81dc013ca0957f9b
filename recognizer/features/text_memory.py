"""A text encoder that remembers what it encoded, and stores no text that somebody only tries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from encoders.checks import check_texts
from encoders.protocol import Logits, TextEncoder
from recognizer.features.caching_encoder import CachingEncoder

if TYPE_CHECKING:
    from torch import Tensor

_Known = tuple["Tensor", int]  # the embedding [D] of a text, and its number of tokens
_MOST_TRIED = 4096  # strings that are remembered beside those that were learnt


class TextMemory:
    """A `TextEncoder` in memory over a `CachingEncoder`. Not thread-safe.

    Texts that are to stay are learnt: they come from the feature store, or are encoded and stored there. All others are
    encoded once and stored nowhere; of these the last ones are remembered.
    """

    def __init__(self, encoder: CachingEncoder) -> None:
        self.id, self.revision = encoder.id, encoder.revision
        self._encoder = encoder
        self._trying: TextEncoder = encoder if encoder.imported else encoder.uncached  # imported ones encode nothing
        self._learnt: dict[str, _Known] = {}
        self._tried: OrderedDict[str, _Known] = OrderedDict()

    @cached_property
    def width(self) -> int:
        return self._encoder.width

    @cached_property
    def context_length(self) -> int:
        return self._encoder.context_length

    @cached_property
    def logits(self) -> Logits:
        return self._encoder.logits

    def learn(self, texts: Sequence[str]) -> None:
        """Encode texts that are to stay, through the feature store; those that are known are skipped."""
        self._learnt.update(_encoded(self._encoder, [text for text in texts if text not in self._learnt]))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [K, D] of texts; float32, not normalised.

        Raises:
            UserError: the vectors are not finite, or the embeddings were imported and lack one.
        """
        import torch

        known = self._of(texts)
        return torch.stack([vector for vector, _ in known]) if known else torch.empty(0, self.width)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in tokens, before any cut."""
        return [count for _, count in self._of(texts)]

    def _of(self, texts: Sequence[str]) -> list[_Known]:
        new = [text for text in dict.fromkeys(texts) if text not in self._learnt and text not in self._tried]
        self._tried.update(_encoded(self._trying, new))
        for text in texts:
            if text in self._tried:
                self._tried.move_to_end(text)
        known = [self._learnt.get(text) or self._tried[text] for text in texts]
        while len(self._tried) > _MOST_TRIED:
            self._tried.popitem(last=False)
        return known


def _encoded(encoder: TextEncoder, texts: Sequence[str]) -> dict[str, _Known]:
    if not texts:
        return {}
    vectors = encoder.encode_texts(texts)
    check_texts(encoder.id, texts, vectors)
    return dict(zip(texts, zip(vectors, encoder.token_counts(texts), strict=True), strict=True))
