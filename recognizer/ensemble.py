"""Text ensembles: label and descriptors of each class as unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.records import Dataset, Descriptor
from encoders import Encoder
from recognizer.protocols import Protocol

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Ensemble:
    """The texts of every class.

    Attributes:
        texts: [C, K, D], unit norm where present, else zero; k = 0 is the label, the rest are descriptors in order.
        present: bool [C, K]; classes have different numbers of texts.
        cut: the texts that are longer than the encoder's context, and were cut.
    """

    texts: Tensor
    present: Tensor
    cut: tuple[str, ...]

    def label_only(self) -> Ensemble:
        """Return the ensemble of the labels alone: the baseline of every number."""
        return replace(self, texts=self.texts[:, :1], present=self.present[:, :1])


def build_ensemble(
    dataset: Dataset, descriptors: Sequence[Descriptor], encoder: Encoder, protocol: Protocol
) -> Ensemble:
    """Encode the labels and descriptors of a dataset; each distinct string goes through the encoder once.

    A text is the normalised mean of its normalised embeddings over the protocol's templates (as in CLIP and TEAR).
    """
    import torch
    from torch.nn.functional import normalize

    row = {action.name: index for index, action in enumerate(dataset.actions)}
    places, phrasings = _phrasings(dataset, descriptors, protocol, row)
    strings = {string: number for number, string in enumerate(dict.fromkeys(s for group in phrasings for s in group))}
    encoded = normalize(encoder.encode_texts(list(strings)), dim=-1)  # [S, D]
    owner = torch.tensor([text for text, group in enumerate(phrasings) for _ in group])
    number = torch.tensor([strings[string] for group in phrasings for string in group])
    vectors = torch.zeros(len(phrasings), encoder.width).index_add(0, owner, encoded[number])  # sum over templates
    vectors = normalize(vectors, dim=-1)  # [N, D]; a sum and a mean point the same way
    classes, slots = torch.tensor(places).unbind(dim=1)
    texts = torch.zeros(len(row), int(slots.max()) + 1, encoder.width)
    texts[classes, slots] = vectors
    present = torch.zeros(texts.shape[:2], dtype=torch.bool)
    present[classes, slots] = True
    return Ensemble(texts, present, _cut(list(strings), encoder))


def _phrasings(
    dataset: Dataset, descriptors: Sequence[Descriptor], protocol: Protocol, row: dict[str, int]
) -> tuple[list[tuple[int, int]], list[list[str]]]:
    """Return the place (class, slot) of each text, and beside it the text in each template."""
    places = [(row[action.name], 0) for action in dataset.actions]
    phrasings = [
        [template.format(protocol.label_text(dataset, action)) for template in protocol.label_templates]
        for action in dataset.actions
    ]
    filled = [1] * len(row)
    for descriptor in descriptors:
        index = row[descriptor.action]
        places.append((index, filled[index]))
        phrasings.append([template.format(descriptor.text) for template in protocol.descriptor_templates])
        filled[index] += 1
    return places, phrasings


def _cut(strings: Sequence[str], encoder: Encoder) -> tuple[str, ...]:
    counts = encoder.token_counts(strings)
    return tuple(string for string, count in zip(strings, counts, strict=True) if count > encoder.context_length)
