"""Text ensembles: label and descriptors of each class as unit vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from db.kinds import NAME
from db.records import Dataset, Descriptor
from encoders.protocol import LOGIT_SCALE, TextEncoder, logits_of
from recognizer.scoring.protocols import Protocol

if TYPE_CHECKING:
    from torch import Tensor


STEPS = "decomposition"  # the kind whose texts are the steps of an action, in order
_ORDER = (STEPS, "description", "context")  # as in TEAR's files; other kinds follow by name


@dataclass(frozen=True)
class Ensemble:
    """The texts of every class. To leave texts out, clear them in `present`: every method respects it.

    Attributes:
        texts: [C, K, D], unit norm where present, else zero; k = 0 is the label, or what stands for it by
            `Protocol.names`; the rest are descriptors in order (decomposition, description, context, other kinds by
            name; within a kind by position).
        present: bool [C, K]; classes have different numbers of texts.
        kinds: the kinds of the descriptors.
        kind: int64 [C, K], index into `kinds`; -1 for the label and where there is no text.
        position: int64 [C, K], of a descriptor within its kind; -1 likewise.
        ids: int64 [C, K], `Descriptor.id`; -1 likewise, but at k = 0 that of the name, where a class has one.
        cut: the texts that exceed the encoder's context and were cut.
        logit_scale, logit_bias: of the encoder; see `Logits`.
        labels: [C, D], unit norm, each label as it is; None if no name stands for one: then it is the text k = 0.
    """

    texts: Tensor
    present: Tensor
    kinds: tuple[str, ...]
    kind: Tensor
    position: Tensor
    ids: Tensor
    cut: tuple[str, ...]
    logit_scale: float = LOGIT_SCALE
    logit_bias: float = 0.0
    labels: Tensor | None = None

    def select(self, index: Any) -> Ensemble:
        """Return the ensemble with every tensor [C, K, ...] indexed: by a list of classes, or by (classes, slots)."""
        names = ("texts", "present", "kind", "position", "ids")
        labels = None if self.labels is None else self.labels[index[0] if isinstance(index, tuple) else index]
        return replace(self, labels=labels, **{name: getattr(self, name)[index] for name in names})

    def label_only(self) -> Ensemble:
        """Return the ensemble of the labels alone as they are, the baseline."""
        return self.without_names().select((slice(None), slice(1)))

    def named(self) -> Tensor:
        """Return the classes whose label has a name in its place, bool [C]."""
        return self.ids[:, 0] >= 0

    def without_names(self, classes: Any = slice(None)) -> Ensemble:
        """Return the ensemble with the label as it is, in all classes or in those of an index."""
        if self.labels is None:
            return self
        texts, ids = self.texts.clone(), self.ids.clone()
        texts[classes, 0], ids[classes, 0] = self.labels[classes], -1
        return replace(self, texts=texts, ids=ids)

    def without(self, slot: int, *, classes: Any = slice(None)) -> Ensemble:
        """Return the ensemble without text k = `slot` of each class, or of those of an index.

        Without its name, a class has its label as it is. A class that has no other text keeps it.
        """
        import torch

        chosen = torch.zeros(len(self.present), dtype=torch.bool)
        chosen[classes] = True
        named = chosen & self.named() & (slot == 0)
        present = self.present.clone()
        present[chosen & ~named & (self.text_counts().squeeze(1) > 1), slot] = False
        return replace(self.without_names(named), present=present)

    def text_sums(self) -> Tensor:
        """Return the sum of each class's texts, [C, D]."""
        return (self.texts * self.present.unsqueeze(-1)).sum(dim=1)

    def text_counts(self) -> Tensor:
        """Return the number of each class's texts, int64 [C, 1]."""
        return self.present.sum(dim=1, keepdim=True)

    def steps(self) -> Tensor:
        """Return the number of each text's step in its class, int64 [C, K]; -1 for texts that are not steps.

        Steps are numbered from 0 by position, without gaps; texts with the same position are wordings of one step.
        """
        import torch
        from torch.nn.functional import one_hot

        is_step = self.present & (self.kind == (self.kinds.index(STEPS) if STEPS in self.kinds else len(self.kinds)))
        position = self.position.clamp(min=0)
        occupied = (one_hot(position) * is_step.unsqueeze(-1)).any(dim=1)  # [C, P], positions that have a step
        rank = occupied.cumsum(dim=1) - 1  # [C, P]
        return torch.where(is_step, rank.gather(1, position), -1)


def build_ensemble(
    dataset: Dataset, descriptors: Sequence[Descriptor], encoder: TextEncoder, protocol: Protocol
) -> Ensemble:
    """Encode the labels and descriptors of a dataset; each distinct string goes through the encoder once.

    A text is the normalised mean of its normalised embeddings over the protocol's templates (as in CLIP and TEAR). By
    `Protocol.names`, texts of the kind `name` stand for labels: they are put into the templates of labels; a label
    joined with its name is the mean over the templates of both.
    """
    return build_ensembles(dataset, [(descriptors, protocol)], encoder)[0]


def build_ensembles(
    dataset: Dataset, choices: Sequence[tuple[Sequence[Descriptor], Protocol]], encoder: TextEncoder
) -> list[Ensemble]:
    """Return an ensemble for each (descriptors, protocol); each distinct string of all of them is encoded once."""
    fill = cache(_filled)  # choices have most texts in common
    text_lists = [_texts(dataset, descriptors, protocol, fill) for descriptors, protocol in choices]
    encoded = _encode(
        list(dict.fromkeys(part for texts in text_lists for text in texts for part in text.parts)), encoder
    )
    logits = logits_of(encoder)
    return [
        replace(_ensemble(len(dataset.actions), texts, *encoded), logit_scale=logits.scale, logit_bias=logits.bias)
        for texts in text_lists
    ]


def strings_of(dataset: Dataset, descriptors: Sequence[Descriptor], protocol: Protocol) -> list[str]:
    """Return every distinct string that `build_ensemble` encodes, templates filled in."""
    texts = _texts(dataset, descriptors, protocol, _filled)
    return list(dict.fromkeys(string for text in texts for part in text.parts for string in part))


def labels_again(dataset: Dataset, protocol: Protocol) -> list[Descriptor]:
    """Return each label as the only descriptor of its class if `protocol.label_again`, else nothing; not stored."""
    return [
        Descriptor(-1, action.name, "label", 0, protocol.label_text(dataset, action), "human", "accepted", None, None)
        for action in dataset.actions
        if protocol.label_again
    ]


_Strings = tuple[str, ...]  # one text filled into each template
_Fill = Callable[[tuple[str, ...], str], _Strings]


@dataclass(frozen=True)
class _Text:
    row: int  # c
    slot: int  # k
    kind: str
    position: int
    id: int
    strings: _Strings
    label: _Strings = ()  # of the label as it is, if a name stands for it

    @property
    def parts(self) -> tuple[_Strings, ...]:
        return (self.strings, self.label) if self.label else (self.strings,)


def _texts(dataset: Dataset, descriptors: Sequence[Descriptor], protocol: Protocol, fill: _Fill) -> list[_Text]:
    """Return the texts of all classes, filled into templates; within a class, in the order of their slots."""
    row = {action.name: index for index, action in enumerate(dataset.actions)}
    labels = [protocol.label_text(dataset, action) for action in dataset.actions]
    names = {row[d.action]: d for d in descriptors if d.kind == NAME} if protocol.names != "off" else {}
    texts = [_label(c, label, names.get(c), protocol, fill) for c, label in enumerate(labels)]
    if protocol.names == "replace":
        labels = [names[c].text if c in names else label for c, label in enumerate(labels)]
    filled, placed = [1] * len(row), {name.id for name in names.values()}
    for descriptor in sorted((d for d in descriptors if d.id not in placed), key=_in_order(row)):
        c = row[descriptor.action]
        strings = fill(protocol.descriptor_templates, protocol.descriptor_text(labels[c], descriptor.text))
        texts.append(_Text(c, filled[c], descriptor.kind, descriptor.position, descriptor.id, strings))
        filled[c] += 1
    return texts


def _label(c: int, label: str, name: Descriptor | None, protocol: Protocol, fill: _Fill) -> _Text:
    """Return text k = 0 of class c: its label, or its name, or both."""
    as_it_is = fill(protocol.label_templates, label)
    if name is None:
        return _Text(c, 0, "", -1, -1, as_it_is)
    named = fill(protocol.label_templates, name.text)
    return _Text(c, 0, "", -1, name.id, named if protocol.names == "replace" else as_it_is + named, label=as_it_is)


def _in_order(row: Mapping[str, int]) -> Callable[[Descriptor], tuple[Any, ...]]:
    """Return the key by which texts are sorted. Ids come last: they follow the order in which replies came.

    The last bits of an embedding depend on its place among those that are encoded together, and those of a mean on the
    order of its texts; so the same texts in another database have the same order.
    """
    return lambda d: (kind_order(d.kind), d.position, row[d.action], d.text, d.id)


def kind_order(kind: str) -> tuple[int, str]:
    """Return what kinds are sorted by within a class."""
    return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), kind


def _filled(templates: tuple[str, ...], text: str) -> _Strings:
    return tuple(template.replace("{}", text) for template in templates)


def _encode(texts: Sequence[_Strings], encoder: TextEncoder) -> tuple[dict[_Strings, Tensor], frozenset[str]]:
    """Return the unit vector [D] of each distinct text, the mean over its templates, and the strings that were cut."""
    import torch
    from torch.nn.functional import embedding_bag, normalize

    index = {string: s for s, string in enumerate(dict.fromkeys(string for strings in texts for string in strings))}
    encoded = normalize(encoder.encode_texts(list(index)), dim=-1)  # [S, D]
    member = torch.tensor([index[string] for strings in texts for string in strings])
    starts = torch.tensor([0, *accumulate(map(len, texts))][:-1])
    sums = embedding_bag(member, encoded, starts, mode="sum")  # [N, D]
    counts, limit = zip(index, encoder.token_counts(list(index)), strict=True), encoder.context_length
    cut = frozenset(string for string, count in counts if count > limit)
    return dict(zip(texts, normalize(sums, dim=-1), strict=True)), cut  # a sum and a mean point the same way


def _ensemble(classes: int, texts: Sequence[_Text], vectors: dict[_Strings, Tensor], cut: frozenset[str]) -> Ensemble:
    """Return the texts as tensors [C, K, ...]."""
    import torch

    kinds = tuple(sorted({text.kind for text in texts if text.kind}))
    cells = torch.tensor([text.row for text in texts]), torch.tensor([text.slot for text in texts])
    shape = classes, int(cells[1].max()) + 1
    labels = torch.stack([vectors[text.label or text.strings] for text in texts[:classes]])  # [C, D]

    def spread(values: Tensor, empty: int) -> Tensor:
        """Return values [N, ...] as [C, K, ...]."""
        return torch.full((*shape, *values.shape[1:]), empty, dtype=values.dtype).index_put(cells, values)

    return Ensemble(
        texts=spread(torch.stack([vectors[text.strings] for text in texts]), 0),
        present=spread(torch.ones(len(texts), dtype=torch.bool), 0),
        kinds=kinds,
        kind=spread(torch.tensor([kinds.index(text.kind) if text.kind else -1 for text in texts]), -1),
        position=spread(torch.tensor([text.position for text in texts]), -1),
        ids=spread(torch.tensor([text.id for text in texts]), -1),
        cut=_cut_ones(texts, cut) if cut else (),
        labels=labels if any(text.label for text in texts) else None,
    )


def _cut_ones(texts: Sequence[_Text], cut: frozenset[str]) -> tuple[str, ...]:
    """Return the strings of texts that were cut, in order."""
    return tuple(dict.fromkeys(string for text in texts for part in text.parts for string in part if string in cut))
