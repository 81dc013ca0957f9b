"""Which texts decided between two classes: what becomes of the lead of the one when a text is left out.

The score of a class is made of its own texts alone, whatever the method. So a class with one of its texts left out can
stand as a class of its own, and all such variants of two classes are scored at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from recognizer.evaluation.replay import Replay
from recognizer.scoring.attribution import shares
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import scores
from recognizer.scoring.pooling import Videos


@dataclass(frozen=True)
class Pull:
    """What one text did between a true class and its rival.

    Attributes:
        id: of the descriptor; None for a label.
        label: of the class that the text is of.
        kind: of descriptor, or `label`.
        text: as it is in the database; of a label, as the run worded it.
        share: what it adds to its class's score (`recognizer.shares`).
        pull: how far the lead of the true class would fall without it, in units of the score. A text that speaks for
            the rival, or that keeps the true class's score down, has a pull below 0.
    """

    id: int | None
    label: int
    kind: str
    text: str
    share: float
    pull: float


def pulls(repeated: Replay, rows: Sequence[int], *, true: int, rival: int) -> tuple[Pull, ...]:
    """Return what each text of two classes did, the mean over videos; the largest pull, of either sign, first.

    Args:
        repeated: the run.
        rows: at least one video, by its place in `repeated.features.videos`.
        true: label of their class.
        rival: label of the class that it competes with.
    """
    seen = _views(repeated, rows)
    found = [
        pull
        for label, sign in ((true, 1.0), (rival, -1.0))
        for pull in _of_class(repeated, seen, label, sign)
        if abs(pull.pull) > 0
    ]
    return tuple(sorted(found, key=lambda p: -abs(p.pull)))


def rows_of(repeated: Replay) -> Mapping[str, int]:
    """Return each video's place in the features, by its id."""
    return {video.id: row for row, video in enumerate(repeated.features.videos)}


def _views(repeated: Replay, rows: Sequence[int]) -> Videos:
    """Return the views of some videos, side by side."""
    views = repeated.features.views
    of = [row * views + view for row in rows for view in range(views)]
    return Videos(repeated.batch.frames[of], repeated.batch.pooled[of], repeated.batch.pooling)


def _of_class(repeated: Replay, seen: Videos, label: int, sign: float) -> list[Pull]:
    """Return the pulls of one class's texts; none where it has one text alone, which cannot be left out."""
    of_class = _rows(repeated.ensemble, [label])  # [1, K]
    slots = of_class.present[0].nonzero().flatten().tolist()
    if len(slots) < 2:
        return []
    method, temperature = repeated.settings.method, repeated.settings.temperature
    variants = leave_outs(of_class, slots)  # [1 + N, K]
    mean = scores(seen, variants, method=method, temperature=temperature).mean(dim=0)  # [1 + N]
    parts = shares(seen, of_class, method=method, temperature=temperature)[:, 0].mean(dim=0)  # [K]
    texts = _Texts(repeated, label)
    return [
        Pull(*texts.of(slot), share=float(parts[slot]), pull=sign * float(mean[0] - mean[1 + place]))
        for place, slot in enumerate(slots)
    ]


def leave_outs(ensemble: Ensemble, slots: Sequence[int]) -> Ensemble:
    """Return an ensemble of 1 + N classes of one class's texts [1, K]: all of them, then each without one slot."""
    variants = _rows(ensemble, [0] * (1 + len(slots)))
    present = variants.present.clone()
    present[range(1, 1 + len(slots)), list(slots)] = False
    return replace(variants, present=present)


def _rows(ensemble: Ensemble, labels: Sequence[int]) -> Ensemble:
    """Return an ensemble of some classes of another, in that order."""
    names = ("texts", "present", "kind", "position", "ids")
    return replace(ensemble, **{name: getattr(ensemble, name)[list(labels)] for name in names})


class _Texts:
    """The texts of one class by slot."""

    def __init__(self, repeated: Replay, label: int) -> None:
        self._label = label
        self._ids: list[int] = repeated.ensemble.ids[label].tolist()
        self._by_id = {descriptor.id: descriptor for descriptor in repeated.descriptors}
        self._own = repeated.protocol.label_text(repeated.dataset, repeated.dataset.actions[label])

    def of(self, slot: int) -> tuple[int | None, int, str, str]:
        """Return id, label, kind and text."""
        descriptor = self._by_id.get(self._ids[slot])
        if descriptor is None:
            return None, self._label, "label", self._own
        return descriptor.id, self._label, descriptor.kind, descriptor.text
