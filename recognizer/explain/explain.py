"""What the texts did for single videos: each video, its best classes, and what each of their texts added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from db.errors import UsageError
from db.progress import ProgressBars, no_bars
from db.records import Dataset, Descriptor
from recognizer.evaluation.predict import Candidate, ClassTexts, ScoredVideos, clips_below, score_videos
from recognizer.evaluation.settings import Settings
from recognizer.explain.effects import Effects, effects
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.video.frames import UnreadableVideo
from recognizer.video.thumbnails import ShownFrame, shown_frames, shown_view

LABEL = "label"  # stands where a descriptor has its kind


@dataclass(frozen=True)
class TextEffect:
    """What one text did for one video.

    Attributes:
        id: `Descriptor.id`; None for the label.
        kind: of the descriptor, or `label`.
        position: of the descriptor within its kind, from 0; None for the label.
        text: as it was written, without templates.
        status: of the descriptor; None for the label.
        used: whether the method looks at it.
        step: which step of the class it is, from 0; None where it is none.
        share: what it adds to the score; those of a class sum to its score.
        above_mean: of that, what a mean class's texts of its kind do not add.
        above_winner: the same beside the class on rank 1, negative where it costs; None in that class itself.
        cosine: with the pooled video, -1 to 1.
        frames: T cosines with the frames that are shown.
        frames_above: T, those less the mean cosine of the same frame with all classes' texts of this kind.
    """

    id: int | None
    kind: str
    position: int | None
    text: str
    status: str | None
    used: bool
    step: int | None
    share: float
    above_mean: float
    above_winner: float | None
    cosine: float
    frames: tuple[float, ...]
    frames_above: tuple[float, ...]


@dataclass(frozen=True)
class ExplainedClass(Candidate):
    """One class for one video.

    Attributes:
        asked: whether the user named it.
        above_mean: its score less the mean score of all classes.
        above_winner: its score less that of the class on rank 1; None for that class itself.
        texts: the label, then the descriptors by kind and position.
        path: the step, from 0, that `align` gives each of the T frames; None for a class without steps.
    """

    asked: bool
    above_mean: float
    above_winner: float | None
    texts: tuple[TextEffect, ...]
    path: tuple[int, ...] | None


@dataclass(frozen=True)
class Explanation:
    """What speaks for the classes of one video, or why it could not be read.

    Attributes:
        video: as it was named.
        frames: the T frames that are shown; of several clips the first, of three crops the one in the middle.
        classes: the best ones, then those that were asked for, each by rank.
        unreadable: the reason.
    """

    video: str
    frames: tuple[ShownFrame, ...]
    classes: tuple[ExplainedClass, ...]
    unreadable: str | None = None

    def for_programs(self) -> dict[str, Any]:
        """Return everything but the pictures."""
        frames = [{"number": frame.number, "seconds": frame.seconds} for frame in self.frames]
        classes = [asdict(explained) for explained in self.classes]
        return {"video": self.video, "unreadable": self.unreadable, "frames": frames, "classes": classes}


def explain(
    texts: ClassTexts,
    paths: Sequence[Path],
    encoder: StoredEncoder,
    *,
    top: int = 5,
    asked: Iterable[str] = (),
    bars: ProgressBars = no_bars,
) -> list[Explanation]:
    """Return what each text adds to the `top` classes of each video; an unreadable video has its reason instead.

    Arguments and errors as in `predict`, and:

    Args:
        top: classes to explain, as `predict` ranks them.
        asked: names or phrases of classes to explain as well, wherever they rank.

    Raises:
        UsageError: the dataset has no class of a name.
    """
    clips, labels = clips_below(paths), labels_of(texts.dataset, asked)
    scored = score_videos(texts, clips, encoder, bars=bars)
    view = _View(scored, texts.settings, {each.id: each for each in texts.descriptors}, top, frozenset(labels))
    rows = {video.id: row for row, video in enumerate(scored.features.videos)}
    unreadable = dict(scored.features.unreadable)
    return [
        view.explanation(path, rows[id_]) if (id_ := str(path)) in rows else _lost(path, unreadable[id_])
        for path in clips
    ]


def labels_of(dataset: Dataset, names: Iterable[str]) -> list[int]:
    """Return the label indices of classes that are named by name or phrase.

    Raises:
        UsageError: the dataset has none of that name.
    """
    of = [(label, {action.name.lower(), action.phrase.lower()}) for label, action in enumerate(dataset.actions)]
    known = {_squashed(word): label for label, words in of for word in words}
    known |= {word: label for label, words in of for word in words}
    found = {name: known.get(name.lower(), known.get(_squashed(name))) for name in names}
    if unknown := [name for name, label in found.items() if label is None]:
        its = ", ".join(action.name for action in dataset.actions)
        raise UsageError(f"{dataset.name} has no class {', '.join(unknown)}. Its classes: {its}")
    return [label for label in found.values() if label is not None]


def _squashed(name: str) -> str:
    """Return `applyeyemakeup` for `apply eye makeup` and for `Apply_Eye-Makeup`."""
    return "".join(character for character in name.lower() if character.isalnum())


def _lost(path: Path, reason: str) -> Explanation:
    return Explanation(str(path), (), (), reason)


@dataclass(frozen=True)
class _View:
    """What all explanations of one call are made of."""

    scored: ScoredVideos
    settings: Settings
    by_id: Mapping[int, Descriptor]
    top: int
    asked: frozenset[int]

    def explanation(self, path: Path, video: int) -> Explanation:
        try:
            frames = shown_frames(path, self.settings.sampling)
        except UnreadableVideo as reason:  # its embeddings are stored, and the file went since
            return _lost(path, str(reason))
        found = effects(
            self.scored.views_of(video),
            self.scored.ensemble,
            settings=self.settings,
            shown=shown_view(self.settings.sampling),
        )
        best = self.scored.best(video, self.top)
        others = sorted(self.asked - set(best), key=lambda label: int(self.scored.ranks[video, label]))
        winner = self.scored.best(video, 1)[0]
        return Explanation(str(path), frames, tuple(self._class(video, c, found, winner) for c in [*best, *others]))

    def _class(self, video: int, label: int, found: Effects, winner: int) -> ExplainedClass:
        scores = self.scored.scores[video]
        beside = None if label == winner else found.above(winner)[label].tolist()
        path = found.steps[:, label].tolist()
        return ExplainedClass(
            **asdict(self.scored.candidate(video, label)),
            asked=label in self.asked,
            above_mean=float(scores[label] - scores.mean()),
            above_winner=None if label == winner else float(scores[label] - scores[winner]),
            texts=self._texts(label, found, beside),
            path=tuple(path) if path[0] >= 0 else None,
        )

    def _texts(self, label: int, found: Effects, beside: Sequence[float] | None) -> tuple[TextEffect, ...]:
        ensemble = self.scored.ensemble
        steps = ensemble.steps()[label].tolist()
        return tuple(
            TextEffect(
                **self._source(label, int(ensemble.ids[label, k]), is_label=k == 0),
                used=bool(found.used[label, k]),
                step=steps[k] if steps[k] >= 0 else None,
                share=float(found.share[label, k]),
                above_mean=float(found.above_mean[label, k]),
                above_winner=beside[k] if beside else None,
                cosine=float(found.cosine[label, k]),
                frames=tuple(found.frames[:, label, k].tolist()),
                frames_above=tuple(found.frames_above[:, label, k].tolist()),
            )
            for k in ensemble.present[label].nonzero().flatten().tolist()
        )

    def _source(self, label: int, id_: int, *, is_label: bool) -> dict[str, Any]:
        """Return where a text is from, as fields of `TextEffect`."""
        if is_label:
            dataset = self.scored.texts.dataset
            text = self.settings.wording().label_text(dataset, dataset.actions[label])
            return {"id": None, "kind": LABEL, "position": None, "text": text, "status": None}
        of = self.by_id[id_]
        return {"id": of.id, "kind": of.kind, "position": of.position, "text": of.text, "status": of.status}
