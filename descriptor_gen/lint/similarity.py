"""Similarity of texts, and of the classes of a dataset, in an encoder's text space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from db.errors import UserError
from db.progress import Progress, no_progress
from db.records import Dataset, Descriptor
from encoders.protocol import TextEncoder

if TYPE_CHECKING:
    from torch import Tensor

_AT_ONCE = 128  # texts; a multiple of what minilm takes at once, so that its batches are the same


@dataclass(frozen=True)
class Similarity:
    """How alike the classes of a dataset are.

    Attributes:
        dataset: C classes, in label order.
        encoder: its id.
        labels: cosines [C, C] between the labels' phrases; 1 on the diagonal.
        described: cosines [C, C] between classes as the mean of label and descriptors; None without descriptors.
        descriptors: their number.
        cut: number of texts that are longer than the encoder reads.
    """

    dataset: Dataset
    encoder: str
    labels: Tensor
    described: Tensor | None
    descriptors: int
    cut: int

    @property
    def matrix(self) -> Tensor:
        """The cosines [C, C] with descriptors; without descriptors, those of the labels."""
        return self.labels if self.described is None else self.described

    @property
    def texts(self) -> str:
        """Which texts are compared, in words."""
        return f"labels and {self.descriptors} descriptors" if self.descriptors else "labels alone"


@dataclass(frozen=True)
class Pair:
    """Two classes, by phrase, and their cosines; `change` is `described - labels`: negative if descriptors separate."""

    first: str
    second: str
    labels: float
    described: float | None
    change: float | None


def similarity(
    dataset: Dataset, descriptors: Sequence[Descriptor], encoder: TextEncoder, *, on_batch: Progress = no_progress
) -> Similarity:
    """Return how alike classes are, by label alone and with their descriptors; each distinct text is encoded once.

    Args:
        dataset: the classes.
        descriptors: of the classes.
        encoder: of the texts.
        on_batch: called with the numbers of encoded and of all texts.

    Raises:
        UserError: the dataset has one class only.
    """
    refuse_one_class(dataset)
    texts: dict[str, list[str]] = {action.name: [action.phrase] for action in dataset.actions}
    for descriptor in descriptors:
        texts[descriptor.action].append(descriptor.text)
    vectors = _unit_vectors([text for class_texts in texts.values() for text in class_texts], encoder, on_batch)
    labels = _between([class_texts[:1] for class_texts in texts.values()], vectors)
    described = _between(list(texts.values()), vectors) if descriptors else None
    cut = sum(count > encoder.context_length for count in encoder.token_counts(list(vectors)))
    return Similarity(dataset, encoder.id, labels, described, len(descriptors), cut)


def refuse_one_class(dataset: Dataset) -> None:
    """Raise UserError if a dataset has no two classes to compare."""
    if len(dataset.actions) < 2:
        raise UserError(f"{dataset.name} has one class only, so there are no classes to compare")


def most_alike(classes: Similarity, *, top: int) -> list[Pair]:
    """Return the `top` pairs of classes with the largest cosine in `matrix`."""
    import torch

    first, second = torch.triu_indices(len(classes.matrix), len(classes.matrix), offset=1)
    best = classes.matrix[first, second].topk(min(top, len(first))).indices
    phrases = [action.phrase for action in classes.dataset.actions]
    pairs = []
    for row, column in zip(first[best].tolist(), second[best].tolist(), strict=True):
        by_label = float(classes.labels[row, column])
        described = None if classes.described is None else float(classes.described[row, column])
        change = None if described is None else described - by_label
        pairs.append(Pair(phrases[row], phrases[column], by_label, described, change))
    return pairs


def cosines_between(
    texts: Sequence[str], others: Sequence[str], encoder: TextEncoder, *, on_batch: Progress = no_progress
) -> Tensor:
    """Return the cosines [N, M] of N texts with M others; each distinct text is encoded once."""
    import torch

    vectors = _unit_vectors([*texts, *others], encoder, on_batch)
    return torch.stack([vectors[text] for text in texts]) @ torch.stack([vectors[other] for other in others]).T


def _unit_vectors(texts: Sequence[str], encoder: TextEncoder, on_batch: Progress) -> Mapping[str, Tensor]:
    from torch.nn.functional import normalize

    distinct = sorted(dict.fromkeys(texts), key=len)  # texts of similar length need little padding
    vectors: dict[str, Tensor] = {}
    for start in range(0, len(distinct), _AT_ONCE):
        batch = distinct[start : start + _AT_ONCE]
        vectors.update(zip(batch, normalize(encoder.encode_texts(batch), dim=-1), strict=True))
        on_batch(len(vectors), len(distinct))
    return vectors


def _between(texts: Sequence[Sequence[str]], vectors: Mapping[str, Tensor]) -> Tensor:
    """Return the cosines [C, C] between classes: each is the mean of its texts' unit vectors, as in an ensemble."""
    import torch
    from torch.nn.functional import normalize

    means = [torch.stack([vectors[text] for text in class_texts]).mean(dim=0) for class_texts in texts]
    unit = normalize(torch.stack(means), dim=-1)  # [C, D]
    return unit @ unit.T
