"""How near the classes of a dataset are to each other in an encoder's text space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from encoders import TextEncoder

if TYPE_CHECKING:
    from torch import Tensor


def class_vectors(texts: Sequence[Sequence[str]], encoder: TextEncoder) -> Tensor:
    """Return one vector [C, D] for each class, unit norm: the mean of its texts' unit vectors.

    Args:
        texts: of each class, one or more; each distinct one is encoded once.
        encoder: whose text space.
    """
    import torch
    from torch.nn.functional import normalize

    distinct: Mapping[str, int] = {text: row for row, text in enumerate(dict.fromkeys(t for own in texts for t in own))}
    vectors = normalize(encoder.encode_texts(list(distinct)), dim=-1)  # [N, D]
    means = [vectors[[distinct[text] for text in own]].mean(dim=0) for own in texts]
    return normalize(torch.stack(means), dim=-1)


def similarities(texts: Sequence[Sequence[str]], encoder: TextEncoder) -> Tensor:
    """Return the cosines [C, C] between the classes' vectors; 1 on the diagonal."""
    vectors = class_vectors(texts, encoder)
    return vectors @ vectors.T
