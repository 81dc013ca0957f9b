"""Which texts decided between two classes: how the lead of the one changes when a text is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recognizer.evaluation.impact import leave_one_out
from recognizer.evaluation.replay import Repeated
from recognizer.scoring.methods import attribution, method_of, scores


@dataclass(frozen=True)
class LeaveOneOutEffect:
    """What one text did between a true class and its rival.

    Attributes:
        id: of the descriptor; None for a label.
        label: of the class that the text belongs to.
        kind: of the descriptor, or `label`.
        text: as in the database; a label as the run worded it.
        attribution: what it adds to the score of its class.
        effect: how far the lead of the true class falls without it, in units of the score. Below 0 for a text that
            supports the rival, or that lowers the score of the true class.
    """

    id: int | None
    label: int
    kind: str
    text: str
    attribution: float
    effect: float


def leave_one_out_effects(
    repeated: Repeated, rows: Sequence[int], *, true: int, rival: int
) -> tuple[LeaveOneOutEffect, ...]:
    """Return the texts of two classes that have an effect, the mean over videos; the largest first, of either sign.

    Args:
        repeated: the run.
        rows: at least one video, by its index in `repeated.features.videos`.
        true: label of the class of these videos.
        rival: label of the class that it competes with.
    """
    import torch

    name, temperature, views = repeated.settings.method, repeated.settings.temperature, repeated.features.views
    pair = repeated.ensemble.select([true, rival])
    pair = replace(pair, present=method_of(name).uses(pair))
    videos = repeated.seen.select([row * views + view for row in rows for view in range(views)])
    changes = leave_one_out(
        lambda ensemble: scores(videos, ensemble, method=name, temperature=temperature),
        pair,
        torch.zeros(len(videos.frames), dtype=torch.long),  # in this pair, the true class is number 0
        with_labels=True,
    )
    added = attribution(videos, pair, method=name, temperature=temperature).mean(dim=0)  # [2, K]
    effects = [
        LeaveOneOutEffect(id_ if id_ >= 0 else None, label, *_kind_and_text(repeated, label, id_), value, -change)
        for row, label in enumerate((true, rival))
        for id_, value, change in zip(*(t[row].tolist() for t in (pair.ids, added, changes.margin)), strict=True)
        if change
    ]
    return tuple(sorted(effects, key=lambda effect: -abs(effect.effect)))


def _kind_and_text(repeated: Repeated, label: int, id_: int) -> tuple[str, str]:
    for descriptor in repeated.descriptors:
        if descriptor.id == id_:
            return descriptor.kind, descriptor.text
    return "label", repeated.protocol.label_text(repeated.dataset, repeated.dataset.actions[label])
