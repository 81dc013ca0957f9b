"""What a run found: by class, by confusion, by video, by text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from db.errors import UserError
from db.progress import Progress
from db.records import Prediction, Run
from db.store import Store
from recognizer.datasets.find import find_videos
from recognizer.evaluation.compare import Comparison, compare
from recognizer.evaluation.replay import Replay, replay, settings_of
from recognizer.features.caching_encoder import open_stored_encoder
from recognizer.report.confusion import Confused, Confusion, confused_pairs, confusion, rival
from recognizer.report.leave_one_out import Pull, pulls, rows_of
from recognizer.scoring.metrics import Rate, wilson

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ClassAccuracy:
    """One class that has videos in a run.

    Attributes:
        label: its index.
        name: the dataset's.
        phrase: its label as a text, as the run worded it.
        videos: evaluated.
        label_only_right: how many of them the label alone ranked first.
        right: how many its label and descriptors did.
        label_only: that share, with its 95% interval (Wilson).
        with_descriptors: likewise.
        difference: with descriptors less by label alone, a share.
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
    """Return the classes that have videos, those first to which descriptors gave most; then by name."""
    videos = Counter(p.label for p in run.predictions)
    label_only = Counter(p.label for p in run.predictions if p.label_only_rank <= 1)
    right = Counter(p.label for p in run.predictions if p.rank <= 1)
    found = [_class(run, label, count, label_only[label], right[label]) for label, count in videos.items()]
    return tuple(sorted(found, key=lambda c: (-c.difference, c.name)))


def classes_without_videos(run: Run) -> tuple[str, ...]:
    """Return the names of the classes of which no video was evaluated, in label order."""
    there = {prediction.label for prediction in run.predictions}
    return tuple(name for label, (name, _) in enumerate(run.settings["classes"]) if label not in there)


def _class(run: Run, label: int, videos: int, label_only: int, right: int) -> ClassAccuracy:
    name, phrase = run.settings["classes"][label]
    rates = wilson(label_only, videos), wilson(right, videos)
    return ClassAccuracy(label, name, phrase, videos, label_only, right, *rates, (right - label_only) / videos)


Sort = Literal["won", "lost", "right", "wrong"]
SORTS: dict[Sort, Callable[[Prediction], bool]] = {
    "won": lambda p: p.rank <= 1 < p.label_only_rank,
    "lost": lambda p: p.label_only_rank <= 1 < p.rank,
    "right": lambda p: p.rank <= 1 and p.label_only_rank <= 1,
    "wrong": lambda p: p.rank > 1 and p.label_only_rank > 1,
}


@dataclass(frozen=True)
class Chosen:
    """A video that was chosen: its sort, and how far the first class leads the second, in units of the score."""

    sort: Sort
    lead: float
    prediction: Prediction


def choose_samples(run: Run, *, count: int) -> tuple[Chosen, ...]:
    """Return up to `count` videos of each sort, in the order of `SORTS`."""
    return tuple(
        chosen
        for sort, belongs in SORTS.items()
        for chosen in _spread(Chosen(sort, _lead(p), p) for p in run.predictions if belongs(p))[:count]
    )


def sizes(run: Run) -> dict[Sort, int]:
    """Return how many videos there are of each sort."""
    return {sort: sum(map(belongs, run.predictions)) for sort, belongs in SORTS.items()}


def _spread(found: Iterable[Chosen]) -> list[Chosen]:
    """Return the largest lead first, but each class's first before any class's second."""
    seen = Counter[int]()
    turns = []
    for chosen in sorted(found, key=lambda c: (-c.lead, c.prediction.video)):
        turns.append((seen[chosen.prediction.label], chosen))
        seen[chosen.prediction.label] += 1
    return [chosen for _, chosen in sorted(turns, key=lambda turn: turn[0])]


def _lead(prediction: Prediction) -> float:
    scores = [score for _, score in prediction.ranking[:2]]
    return scores[0] - scores[1] if len(scores) > 1 else 0.0


PAIRS = 20  # of which the texts are looked at
_TEXTS = 3  # of a pair, that pull to the wrong class
_SAME_SCORE = 1e-3  # scores of cosines: other devices and versions differ by less


@dataclass(frozen=True)
class Pair:
    """Two classes of which the one was taken for the other; attributes of `Confused`, and:

    Attributes:
        label_only_same: how many of the videos the labels alone took for the same wrong class; None where not known.
        texts: those that pull most to the wrong class, the most first; means over the pair's videos.
    """

    confused: Confused
    label_only_same: int | None = None
    texts: tuple[Pull, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A video to look at.

    Attributes:
        chosen: the video, its prediction and why it was chosen.
        rival: label of the best class that is not the true one; None where there is one class.
        lead: of the true class over the rival, in units of the score; None where not known.
        texts: all that moved that lead, the strongest first; None where not known.
    """

    chosen: Chosen
    rival: int | None
    lead: float | None
    texts: tuple[Pull, ...] | None = None


@dataclass(frozen=True)
class Findings:
    """What a report says of a run.

    Attributes:
        run: with its predictions.
        paired: the run against its labels alone.
        classes: those with videos.
        without_videos: names of the others.
        confusion: the matrix.
        pairs: the most confused.
        all_pairs: how many there are.
        samples: videos to look at.
        sizes: videos of each sort that the samples are chosen from.
        gone: what is not there any more and keeps the findings from being whole, and why.
        paths: where the videos of the samples are, by id; those that are there.
    """

    run: Run
    paired: Comparison
    classes: tuple[ClassAccuracy, ...]
    without_videos: tuple[str, ...]
    confusion: Confusion
    pairs: tuple[Pair, ...]
    all_pairs: int
    samples: tuple[Sample, ...]
    sizes: Mapping[Sort, int]
    gone: tuple[str, ...]
    paths: Mapping[str, Path]


def find_out(
    store: Store,
    run: Run,
    *,
    features: Path,
    root: Path | None = None,
    samples: int = 3,
    on_progress: Progress = lambda done, total: None,
) -> Findings:
    """Return what there is to say of a run.

    Args:
        store: where its texts are.
        run: with its predictions.
        features: folder of the feature store.
        root: where its videos are now; None is where they were.
        samples: how many videos of each sort.
        on_progress: told (videos done, videos in all); videos that are in the feature store are done at once.

    Raises:
        UserError: it has no predictions.
    """
    stored = of_stored(run, samples=samples)
    try:
        with open_stored_encoder(run.settings["encoder"], features) as encoder:
            return of_repeated(stored, replay(store, run, encoder, root=root, on_progress=on_progress))
    except UserError as error:
        found = replace(stored, gone=(f"Which texts decided is not known. {error}",))
        return _with_paths(store, found, root)


def of_stored(run: Run, *, samples: int) -> Findings:
    """Return what the predictions of a run say."""
    pairs = confused_pairs(run)
    return Findings(
        run=run,
        paired=compare(run),
        classes=class_accuracies(run),
        without_videos=classes_without_videos(run),
        confusion=confusion(run),
        pairs=tuple(Pair(confused) for confused in pairs[:PAIRS]),
        all_pairs=len(pairs),
        samples=tuple(_sample(chosen) for chosen in choose_samples(run, count=samples)),
        sizes=sizes(run),
        gone=(),
        paths={},
    )


def of_repeated(found: Findings, repeated: Replay) -> Findings:
    """Return the findings with what the texts did, and where the videos are."""
    rows = rows_of(repeated)
    label_only = repeated.scores(repeated.ensemble.label_only())  # [V, C]
    scored = repeated.scores()  # [V, C]
    paths = {video.id: video.path for video in repeated.features.videos if video.path}
    shown = {sample.chosen.prediction.video for sample in found.samples}
    return replace(
        found,
        pairs=tuple(_pair_again(pair, found.run, repeated, rows, label_only) for pair in found.pairs),
        samples=tuple(_sample_again(sample, repeated, rows, scored) for sample in found.samples),
        gone=_drift(found.run, rows, scored),
        paths={video: path for video, path in paths.items() if video in shown},
    )


def _sample(chosen: Chosen) -> Sample:
    ranking = dict(chosen.prediction.ranking)
    if len(ranking) < 2:
        return Sample(chosen, None, None)
    other, true = rival(chosen.prediction), chosen.prediction.label
    return Sample(chosen, other, ranking[true] - ranking[other] if true in ranking else None)


def _sample_again(sample: Sample, repeated: Replay, rows: Mapping[str, int], scored: Tensor) -> Sample:
    if sample.rival is None:
        return sample
    row, true = rows[sample.chosen.prediction.video], sample.chosen.prediction.label
    lead = float(scored[row, true] - scored[row, sample.rival])
    return replace(sample, lead=lead, texts=pulls(repeated, [row], true=true, rival=sample.rival))


def _pair_again(pair: Pair, run: Run, repeated: Replay, rows: Mapping[str, int], label_only: Tensor) -> Pair:
    true, taken = pair.confused.true, pair.confused.predicted
    wrong = [p for p in run.predictions if p.label == true and p.rank > 1 and rival(p) == taken]
    own = [rows[p.video] for p in wrong]
    best = label_only[own].index_fill(1, _labels([true], label_only), float("-inf")).argmax(dim=1).tolist()
    same = sum(label == taken and p.label_only_rank > 1 for label, p in zip(best, wrong, strict=True))
    against = [pull for pull in pulls(repeated, own, true=true, rival=taken) if pull.pull < 0]
    return replace(pair, label_only_same=same, texts=tuple(against[:_TEXTS]))


def _labels(labels: list[int], like: Tensor) -> Tensor:
    import torch

    return torch.tensor(labels, device=like.device)


def _drift(run: Run, rows: Mapping[str, int], scored: Tensor) -> tuple[str, ...]:
    """Return a line where videos score otherwise than they did: files of the same name with other content."""
    moved = [abs(float(scored[rows[p.video], p.ranking[0][0]]) - p.ranking[0][1]) for p in run.predictions]
    other = [change for change in moved if change > _SAME_SCORE]
    if not other:
        return ()
    return (
        f"{len(other)} of {len(moved)} videos score differently than in the run, by up to {max(other):.3f}: their "
        "files or readers have changed. Metrics are from the stored run; text effects were recomputed and may differ.",
    )


def _with_paths(store: Store, found: Findings, root: Path | None) -> Findings:
    """Return findings with the places of the videos of the samples, or why they are not known."""
    settings = settings_of(found.run)
    folder = root or Path(settings.root or "")
    wanted = {sample.chosen.prediction.video for sample in found.samples}
    try:
        listed = find_videos(store.dataset(found.run.dataset), folder, split=settings.split)
    except UserError as error:
        return replace(found, gone=(*found.gone, f"The videos cannot be shown. {error}"))
    return replace(found, paths={v.id: v.path for v in listed.videos if v.path and v.id in wanted})
