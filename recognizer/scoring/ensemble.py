"""Text ensembles: label and descriptors of each class as unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.records import Dataset, Descriptor
from encoders.protocol import Encoder
from recognizer.scoring.protocols import Protocol

if TYPE_CHECKING:
    from torch import Tensor


STEPS = "decomposition"  # the kind whose texts are the steps of an action, in order
_ORDER = (STEPS, "description", "context")  # as in TEAR's files of all texts; other kinds come after, by name


@dataclass(frozen=True)
class Ensemble:
    """The texts of every class. To leave texts out, leave them out of `present`: every method goes by it.

    Attributes:
        texts: [C, K, D], unit norm where present, else zero; k = 0 is the label, the rest are descriptors in order
            (decomposition, description, context, other kinds by name; within a kind by position).
        present: bool [C, K]; classes have different numbers of texts.
        kinds: the kinds of the descriptors.
        kind: int64 [C, K], index into `kinds`; -1 for the label and where there is no text.
        position: int64 [C, K], of a descriptor within its kind; -1 likewise.
        ids: int64 [C, K], `Descriptor.id`; -1 likewise.
        cut: the texts that are longer than the encoder's context, and were cut.
    """

    texts: Tensor
    present: Tensor
    kinds: tuple[str, ...]
    kind: Tensor
    position: Tensor
    ids: Tensor
    cut: tuple[str, ...]

    def label_only(self) -> Ensemble:
        """Return the ensemble of the labels alone: the baseline of every number."""
        names = ("texts", "present", "kind", "position", "ids")
        return replace(self, **{name: getattr(self, name)[:, :1] for name in names})

    def without_first(self) -> Ensemble:
        """Return the ensemble without the first descriptor of each class, which TEAR's code never uses."""
        present = self.present.clone()
        present[:, 1:2] = False
        return replace(self, present=present)

    def steps(self) -> Tensor:
        """Return which step of its class each text is, int64 [C, K]; -1 for texts that are no steps.

        Steps are counted from 0 by position without gaps; texts of one position are wordings of the same step.
        """
        import torch
        from torch.nn.functional import one_hot

        is_step = self.present & (self.kind == (self.kinds.index(STEPS) if STEPS in self.kinds else len(self.kinds)))
        position = self.position.clamp(min=0)
        there = (one_hot(position) * is_step.unsqueeze(-1)).any(dim=1)  # [C, P]: is there a text of position p
        rank = there.cumsum(dim=1) - 1  # [C, P]
        return torch.where(is_step, rank.gather(1, position), -1)


def build_ensemble(
    dataset: Dataset, descriptors: Sequence[Descriptor], encoder: Encoder, protocol: Protocol
) -> Ensemble:
    """Encode the labels and descriptors of a dataset; each distinct string goes through the encoder once.

    A text is the normalised mean of its normalised embeddings over the protocol's templates (as in CLIP and TEAR).
    """
    return build_ensembles(dataset, [(descriptors, protocol)], encoder)[0]


def build_ensembles(
    dataset: Dataset, wanted: Sequence[tuple[Sequence[Descriptor], Protocol]], encoder: Encoder
) -> list[Ensemble]:
    """Return an ensemble for each choice of descriptors and protocol; each distinct string of all is encoded once."""
    worded = [_texts(dataset, descriptors, protocol) for descriptors, protocol in wanted]
    encoded = _encode([text for texts in worded for text in texts], encoder)
    return [_ensemble(len(dataset.actions), texts, encoded) for texts in worded]


def labels_again(dataset: Dataset, protocol: Protocol) -> list[Descriptor]:
    """Return each label as the one descriptor of its class where the protocol wants it so; they are in no database."""
    if not protocol.label_again:
        return []
    return [
        Descriptor(-1, action.name, "label", 0, protocol.label_text(dataset, action), "human", "accepted", None, None)
        for action in dataset.actions
    ]


@dataclass(frozen=True)
class _Text:
    row: int  # c
    slot: int  # k
    kind: str
    position: int
    id: int
    strings: tuple[str, ...]  # the text in each template


def _texts(dataset: Dataset, descriptors: Sequence[Descriptor], protocol: Protocol) -> list[_Text]:
    """Return the texts of each class in the order of their slots."""
    row = {action.name: index for index, action in enumerate(dataset.actions)}
    labels = [protocol.label_text(dataset, action) for action in dataset.actions]
    texts = [_Text(c, 0, "", -1, -1, _filled(protocol.label_templates, label)) for c, label in enumerate(labels)]
    filled = [1] * len(row)
    for descriptor in sorted(descriptors, key=_in_order):
        c = row[descriptor.action]
        strings = _filled(protocol.descriptor_templates, protocol.descriptor_text(labels[c], descriptor.text))
        texts.append(_Text(c, filled[c], descriptor.kind, descriptor.position, descriptor.id, strings))
        filled[c] += 1
    return texts


def _in_order(descriptor: Descriptor) -> tuple[int, str, int, int]:
    place = _ORDER.index(descriptor.kind) if descriptor.kind in _ORDER else len(_ORDER)
    return place, descriptor.kind, descriptor.position, descriptor.id


def _filled(templates: Sequence[str], text: str) -> tuple[str, ...]:
    return tuple(template.replace("{}", text) for template in templates)


@dataclass(frozen=True)
class _Encoded:
    vectors: Tensor  # [N, D], unit norm, of the distinct texts
    number: dict[tuple[str, ...], int]  # a text in each template -> n
    too_long: frozenset[str]


def _encode(texts: Sequence[_Text], encoder: Encoder) -> _Encoded:
    """Encode each distinct string once, and take the mean over the templates of each distinct text."""
    import torch
    from torch.nn.functional import normalize

    number = {strings: n for n, strings in enumerate(dict.fromkeys(text.strings for text in texts))}
    place = {string: s for s, string in enumerate(dict.fromkeys(string for strings in number for string in strings))}
    encoded = normalize(encoder.encode_texts(list(place)), dim=-1)  # [S, D]
    owner = torch.tensor([n for strings, n in number.items() for _ in strings])
    of = torch.tensor([place[string] for strings in number for string in strings])
    sums = torch.zeros(len(number), encoded.shape[1], dtype=encoded.dtype).index_add(0, owner, encoded[of])  # [N, D]
    counts, limit = zip(place, encoder.token_counts(list(place)), strict=True), encoder.context_length
    too_long = frozenset(string for string, count in counts if count > limit)
    return _Encoded(normalize(sums, dim=-1), number, too_long)  # a sum and a mean point the same way


def _ensemble(classes: int, texts: Sequence[_Text], encoded: _Encoded) -> Ensemble:
    """Return the texts as [C, K, ...]."""
    import torch

    kinds = tuple(sorted({text.kind for text in texts if text.kind}))
    index = {kind: place for place, kind in enumerate(kinds)}
    place = torch.tensor([text.row for text in texts]), torch.tensor([text.slot for text in texts])
    shape = classes, int(place[1].max()) + 1

    def spread(values: Tensor, empty: int) -> Tensor:
        """Return values [N, ...] as [C, K, ...]."""
        return torch.full((*shape, *values.shape[1:]), empty, dtype=values.dtype).index_put(place, values)

    return Ensemble(
        texts=spread(encoded.vectors[[encoded.number[text.strings] for text in texts]], 0),
        present=spread(torch.ones(len(texts), dtype=torch.bool), 0),
        kinds=kinds,
        kind=spread(torch.tensor([index.get(text.kind, -1) for text in texts]), -1),
        position=spread(torch.tensor([text.position for text in texts]), -1),
        ids=spread(torch.tensor([text.id for text in texts]), -1),
        cut=tuple(dict.fromkeys(s for text in texts for s in text.strings if s in encoded.too_long)),
    )
