"""What the videos say about the current texts: scores, effects of single texts, verdicts, and frames to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from db.errors import UserError
from db.records import Descriptor
from recognizer.evaluation.firing import Crowd, Firing
from recognizer.evaluation.impact import leave_one_out
from recognizer.evaluation.ranking import video_scores
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import BASELINE, method_of
from recognizer.scoring.metrics import Accuracy, accuracy, ranks
from studio.evidence import Evidence

if TYPE_CHECKING:
    from torch import Tensor

_OWN_CLIPS, _RIVAL_CLIPS = 3, 2


@dataclass(frozen=True)
class Effect:
    """What leaving a text out changes: how many of all videos become right, and how many become wrong."""

    gained: int
    lost: int


@dataclass(frozen=True)
class Scores:
    """The scores of V videos for C classes, by a set of texts.

    Attributes:
        values: [V, C].
        right: bool [V], whether the true class is first; a tie is wrong.
        accuracy: of all videos.
    """

    values: Tensor
    right: Tensor
    accuracy: Accuracy


@dataclass(frozen=True)
class Findings:
    """What the videos say about one set of texts.

    Attributes:
        vectors: descriptor id -> its text as a unit vector [D], of every text in use, chosen or rejected.
        labels: the labels alone as unit vectors, [C, D].
        by_texts: scores by the texts that an evaluation would use; None if it would refuse them (see `refused`), or if
            videos have several labels.
        by_labels: scores by the labels alone; None if videos have several labels.
        effects: descriptor id -> effect of leaving it out; empty for methods with which this is slow.
        refused: why an evaluation would refuse the texts; empty if it would not, or if videos have several labels.
    """

    vectors: Mapping[int, Tensor]
    labels: Tensor
    by_texts: Scores | None
    by_labels: Scores | None
    effects: Mapping[int, Effect]
    refused: str = ""

    @property
    def scores(self) -> Scores | None:
        """The scores by texts; without them, those by labels."""
        return self.by_texts or self.by_labels


def find(evidence: Evidence, descriptors: Sequence[Descriptor], *, before: Findings | None = None) -> Findings:
    """Score the videos with texts, and without each of them.

    Args:
        evidence: the videos.
        before: earlier findings about the same videos, whose label scores are taken over.
        descriptors: every text in use, of any status. Classes that lack texts that the settings choose are scored
            without them, as with `--partial`.
    """
    everything = evidence.ensemble(descriptors)
    vectors = {
        int(id_): everything.texts[c, k]
        for c, of_class in enumerate(everything.ids.tolist())
        for k, id_ in enumerate(of_class)
        if id_ >= 0
    }
    labels = everything.label_only().texts[:, 0]
    if evidence.video_list.multi_label:
        return Findings(vectors, labels, None, None, {})
    by_labels = (before and before.by_labels) or _scores(evidence, everything.label_only(), method=BASELINE)
    try:
        chosen = evidence.ensemble(evidence.choose(descriptors, partial=True))
    except UserError as error:
        return Findings(vectors, labels, None, by_labels, {}, str(error))
    by_texts = _scores(evidence, chosen, method=evidence.settings.method)
    return Findings(vectors, labels, by_texts, by_labels, _effects(evidence, chosen))


def _scores(evidence: Evidence, ensemble: Ensemble, *, method: str) -> Scores:
    settings = replace(evidence.settings, method=method)
    values = video_scores(evidence.features, evidence.batch, ensemble, settings=settings)
    ranked = ranks(values, evidence.labels)
    return Scores(values, ranked <= 1, accuracy(ranked, evidence.labels, evidence.groups))


def _effects(evidence: Evidence, ensemble: Ensemble) -> dict[int, Effect]:
    """Return the effect of leaving out each text; empty if the method would need an evaluation for each text."""
    method = method_of(evidence.settings.method)
    if not method.classes_apart or method.needs_frames or len(ensemble.present) < 2:
        return {}

    def score(texts: Ensemble) -> Tensor:
        return video_scores(evidence.features, evidence.batch, texts, settings=evidence.settings)

    changes = leave_one_out(score, ensemble, evidence.labels)
    cells = zip(*(values.flatten().tolist() for values in (ensemble.ids, changes.gained, changes.lost)), strict=True)
    return {id_: Effect(gained, lost) for id_, gained, lost in cells if id_ >= 0}


class Verdicts:
    """What each text fires on; remembered by class and vector."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._crowd = Crowd.of(evidence.features.videos, len(evidence.dataset.actions))
        self._known: dict[tuple[int, bytes], Firing] = {}

    def of(self, vector: Tensor, label: int) -> Firing:
        """Return what the videos say about a text of class `label`, a unit vector [D]."""
        key = label, vector.numpy().tobytes()
        if key not in self._known:
            cosines = self._evidence.batch.pooled.inner(vector)[:, None]  # [V * W, 1]
            self._known[key] = self._crowd.firing(self._evidence.features.over_views(cosines)[:, 0].numpy(), label)
        return self._known[key]


@dataclass(frozen=True)
class Rival:
    """The class most often confused with a class.

    Attributes:
        label: of the rival.
        taken: number of the class's videos for which the rival is first.
        videos: number of the class's videos.
    """

    label: int
    taken: int
    videos: int


def rival_of(evidence: Evidence, scores: Scores, label: int) -> Rival | None:
    """Return the class for which most videos of class `label` are mistaken; if none is, the best other one on them."""
    rows = evidence.members[label]
    if not rows or scores.values.shape[1] < 2:
        return None
    others = scores.values[rows].clone()
    own = others[:, label].clone()
    others[:, label] = -np.inf
    best, classes = others.max(dim=1)
    taken = Counter(c for c, is_wrong in zip(classes.tolist(), (best >= own).tolist(), strict=True) if is_wrong)
    if taken:
        rival, count = min(taken.items(), key=lambda item: (-item[1], item[0]))
        return Rival(rival, count, len(rows))
    return Rival(int(others.mean(dim=0).argmax()), 0, len(rows))


def clips_of(evidence: Evidence, scores: Scores | None, label: int, rival: int | None) -> tuple[list[int], list[int]]:
    """Return the clips to show of a class and of its rival, as numbers in `evidence.features.videos`.

    Of the class: clips from the nearest to the rival to the farthest, evenly spread; of the rival: the clips nearest to
    the class. Without scores or a rival: the first clips of the class.
    """
    own = evidence.members[label]
    if scores is None or rival is None:
        return own[:_OWN_CLIPS], []
    margins = (scores.values[:, label] - scores.values[:, rival]).tolist()
    own = sorted(own, key=lambda video: margins[video])
    places = np.unique(np.linspace(0, len(own) - 1, min(_OWN_CLIPS, len(own))).round().astype(int)).tolist()
    theirs = sorted(evidence.members[rival], key=lambda video: -margins[video])
    return [own[place] for place in places], theirs[:_RIVAL_CLIPS]


def frame_cosines(evidence: Evidence, video: int, texts: Tensor) -> Tensor:
    """Return the cosines of texts [K, D] with the frames of a video's first clip, [K, T]; [K, 1] of a clip's vector.

    The cosines are means over the crops.
    """
    from torch.nn.functional import normalize

    first = video * evidence.features.views
    frames = normalize(evidence.features.frames[first : first + evidence.settings.crops], dim=-1)  # [crops, T, D]
    return frames.inner(texts).mean(dim=0).T
