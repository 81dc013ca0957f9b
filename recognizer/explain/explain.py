"""Explanations of single videos: the best classes, and what each of their texts adds to the score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.errors import UsageError, did_you_mean
from db.kinds import NAME
from db.progress import ProgressBars, no_bars
from db.records import Dataset, Descriptor
from db.vocabulary import class_finder
from recognizer.datasets.given import videos_at
from recognizer.evaluation.predict import Candidate, ClassTexts, ScoredVideos, score_videos
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.scoring.methods import attribution, method_of
from recognizer.scoring.pooling import VideoBatch
from recognizer.video.frames import UnreadableVideo
from recognizer.video.pictures import frames_in
from recognizer.video.pool import Pool
from recognizer.video.thumbnails import ShownFrame, shown_view

if TYPE_CHECKING:
    from torch import Tensor

LABEL = "label"  # the kind of a text that is a label


@dataclass(frozen=True)
class TextEffect:
    """The effect of one text on the score of one video.

    Attributes:
        id: `Descriptor.id`; None for the label.
        kind: of the descriptor, or `label`.
        position: of the descriptor within its kind, from 0; None for the label.
        text: as it was written, without templates; of a label joined with its name, both with a plus.
        status: of the descriptor; None for the label.
        used: whether the method uses it.
        step: its number among the steps of the class, from 0; None if it is not a step.
        attribution: what it adds to the score; the sum over a class's texts is its score.
        above_mean: attribution minus that of the same kind of text in a mean class (`above_reference`).
        above_winner: attribution minus that in the class on rank 1, negative if the text costs; None in that class.
        cosine: with the pooled video, -1 to 1.
        frames: cosines with the T shown frames; empty if the encoder gives one vector for a clip.
        frames_above: these minus the mean cosine of the same frame with the texts of this kind of all classes.
    """

    id: int | None
    kind: str
    position: int | None
    text: str
    status: str | None
    used: bool
    step: int | None
    attribution: float
    above_mean: float
    above_winner: float | None
    cosine: float
    frames: list[float]
    frames_above: list[float]


@dataclass(frozen=True)
class ExplainedClass(Candidate):
    """One class for one video.

    Attributes:
        asked: whether the user named it.
        above_mean: its score minus the mean score of all classes.
        above_winner: its score minus that of the class on rank 1; None for that class itself.
        texts: the label, then the descriptors by kind and position.
        path: the step, from 0, of each of the T frames (`Method.frame_steps`); None for a class without steps, and for
            an encoder of clips.
    """

    asked: bool
    above_mean: float
    above_winner: float | None
    texts: tuple[TextEffect, ...]
    path: tuple[int, ...] | None


@dataclass(frozen=True)
class Explanation:
    """The effects of the texts on one video, or why it could not be read.

    Attributes:
        video: the path as given.
        frames: the T shown frames: of the first clip, and of three crops the middle one.
        classes: the best ones, then those that the user named, each by rank.
        unreadable: the reason.
        truncated: how much is there of a file that breaks off.
    """

    video: str
    frames: tuple[ShownFrame, ...]
    classes: tuple[ExplainedClass, ...]
    unreadable: str | None = None
    truncated: str | None = None

    def for_programs(self) -> dict[str, Any]:
        """Return everything but the pictures, as JSON values."""
        frames = [{"number": frame.number, "seconds": frame.seconds} for frame in self.frames]
        classes = [asdict(explained) for explained in self.classes]
        state = {"unreadable": self.unreadable, "truncated": self.truncated}
        return {"video": self.video, **state, "frames": frames, "classes": classes}


def explain(
    texts: ClassTexts,
    paths: Sequence[Path],
    encoder: CachingEncoder,
    *,
    top: int = 5,
    class_names: Iterable[str] = (),
    bars: ProgressBars = no_bars,
) -> list[Explanation]:
    """Return what each text adds to the `top` classes of each video; an unreadable video has its reason instead.

    Arguments and errors as in `predict`, and:

    Args:
        top: classes to explain, as `predict` ranks them.
        class_names: names or phrases of classes to explain as well, whatever their rank.

    Raises:
        UsageError: the dataset has no class with such a name.
    """
    texts.settings.refuse_transductive("explain shows what the texts add to the score of a video by itself")
    clips, labels = videos_at(paths).paths, class_labels(texts.dataset, class_names)
    scored = score_videos(texts, clips, encoder, bars=bars)
    by_id = {descriptor.id: descriptor for descriptor in texts.descriptors}
    rows = {video.id: row for row, video in enumerate(scored.features.videos)}
    unreadable = dict(scored.features.unreadable)
    with Pool(encoder.decoding) as pool:
        explainer = _Explainer(scored, texts.settings, by_id, top, frozenset(labels), pool)
        return [
            explainer.explanation(clip, rows[str(clip)])
            if str(clip) in rows
            else Explanation(str(clip), (), (), unreadable[str(clip)])
            for clip in clips
        ]


def refuse_pictures(encoder: CachingEncoder) -> None:
    """Refuse to draw how each text fits each frame, if the encoder gives one vector for a clip.

    Raises:
        UsageError: it does.
    """
    encoder.refuse_clips(
        "A picture shows how each text fits each frame",
        "Leave --output out: the table, --json and recognize predict, eval and report work with it",
    )


def class_labels(dataset: Dataset, names: Iterable[str]) -> list[int]:
    """Return the label indices of classes, given by name or phrase.

    Raises:
        UsageError: the dataset has no class with such a name.
    """
    find = class_finder(dataset)
    names = list(dict.fromkeys(names))
    if unknown := [name for name in names if not find(name)]:
        known = [action.name for action in dataset.actions]
        raise UsageError(
            f"{dataset.name} has no class {', '.join(unknown)}. {did_you_mean(unknown[0], known)}"
            f"Its classes: {', '.join(known)}"
        )
    return [action.label for name in names if (action := find(name))]


@dataclass(frozen=True)
class _Explainer:
    """The data that the explanations of one call share."""

    scored: ScoredVideos
    settings: Settings
    by_id: Mapping[int, Descriptor]
    top: int
    named: frozenset[int]  # labels of the classes that the user named
    pool: Pool  # reads the frames that are shown

    def explanation(self, path: Path, video: int) -> Explanation:
        try:
            frames = frames_in(self.pool, path, self.settings.sampling)
        except UnreadableVideo as reason:  # its embeddings are stored, but the file can no longer be read
            return Explanation(str(path), (), (), str(reason))
        best = self.scored.best(video, self.top)
        others = sorted(self.named - set(best), key=lambda label: int(self.scored.ranks[video, label]))
        views = self.scored.views_of(video)
        view = views.select([shown_view(self.settings.sampling)])
        steps = method_of(self.settings.method).frame_steps(view, self.scored.ensemble)[0].T  # [C, T]
        paths = steps[:, :0].tolist() if self.scored.features.of_clips else steps.tolist()
        numbers = self._numbers(views, view, winner=self.scored.best(video, 1)[0])
        classes = [self._class(video, c, numbers, paths[c]) for c in [*best, *others]]
        truncated = dict(self.scored.features.truncated).get(str(path))
        return Explanation(str(path), frames, tuple(classes), truncated=truncated)

    def _numbers(self, views: VideoBatch, view: VideoBatch, *, winner: int) -> dict[str, Tensor]:
        """Return fields of `TextEffect` for all texts: [C, K] from all views, [T, C, K] from the shown view."""
        settings, ensemble = self.settings, self.scored.ensemble
        kind = (ensemble.kind + 1).where(ensemble.present, -1)  # 0 is the label
        used = kind.where(method_of(settings.method).uses(ensemble), -1)
        added = attribution(views, ensemble, method=settings.method, temperature=settings.temperature).mean(dim=0)
        by_kind = (added.unsqueeze(-1) * _members(used)).sum(dim=1)  # [C, G]
        frames, member = view.unit_frames().inner(ensemble.texts)[0], _members(kind).flatten(0, 1)  # [C * K, G]
        frame_means = frames.flatten(1) @ member / member.sum(dim=0).clamp(min=1)  # [T, G]
        if self.scored.features.of_clips:
            frames, frame_means = frames[:0], frame_means[:0]
        return {
            "attribution": added,
            "above_mean": above_reference(added, by_kind.mean(dim=0), used),
            "above_winner": above_reference(added, by_kind[winner], used),
            "cosine": views.pooled.inner(ensemble.texts).mean(dim=0),
            "frames": frames,
            "frames_above": (frames - frame_means[:, kind.clamp(min=0)]).where(kind >= 0, 0.0),
        }

    def _class(self, video: int, label: int, numbers: Mapping[str, Tensor], path: Sequence[int]) -> ExplainedClass:
        scores, winner = self.scored.scores[video], self.scored.best(video, 1)[0]
        return ExplainedClass(
            **asdict(self.scored.candidate(video, label)),
            asked=label in self.named,
            above_mean=float(scores[label] - scores.mean()),
            above_winner=None if label == winner else float(scores[label] - scores[winner]),
            texts=tuple(self._texts(label, numbers, is_winner=label == winner)),
            path=tuple(path) if path and path[0] >= 0 else None,
        )

    def _texts(self, label: int, numbers: Mapping[str, Tensor], *, is_winner: bool) -> Iterator[TextEffect]:
        ensemble = self.scored.ensemble
        used, steps = method_of(self.settings.method).uses(ensemble)[label], ensemble.steps()[label].tolist()
        for k in ensemble.present[label].nonzero().flatten().tolist():
            fields: dict[str, Any] = {name: values[..., label, k].tolist() for name, values in numbers.items()}
            fields |= self._source(label, int(ensemble.ids[label, k]))
            if is_winner:
                fields["above_winner"] = None
            yield TextEffect(**fields, used=bool(used[k]), step=steps[k] if steps[k] >= 0 else None)

    def _source(self, label: int, id_: int) -> dict[str, Any]:
        """Return the fields of `TextEffect` that identify a text: a label, a descriptor, or the name of a class."""
        dataset, protocol = self.scored.texts.dataset, self.settings.wording()
        as_it_is = protocol.label_text(dataset, dataset.actions[label])
        if id_ < 0:
            return {"id": None, "kind": LABEL, "position": None, "text": as_it_is, "status": None}
        fields = {name: getattr(self.by_id[id_], name) for name in ("id", "kind", "position", "text", "status")}
        joined = fields["kind"] == NAME and protocol.names == "join"
        return fields | ({"text": f"{as_it_is} + {fields['text']}"} if joined else {})


def above_reference(added: Tensor, reference: Tensor, kind: Tensor) -> Tensor:
    """Return attributions minus an equal part of the attribution of their kind in a reference class, [C, K].

    a_ck - R_g / n_cg, where text k of class c is one of its n_cg texts of kind g. They sum
    over the texts of a class to its score minus that of the reference, if both have texts of every kind.

    Args:
        added: attributions [C, K].
        reference: R [G], the sum of the attributions of each kind in the reference class.
        kind: int64 [C, K]; -1 where there is no text.
    """
    count = _members(kind).sum(dim=1).clamp(min=1)  # [C, G]
    even = (reference / count).gather(1, kind.clamp(min=0))  # [C, K]
    return added - even.where(kind >= 0, 0.0)


def _members(kind: Tensor) -> Tensor:
    """Return the kind of each text as one-hot, float [C, K, G]; zeros where there is no text."""
    from torch.nn.functional import one_hot

    return (one_hot(kind.clamp(min=0)) * (kind >= 0).unsqueeze(-1)).float()
