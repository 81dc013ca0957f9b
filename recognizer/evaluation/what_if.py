"""What a decision of a reviewer would do to the accuracy: equal to an evaluation after it, in a fraction of the time.

A `WhatIf` is prepared once with the videos; `update` takes the texts in use, again after each decision; `effect` says
what a decision would do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.errors import UsageError, UserError
from db.records import Action, Dataset, Descriptor
from recognizer.datasets.official import clip_groups
from recognizer.evaluation.compare import Paired, paired
from recognizer.evaluation.decided import Possible, decided
from recognizer.evaluation.ranking import pooled, rank_by_labels, video_scores
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import Features
from recognizer.features.text_memory import TextMemory
from recognizer.scoring.ensemble import Ensemble, build_ensemble, strings_of
from recognizer.scoring.intervals import Design, Flags
from recognizer.scoring.methods import method_of
from recognizer.scoring.methods.means import class_weights
from recognizer.scoring.metrics import Rate, margins, ranks, rate
from recognizer.scoring.selection import choose_among

if TYPE_CHECKING:
    from torch import Tensor

_FEW = 8  # classes that are scored one by one
# One class is scored beside copies of itself: a product of few columns is rounded in another way than that of many, and
# a text that two classes share has to tie to the last bit, as in an evaluation of all classes.
_COPIES = 16
_Chosen = Mapping[str, tuple[Descriptor, ...]]  # the descriptors that are scored, by action name


@dataclass(frozen=True)
class Nearest:
    """The other class whose texts are nearest to those of a class: the cosine of their mean texts."""

    name: str
    cosine: float


@dataclass(frozen=True)
class Effect:
    """What a decision does to the accuracy on the videos; all differences are after minus before.

    The margin of a video is the score of its true class minus the best other score.

    Attributes:
        action: name of the class whose texts it changes.
        changes: whether it changes what is scored; if not, all differences are 0.
        top1: before and after it, on the same videos.
        label_only: top-1 of the labels alone.
        videos: evaluated.
        groups: of clips cut from one source, over which the intervals are.
        left_out: videos that could not be evaluated.
        gained, lost: ids of the videos that are right only after it, and only before it.
        margin_change: mean over all videos, in score units.
        class_videos: videos of that class.
        class_margin_change: mean over these; None if there are none.
        nearest, nearest_before: the class nearest to that class, after and before it.
        texts: descriptors of that class that are scored after it; 0: its label alone.
        cut: strings with the new text that exceed the encoder's context and are cut.
    """

    action: str
    changes: bool
    top1: Paired
    label_only: Rate
    videos: int
    groups: int
    left_out: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    margin_change: float
    class_videos: int
    class_margin_change: float | None
    nearest: Nearest
    nearest_before: Nearest
    texts: int
    cut: tuple[str, ...]


@dataclass(frozen=True)
class _State:
    """The texts in use at one time, and what they score."""

    in_use: tuple[Descriptor, ...]
    chosen: _Chosen
    scores: Tensor  # [V, C]
    heads: Tensor  # [C, D], unit norm: the mean of the texts of each class that the method uses
    cut: Mapping[str, tuple[str, ...]]  # strings that exceed the encoder's context, by action name


class WhatIf:
    """The videos, settings and current texts of a dataset, prepared to tell what a decision does. Not thread-safe."""

    def __init__(
        self, dataset: Dataset, features: Features, encoder: CachingEncoder, *, settings: Settings, left_out: int = 0
    ) -> None:
        """Prepare what no decision changes.

        Args:
            dataset: C classes.
            features: V videos, each with one label; sampled as the settings say.
            encoder: opened by `settings.encoder`. Texts that are only tried are not stored.
            settings: the method, the choice of texts, and everything else that `evaluate` would be given.
            left_out: how many videos could not be evaluated.

        Raises:
            UsageError: the settings score videos together or by their labels alone, or take the texts of a pack, or the
                method needs frames and the encoder gives one vector for a clip.
            UserError: there is one class only, no video, or a video with several labels or none.
        """
        self.settings = settings.with_texts_used()
        _refuse(dataset, features, self.settings)
        settings.check_for(encoder)
        self.dataset, self.left_out, self._features = dataset, left_out, features
        self._batch, self._labels = pooled(features, settings=settings), features.labels
        self._design = Design.of(self._labels.tolist(), clip_groups(video.id for video in features.videos))
        self._texts, self._protocol = TextMemory(encoder), self.settings.wording()
        self._method = method_of(settings.method)
        self._rows = {action.name: row for row, action in enumerate(dataset.actions)}
        self._label_only = self._rate_by_labels()
        self._now: _State | None = None

    def update(self, in_use: Sequence[Descriptor]) -> None:
        """Take the texts that are in use now; where possible, only classes whose texts changed are scored again.

        Args:
            in_use: whatever their status.

        Raises:
            UserError: these texts cannot be evaluated, as in `choose_descriptors`; the earlier texts stay.
        """
        chosen = choose_among(self.dataset, in_use, self.settings.choice)
        self._texts.learn(strings_of(self.dataset, chosen, self._protocol))
        self._now = self._moved(self._now, in_use)

    def effect(self, possible: Possible) -> Effect:
        """Return what a decision would do.

        Raises:
            UsageError: the decision cannot be made, as in `decided`.
            UserError: after it the texts could not be evaluated, as in `choose_descriptors`.
        """
        after = decided(self.dataset, self._known().in_use, possible)
        return self._effect(after.action, self._known(), self._moved(self._known(), after.in_use))

    def scores(self, possible: Possible) -> Tensor:
        """Return the scores [V, C] after a decision; errors as in `effect`."""
        return self._moved(self._known(), decided(self.dataset, self._known().in_use, possible).in_use).scores

    def _known(self) -> _State:
        if self._now is None:
            raise UsageError("No texts are known yet: call update first")
        return self._now

    def _moved(self, before: _State | None, in_use: Sequence[Descriptor]) -> _State:
        """Return the state with other texts in use."""
        chosen: dict[str, tuple[Descriptor, ...]] = {}
        for descriptor in choose_among(self.dataset, in_use, self.settings.choice):
            chosen[descriptor.action] = (*chosen.get(descriptor.action, ()), descriptor)
        start = before or self._empty()
        changed = [a for a in self.dataset.actions if before is None or _differs(chosen, before.chosen, a.name)]
        if not changed:
            return replace(start, in_use=tuple(in_use), chosen=chosen)
        heads, cut = start.heads.clone(), dict(start.cut)
        ensembles = {self._rows[a.name]: self._ensemble(a, chosen.get(a.name, ())) for a in changed}
        for action, (row, ensemble) in zip(changed, ensembles.items(), strict=True):
            used = replace(ensemble, present=self._method.uses(ensemble))
            heads[row], cut[action.name] = class_weights(used)[0], ensemble.cut
        return _State(tuple(in_use), chosen, self._rescored(start.scores, ensembles, chosen), heads, cut)

    def _rescored(self, before: Tensor, ensembles: Mapping[int, Ensemble], chosen: _Chosen) -> Tensor:
        """Return the scores [V, C] with other texts of some classes, given by their rows."""
        if len(ensembles) > _FEW or len(self.dataset.actions) < _COPIES or not self._method.classes_apart:
            every = [descriptor for descriptors in chosen.values() for descriptor in descriptors]
            return self._scored(build_ensemble(self.dataset, every, self._texts, self._protocol))
        scores = before.clone()
        for row, ensemble in ensembles.items():
            scores[:, row] = self._scored(ensemble.select([0] * _COPIES))[:, 0]
        return scores

    def _empty(self) -> _State:
        import torch

        classes = len(self.dataset.actions)
        scores = torch.zeros(len(self._features.videos), classes)
        return _State((), {}, scores, torch.zeros(classes, self._texts.width), {})

    def _ensemble(self, action: Action, descriptors: Sequence[Descriptor]) -> Ensemble:
        """Return the texts of one class."""
        alone = replace(self.dataset, actions=(action,))
        return build_ensemble(alone, descriptors, self._texts, self._protocol)

    def _scored(self, ensemble: Ensemble) -> Tensor:
        return video_scores(self._features, self._batch, ensemble, settings=self.settings)

    def _rate_by_labels(self) -> Rate:
        self._texts.learn(strings_of(self.dataset, [], self._protocol))
        labels = build_ensemble(self.dataset, [], self._texts, self._protocol)
        by_labels = rank_by_labels(self._features, self._batch, labels, settings=self.settings)
        return rate(by_labels.ranks.numpy() <= 1, self._design)

    def _effect(self, name: str, before: _State, after: _State) -> Effect:
        row = self._rows[name]
        first, second = (ranks(state.scores, self._labels).numpy() <= 1 for state in (before, after))
        change = margins(after.scores, self._labels) - margins(before.scores, self._labels)  # [V, 1]
        own = change[self._labels == row]
        return Effect(
            action=name,
            changes=_differs(before.chosen, after.chosen, name),
            top1=paired(first, second, self._design),
            label_only=self._label_only,
            videos=len(self._labels),
            groups=self._design.group_count,
            left_out=self.left_out,
            gained=self._ids(second & ~first),
            lost=self._ids(first & ~second),
            margin_change=float(change.mean()),
            class_videos=len(own),
            class_margin_change=float(own.mean()) if len(own) else None,
            nearest=self._nearest(after.heads, row),
            nearest_before=self._nearest(before.heads, row),
            texts=len(after.chosen.get(name, ())),
            cut=tuple(string for string in after.cut[name] if string not in before.cut[name]),
        )

    def _ids(self, chosen: Flags) -> tuple[str, ...]:
        return tuple(self._features.videos[index].id for index in chosen.nonzero()[0])

    def _nearest(self, heads: Tensor, row: int) -> Nearest:
        import torch

        cosines = (heads @ heads[row]).index_fill(0, torch.tensor(row), -torch.inf)
        best = int(cosines.argmax())
        return Nearest(self.dataset.actions[best].name, float(cosines[best]))


def _differs(first: _Chosen, second: _Chosen, name: str) -> bool:
    """Return whether a class is scored with other texts."""
    one, other = (sorted((d.kind, d.position, d.text) for d in chosen.get(name, ())) for chosen in (first, second))
    return one != other


def _refuse(dataset: Dataset, features: Features, settings: Settings) -> None:
    settings.refuse_transductive("An edit can be tried where each video is scored by itself")
    if settings.choice.labels_alone:
        raise UsageError("These settings score labels alone: no text changes the numbers. Choose kinds with --kind")
    if settings.choice.texts:
        raise UsageError(
            f"The texts of {settings.choice.texts} stay as they are: an edited text is none of the pack's. Evaluate "
            "the texts of the database instead, without --texts"
        )
    if len(dataset.actions) < 2:
        raise UserError(f"{dataset.name} has one class only: no text can change what is predicted")
    if not features.videos:
        raise UserError(f"No video of {dataset.name} is evaluated: there is nothing to measure an edit on")
    several = [video.id for video in features.videos if video.classes != (video.label,) or video.labels]
    if several:
        raise UserError(
            f"{len(several)} of {len(features.videos)} videos have several labels or none, such as {several[0]}: an "
            "edit is tried on videos of one label each. For the mAP, run recognize eval after it"
        )
