"""The contents of a report about a run: classes, confusions, videos and texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from db.errors import UserError
from db.progress import Progress
from db.records import Prediction, Run
from db.store import Store
from recognizer.datasets.find import Video, find_videos
from recognizer.datasets.official import clip_groups
from recognizer.evaluation.compare import Comparison, compare
from recognizer.evaluation.multi_label import refuse_multi_label
from recognizer.evaluation.ranking import rival
from recognizer.evaluation.replay import Replay, replay, settings_of
from recognizer.features.caching_encoder import open_caching_encoder
from recognizer.report.confusion import Confused, Confusion, confused_pairs, confusion
from recognizer.report.leave_one_out import LeaveOneOutEffect, leave_one_out_effects
from recognizer.scoring.intervals import Design
from recognizer.scoring.metrics import Rate, rate

if TYPE_CHECKING:
    from torch import Tensor

    from recognizer.video.pool import Decoding


@dataclass(frozen=True)
class ClassAccuracy:
    """One class that has videos in a run.

    Attributes:
        label: its index.
        name: its name in the dataset.
        phrase: its label text, as the run worded it.
        videos: how many were evaluated.
        label_only_right: how many of them the label alone ranked first.
        right: how many its label and descriptors ranked first.
        label_only: `label_only_right` / `videos`, with its 95% interval.
        with_descriptors: `right` / `videos`, likewise.
        difference: with descriptors minus by label alone, -1 to 1.
    """

    label: int
    name: str
    phrase: str
    videos: int
    label_only_right: int
    right: int
    label_only: Rate
    with_descriptors: Rate
    difference: float


def class_accuracies(run: Run) -> tuple[ClassAccuracy, ...]:
    """Return the classes that have videos, by their gain from descriptors, largest first, then by name."""
    predictions: dict[int, list[Prediction]] = {}
    for prediction in run.predictions:
        predictions.setdefault(prediction.label, []).append(prediction)
    classes = [_class_accuracy(run, label, own) for label, own in predictions.items()]
    return tuple(sorted(classes, key=lambda c: (-c.difference, c.name)))


def _class_accuracy(run: Run, label: int, own: list[Prediction]) -> ClassAccuracy:
    name, phrase = run.settings["classes"][label]
    design = Design.of([label] * len(own), clip_groups(p.video for p in own))
    hits = np.array([(p.label_only_rank <= 1, p.rank <= 1) for p in own])  # [V, 2]
    label_only, right = hits.sum(axis=0).tolist()
    rates = rate(hits[:, 0], design), rate(hits[:, 1], design)
    return ClassAccuracy(label, name, phrase, len(own), label_only, right, *rates, (right - label_only) / len(own))


Sort = Literal["won", "lost", "right", "wrong"]
SORTS: dict[Sort, Callable[[Prediction], bool]] = {
    "won": lambda p: p.rank <= 1 < p.label_only_rank,
    "lost": lambda p: p.label_only_rank <= 1 < p.rank,
    "right": lambda p: p.rank <= 1 and p.label_only_rank <= 1,
    "wrong": lambda p: p.rank > 1 and p.label_only_rank > 1,
}


@dataclass(frozen=True)
class ChosenVideo:
    """A video chosen as a sample: its sort, and the lead of the best class over the second, in units of the score."""

    sort: Sort
    lead: float
    prediction: Prediction


def choose_samples(run: Run, *, count: int) -> tuple[ChosenVideo, ...]:
    """Return up to `count` videos of each sort, in the order of `SORTS`."""
    return tuple(
        video
        for sort, belongs in SORTS.items()
        for video in _in_turns(ChosenVideo(sort, _lead(p), p) for p in run.predictions if belongs(p))[:count]
    )


def _in_turns(videos: Iterable[ChosenVideo]) -> list[ChosenVideo]:
    """Return the videos by lead, largest first, but the first video of each class before the second of any."""
    counts = Counter[int]()
    turns = []
    for video in sorted(videos, key=lambda v: (-v.lead, v.prediction.video)):
        turns.append((counts[video.prediction.label], video))
        counts[video.prediction.label] += 1
    return [video for _, video in sorted(turns, key=lambda turn: turn[0])]


def _lead(prediction: Prediction) -> float:
    scores = [score for _, score in prediction.ranking[:2]]
    return scores[0] - scores[1] if len(scores) > 1 else 0.0


PAIRS = 20  # shown, with their texts
_TEXTS = 3  # shown of a pair
_SAME_SCORE = 1e-3  # other devices and versions change a score by less


@dataclass(frozen=True)
class ConfusedPair:
    """Videos of one class that were predicted as another class.

    Attributes:
        confused: the classes and counts.
        label_only_same: number of these videos that the labels alone predict as the same class; None if unknown.
        texts: those that support the wrong class most, strongest first; effects are means over these videos.
    """

    confused: Confused
    label_only_same: int | None = None
    texts: tuple[LeaveOneOutEffect, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A video to look at.

    Attributes:
        chosen: the video, its prediction and its sort.
        rival: label of the best class that is not the true one; None if there is only one class.
        lead: of the true class over the rival, in units of the score; None if unknown.
        texts: all that affect this lead, strongest first; None if unknown.
    """

    chosen: ChosenVideo
    rival: int | None
    lead: float | None
    texts: tuple[LeaveOneOutEffect, ...] | None = None


@dataclass(frozen=True)
class Findings:
    """The contents of a report about a run.

    Attributes:
        run: with its predictions.
        paired: the run compared with its labels alone.
        classes: those with videos.
        without_videos: names of the other classes, in label order.
        confusion: the confusion matrix.
        pairs: the most confused pairs.
        all_pairs: number of all confused pairs.
        samples: videos to look at.
        sizes: number of videos of each sort.
        gone: messages on what could not be loaded, and why.
        paths: paths of the sample videos, by id; only those on disk.
    """

    run: Run
    paired: Comparison
    classes: tuple[ClassAccuracy, ...]
    without_videos: tuple[str, ...]
    confusion: Confusion
    pairs: tuple[ConfusedPair, ...]
    all_pairs: int
    samples: tuple[Sample, ...]
    sizes: Mapping[Sort, int]
    gone: tuple[str, ...]
    paths: Mapping[str, Path]


def build_findings(
    store: Store,
    run: Run,
    *,
    features: Path,
    root: Path | None = None,
    samples: int = 3,
    retry: bool = False,
    decoding: Decoding | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Findings:
    """Return the contents of a report about a run.

    Args:
        store: has its texts.
        run: with its predictions.
        features: folder of the feature store.
        root: folder of its videos, if they were moved since the run.
        samples: number of videos of each sort.
        retry: whether to read videos again that are stored as unreadable.
        decoding: how to read videos; None: as by default.
        on_progress: called with (videos done, videos in all); stored embeddings count as done at once.

    Raises:
        UserError: it has no predictions.
    """
    refuse_multi_label(run, "recognize report")
    findings = _from_predictions(run, samples=samples)
    try:
        precision = run.settings.get("precision", "float32")
        with open_caching_encoder(
            run.settings["encoder"], features, precision=precision, retry=retry, decoding=decoding
        ) as encoder:
            return _with_texts(findings, replay(store, run, encoder, root=root, on_progress=on_progress))
    except UserError as error:
        findings = replace(findings, gone=(f"Unknown which texts decided. {error}",))
        return _with_paths(store, findings, root)


def _from_predictions(run: Run, *, samples: int) -> Findings:
    pairs, classes = confused_pairs(run), class_accuracies(run)
    with_videos = {accuracy.label for accuracy in classes}
    return Findings(
        run=run,
        paired=compare(run),
        classes=classes,
        without_videos=tuple(name for c, (name, _) in enumerate(run.settings["classes"]) if c not in with_videos),
        confusion=confusion(run),
        pairs=tuple(ConfusedPair(confused) for confused in pairs[:PAIRS]),
        all_pairs=len(pairs),
        samples=tuple(_sample(video) for video in choose_samples(run, count=samples)),
        sizes={sort: sum(map(belongs, run.predictions)) for sort, belongs in SORTS.items()},
        gone=(),
        paths={},
    )


def _sample(video: ChosenVideo) -> Sample:
    ranking = dict(video.prediction.ranking)
    if len(ranking) < 2:
        return Sample(video, None, None)
    other, true = rival(video.prediction), video.prediction.label
    return Sample(video, other, ranking[true] - ranking[other] if true in ranking else None)


def _with_texts(findings: Findings, replayed: Replay) -> Findings:
    """Return the findings with the effects of the texts and the paths of the videos."""
    videos = replayed.features.videos
    rows = {video.id: row for row, video in enumerate(videos)}
    label_only = replayed.label_scores()  # [V, C]
    scores = replayed.scores()  # [V, C]
    return replace(
        findings,
        pairs=tuple(_pair_with_texts(pair, replayed, rows, label_only) for pair in findings.pairs),
        samples=tuple(_sample_with_texts(sample, replayed, rows, scores) for sample in findings.samples),
        gone=_changed_scores(findings.run, rows, scores),
        paths=_shown_paths(findings, videos),
    )


def _shown_paths(findings: Findings, videos: Iterable[Video]) -> dict[str, Path]:
    shown = {sample.chosen.prediction.video for sample in findings.samples}
    return {video.id: video.path for video in videos if video.path and video.id in shown}


def _sample_with_texts(sample: Sample, replayed: Replay, rows: Mapping[str, int], scores: Tensor) -> Sample:
    if sample.rival is None:
        return sample
    row, true = rows[sample.chosen.prediction.video], sample.chosen.prediction.label
    effects = leave_one_out_effects(replayed, [row], true=true, rival=sample.rival)
    return replace(sample, lead=float(scores[row, true] - scores[row, sample.rival]), texts=effects)


def _pair_with_texts(pair: ConfusedPair, replayed: Replay, rows: Mapping[str, int], label_only: Tensor) -> ConfusedPair:
    true, other = pair.confused.true, pair.confused.predicted
    wrong = [p for p in replayed.run.predictions if p.label == true and p.rank > 1 and rival(p) == other]
    own = [rows[p.video] for p in wrong]
    others = label_only[own]
    others[:, true] = float("-inf")
    same = sum(
        label == other and p.label_only_rank > 1 for label, p in zip(others.argmax(dim=1).tolist(), wrong, strict=True)
    )
    effects = leave_one_out_effects(replayed, own, true=true, rival=other)
    return replace(pair, label_only_same=same, texts=tuple(e for e in effects if e.effect > 0)[:_TEXTS])


def _changed_scores(run: Run, rows: Mapping[str, int], scores: Tensor) -> tuple[str, ...]:
    """Return a line if scores differ from the stored ones, because files changed."""
    changes = [abs(float(scores[rows[p.video], p.ranking[0][0]]) - p.ranking[0][1]) for p in run.predictions]
    changed = [change for change in changes if change > _SAME_SCORE]
    if not changed:
        return ()
    return (
        f"{len(changed)} of {len(changes)} videos have other scores than in the stored run, by up to "
        f"{max(changed):.3f}: their files or readers changed. Metrics are from the stored run; text effects were "
        "recomputed and may differ.",
    )


def _with_paths(store: Store, findings: Findings, root: Path | None) -> Findings:
    """Return findings with the paths of the sample videos, or the reason why they are unknown."""
    settings = settings_of(findings.run)
    folder = root or Path(settings.root or "")
    try:
        video_list = find_videos(store.dataset(findings.run.dataset), folder, split=settings.split)
    except UserError as error:
        return replace(findings, gone=(*findings.gone, f"The videos cannot be shown. {error}"))
    return replace(findings, paths=_shown_paths(findings, video_list.videos))
