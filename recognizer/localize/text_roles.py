"""The texts of a class by role: the whole action, its steps in order, the situations before and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.records import Dataset, Descriptor
from encoders.protocol import Encoder
from recognizer.scoring.ensemble import STEPS, build_ensemble
from recognizer.scoring.protocols import Protocol

if TYPE_CHECKING:
    from torch import Tensor


SITUATION = "situation"
BEFORE, AFTER = 0, 1  # positions of the two texts of a situation


@dataclass(frozen=True)
class Roles:
    """The texts of C classes, one vector for each role: unit norm, or zero where the class has no such text."""

    action: Tensor  # [C, D], the normalised mean of the label and of every text that is neither step nor situation
    steps: Tensor  # [C, S, D], in order; S is the number of different positions of steps
    before: Tensor  # [C, D], the situation right before the action
    after: Tensor  # [C, D], the situation right after it
    left_out: int  # situation texts that are neither the first (before) nor the second (after) of their class
    cut: tuple[str, ...]  # the texts that were cut because they are longer than the encoder's context


def build_roles(dataset: Dataset, descriptors: Sequence[Descriptor], encoder: Encoder, protocol: Protocol) -> Roles:
    """Encode the labels and descriptors of a dataset, as `build_ensemble` does; without descriptors, labels alone.

    Several texts of one role, such as wordings of the same step, become their normalised mean.
    """
    import torch
    from torch.nn.functional import normalize

    steps = [d for d in descriptors if d.kind == STEPS]
    situations = [d for d in descriptors if d.kind == SITUATION]
    whole = build_ensemble(dataset, [d for d in descriptors if d.kind not in (STEPS, SITUATION)], encoder, protocol)
    # every ensemble encodes the label; if it is not used, one template is enough
    short = replace(protocol, label_templates=protocol.label_templates[:1])
    groups = [[d for d in steps if d.position == number] for number in sorted({d.position for d in steps})]
    groups += [[d for d in situations if d.position == position] for position in (BEFORE, AFTER)]
    ensembles = [build_ensemble(dataset, group, encoder, short) if group else None for group in groups]
    zero = torch.zeros_like(whole.texts[:, 0])
    vectors = [normalize(e.texts[:, 1:].sum(dim=1), dim=-1) if e else zero for e in ensembles]  # without the label
    return Roles(
        action=normalize(whole.texts.sum(dim=1), dim=-1),
        steps=torch.stack(vectors, dim=1)[:, :-2],
        before=vectors[-2],
        after=vectors[-1],
        left_out=sum(d.position not in (BEFORE, AFTER) for d in situations),
        cut=tuple(dict.fromkeys(text for e in (whole, *ensembles) if e for text in e.cut)),
    )
