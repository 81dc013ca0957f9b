"""The texts that decided between two classes: how the lead of one class changes without each text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from recognizer.evaluation.impact import leave_one_out
from recognizer.evaluation.replay import Replay
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import attribution, method_of, scores

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LeaveOneOutEffect:
    """The leave-one-out effect of a text on the lead of a true class over its rival.

    Attributes:
        id: of the descriptor; None for a label.
        label: of the class that the text belongs to.
        kind: of the descriptor, or `label`.
        text: as stored; a label as the run worded it.
        attribution: what it adds to the score of its class.
        effect: the change of the lead of the true class without it, in units of the score; positive means better
            without it, as everywhere: the text supports the rival, or lowers the score of the true class.
    """

    id: int | None
    label: int
    kind: str
    text: str
    attribution: float
    effect: float


def leave_one_out_effects(
    replayed: Replay, rows: Sequence[int], *, true: int, rival: int
) -> tuple[LeaveOneOutEffect, ...]:
    """Return the texts of two classes that have an effect, as means over videos, by absolute effect.

    Args:
        replayed: the run.
        rows: at least one video, by its index in `replayed.features.videos`.
        true: label of the class of these videos.
        rival: label of the class that it competes with.
    """
    import torch

    method, temperature = replayed.settings.method, replayed.settings.temperature
    classes, pair = torch.tensor([true, rival]), replayed.ensemble.select([true, rival])
    videos = replayed.batch.select(replayed.features.view_rows(rows))
    apart = method_of(method).classes_apart

    def among(texts: Ensemble) -> Ensemble:
        """Return texts of the two classes among what their scores depend on: all classes, unless they stand apart."""
        if apart:
            return texts
        present = replayed.ensemble.present.index_copy(0, classes, texts.present)
        vectors = replayed.ensemble.texts.index_copy(0, classes, texts.texts)  # a label may be back for its name
        return replace(replayed.ensemble, present=present, texts=vectors)

    def of_pair(values: Tensor) -> Tensor:
        return values if apart else values[:, classes]

    changes = leave_one_out(
        lambda texts: of_pair(scores(videos, among(texts), method=method, temperature=temperature)),
        pair,
        torch.zeros(len(videos.frames), dtype=torch.long),  # in this pair, the true class is number 0
        with_labels=bool(method_of(method).uses(pair)[:, 1:].any()),  # else nothing is left without the labels
        apart=apart,
    )
    added = of_pair(attribution(videos, among(pair), method=method, temperature=temperature)).mean(dim=0)  # [2, K]
    effects = [
        LeaveOneOutEffect(id_ if id_ >= 0 else None, label, *_kind_and_text(replayed, label, id_), value, change)
        for row, label in enumerate((true, rival))
        for id_, value, change in zip(*(t[row].tolist() for t in (pair.ids, added, changes.margin)), strict=True)
        if change
    ]
    return tuple(sorted(effects, key=lambda effect: -abs(effect.effect)))


def _kind_and_text(replayed: Replay, label: int, id_: int) -> tuple[str, str]:
    for descriptor in replayed.descriptors:
        if descriptor.id == id_:
            return descriptor.kind, descriptor.text
    return "label", replayed.protocol.label_text(replayed.dataset, replayed.dataset.actions[label])
