"""The job: descriptors and videos in, a run with every prediction out."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from db.errors import UserError
from db.records import Dataset, Descriptor, Prediction, Run
from db.store import Store
from encoders import Encoder
from recognizer.datasets import VideoList
from recognizer.ensemble import Ensemble, build_ensemble
from recognizer.features import Features, Progress, embed_videos, spread
from recognizer.metrics import accuracy, log_loss, over_splits, ranks
from recognizer.protocols import Protocol, protocol_of
from recognizer.scoring import log_probabilities, method_of, scores
from recognizer.stored_encoder import StoredEncoder
from recognizer.videos import Pooling, Videos
from recognizer.views import Sampling

if TYPE_CHECKING:
    from torch import Tensor

LABEL_ONLY = "label only"
WITH_DESCRIPTORS = "label + descriptors"
_PACKAGES = ("descgen-recognize", "torch", "transformers", "openai-clip", "decord2", "av", "pillow")
_KEPT = 10  # classes of a ranking that are stored; the true one's rank is stored beside them


@dataclass(frozen=True)
class Choice:
    """Which descriptors are used.

    Attributes:
        kinds: descriptor kinds; None is all that there are, () is none: labels alone.
        statuses: review statuses.
        llm: part of the name of the model, or of the imported file, that they are from; None where there is one.
            Texts that a person wrote are always taken.
    """

    kinds: tuple[str, ...] | None = None
    statuses: tuple[str, ...] = ("pending", "accepted")
    llm: str | None = None


@dataclass(frozen=True)
class Settings:
    """All choices of an evaluation besides its videos and descriptors; the last three are for the record.

    Attributes:
        templates: a name or file for `protocols.templates_of`, or `protocol` for the protocol's own.
        condition: whether the label stands before each descriptor.
        pooling: of frames; see `Videos`.
        temperature: of method `soft`, and of the probabilities of any.
    """

    encoder: str
    protocol: str = "default"
    method: str = "mean"
    frames: int = 16
    clips: int = 1
    crops: int = 1
    pooling: Pooling = "avg"
    templates: str = "protocol"
    condition: bool = False
    temperature: float = 1.0
    limit: int | None = None
    root: str | None = None
    split: str | None = None
    choice: Choice | None = None

    def check(self) -> None:
        """Raise UsageError or UserError where a name is not known, or a file of templates is none."""
        method_of(self.method)
        self.wording()

    def wording(self) -> Protocol:
        """Return the protocol with the templates and the conditioning chosen."""
        return protocol_of(self.protocol, templates=self.templates, condition=self.condition)

    @property
    def sampling(self) -> Sampling:
        """Which frames and views of a video the protocol looks at."""
        return Sampling(self.frames, self.clips, self.crops, protocol_of(self.protocol).preprocessing)


def choose_descriptors(store: Store, dataset: Dataset, choice: Choice) -> list[Descriptor]:
    """Return the descriptors of a choice: at least one of each kind for every class, all from one source.

    Raises:
        UserError: there are none, some are missing, or they are of several LLMs or files and none is chosen.
    """
    if choice.kinds == ():
        return []
    everything = store.descriptors(dataset, statuses=choice.statuses)
    found = [d for d in everything if choice.kinds is None or d.kind in choice.kinds]
    if choice.llm:
        found = [d for d in found if (wrote := writer(d)) is None or choice.llm.lower() in wrote.lower()]
    _refuse_mixtures(found)
    kinds = choice.kinds or sorted({descriptor.kind for descriptor in found})
    _refuse_gaps(dataset, choice, kinds, found, there=sorted({descriptor.kind for descriptor in everything}))
    return found


def writer(descriptor: Descriptor) -> str | None:
    """Return the model, or the imported file, that a descriptor is from; None where a person wrote it."""
    return descriptor.llm or descriptor.origin


def _refuse_mixtures(found: Sequence[Descriptor]) -> None:
    """Refuse texts of several models, or of several files for one kind: what they gain could be told of neither."""
    models = {descriptor.llm or "an import" for descriptor in found if writer(descriptor)}
    files: dict[str, set[str]] = {}
    for descriptor in found:
        if descriptor.origin and not descriptor.llm:
            files.setdefault(descriptor.kind, set()).add(descriptor.origin)
    mixed = sorted({name for of_kind in files.values() if len(of_kind) > 1 for name in of_kind})
    if len(models) > 1 or mixed:
        names = mixed if len(models) == 1 else sorted({wrote for d in found if (wrote := writer(d))})
        raise UserError(
            f"Descriptors of several sources: {', '.join(names)}. Choose one with --llm, by part of its name"
        )


def _refuse_gaps(
    dataset: Dataset, choice: Choice, kinds: Sequence[str], found: Sequence[Descriptor], *, there: Sequence[str]
) -> None:
    """Refuse classes without descriptors of a kind: their score would be made in another way than the others'."""
    what = f"{' and '.join(choice.statuses)} descriptors" + (f" by {choice.llm}" if choice.llm else "")
    command = f"Write them with: descgen build --dataset {dataset.name}"
    if choice.statuses == ("accepted",):
        command = f"Accept them with: descgen accept --dataset {dataset.name} --all"
    if not found and not choice.kinds:
        raise UserError(f"No {what} for {dataset.name}. {command}")
    for kind in kinds:
        written = {descriptor.action for descriptor in found if descriptor.kind == kind}
        missing = [action.name for action in dataset.actions if action.name not in written]
        if missing:
            which = ", ".join(missing) if written else f"any (kinds that there are: {', '.join(there) or 'none'})"
            raise UserError(
                f"No {what} of kind {kind} for {len(missing)} of the {len(dataset.actions)} classes of "
                f"{dataset.name}: {which}. {command} --kind {kind}"
            )


def evaluate(
    dataset: Dataset,
    videos: VideoList,
    descriptors: Sequence[Descriptor],
    encoder: StoredEncoder,
    *,
    settings: Settings,
    on_progress: Progress = lambda done, total: None,
) -> Run:
    """Classify the videos of a dataset with its labels alone and with its descriptors.

    Args:
        dataset: C classes.
        videos: what was found; those not on disk are counted as missing.
        descriptors: at least one for each class.
        encoder: opened by `settings.encoder`.
        settings: everything else.
        on_progress: told (videos done, videos in all).

    Raises:
        UserError: no video is on disk, or none of them can be read.
    """
    start = time.perf_counter()
    ensemble = build_ensemble(dataset, descriptors, encoder, settings.wording())
    embedded = embed(dataset, videos, encoder, settings=settings, on_progress=on_progress)
    seen = Videos.of(embedded.features.frames, pooling=settings.pooling)
    run = run_of(embedded, seen, ensemble, descriptors, settings=settings)
    return replace(run, seconds=time.perf_counter() - start)


@dataclass(frozen=True)
class Embedded:
    """The videos of a dataset as an encoder sees them: all that evaluations of other texts and methods share."""

    dataset: Dataset
    videos: VideoList
    encoder: Encoder
    features: Features


def embed(
    dataset: Dataset,
    videos: VideoList,
    encoder: StoredEncoder,
    *,
    settings: Settings,
    on_progress: Progress = lambda done, total: None,
) -> Embedded:
    """Embed those of the videos that are on disk, up to the limit.

    Raises:
        UserError: no video is on disk, or none of them can be read.
    """
    present = spread([video for video in videos.videos if video.path], settings.limit)
    if not present:
        raise UserError(f"None of the {len(videos.videos)} listed videos of {dataset.name} is there ({videos.layout})")
    features = embed_videos(present, encoder, sampling=settings.sampling, on_progress=on_progress)
    if not features.videos:
        raise UserError(f"None of {len(present)} videos can be read; the first: {': '.join(features.unreadable[0])}")
    return Embedded(dataset, videos, encoder, features)


@dataclass(frozen=True)
class Ranked:
    """What one set of texts made of V videos.

    Attributes:
        scores: [V, C].
        ranks: of the true class, int64 [V].
        log_loss: see `metrics.log_loss`.
    """

    scores: Tensor
    ranks: Tensor
    log_loss: float


def ranked(embedded: Embedded, seen: Videos, ensemble: Ensemble, *, settings: Settings) -> Ranked:
    """Return the ranks of the true classes; arguments as in `run_of`."""
    of_views = scores(seen, ensemble, method=settings.method, temperature=settings.temperature)
    scored = embedded.features.over_views(of_views)
    labels = _labels(embedded.features)
    loss = log_loss(log_probabilities(scored, temperature=settings.temperature), labels)
    return Ranked(scored, ranks(scored, labels), loss)


def run_of(
    embedded: Embedded,
    seen: Videos,
    ensemble: Ensemble,
    descriptors: Sequence[Descriptor],
    *,
    settings: Settings,
    baseline: Ranked | None = None,
    with_predictions: bool = True,
) -> Run:
    """Return the run of one choice of texts and method; its seconds are those of the scoring.

    Args:
        embedded: V videos of W views.
        seen: their V * W views, pooled as the settings say.
        ensemble: the texts of the descriptors, worded as the settings say.
        descriptors: for the record.
        settings: the method, and everything else for the record.
        baseline: the labels alone, where they are known already.
        with_predictions: whether the run keeps every prediction.
    """
    start = time.perf_counter()
    of_labels = baseline or ranked(embedded, seen, ensemble.label_only(), settings=settings)
    rows = {LABEL_ONLY: of_labels, WITH_DESCRIPTORS: ranked(embedded, seen, ensemble, settings=settings)}
    return Run(
        dataset=embedded.dataset.name,
        settings=_settings(settings, embedded, ensemble, descriptors),
        descriptors_sha256=descriptors_digest(descriptors),
        descriptor_ids=tuple(descriptor.id for descriptor in descriptors),
        counts=_counts(embedded.videos, embedded.features),
        left_out=_left_out(embedded.videos, embedded.features),
        results=_results(embedded.features, rows),
        seconds=time.perf_counter() - start,
        predictions=_predictions(embedded.features, rows) if with_predictions else (),
    )


def _labels(features: Features) -> Tensor:
    import torch

    return torch.tensor([video.label for video in features.videos])


def _results(features: Features, rows: Mapping[str, Ranked]) -> dict[str, Any]:
    """Return accuracies by row; where several official splits are evaluated, those of each beside,
    and their mean and deviation.
    """
    import torch

    labels = _labels(features)
    results: dict[str, Any] = {
        "rows": {name: asdict(accuracy(row.ranks, labels)) for name, row in rows.items()},
        "log_loss": {name: row.log_loss for name, row in rows.items()},
    }
    splits = sorted({split for video in features.videos for split in video.splits})
    if len(splits) > 1:
        member = {n: torch.tensor([n in video.splits for video in features.videos]) for n in splits}
        results["splits"] = {
            str(n): {name: asdict(accuracy(row.ranks[of_split], labels[of_split])) for name, row in rows.items()}
            for n, of_split in member.items()
        }
        spreads = over_splits(list(results["splits"].values()))
        results["over_splits"] = {row: {key: asdict(each) for key, each in of.items()} for row, of in spreads.items()}
    return results


def _predictions(features: Features, rows: Mapping[str, Ranked]) -> tuple[Prediction, ...]:
    scored = rows[WITH_DESCRIPTORS].scores
    values, classes = scored.topk(min(_KEPT, scored.shape[1]), dim=1)
    columns = zip(
        features.videos,
        classes.tolist(),
        values.tolist(),
        rows[WITH_DESCRIPTORS].ranks.tolist(),
        rows[LABEL_ONLY].ranks.tolist(),
        strict=True,
    )
    return tuple(
        Prediction(video.id, video.label, tuple(zip(best, score, strict=True)), rank, label_only_rank)
        for video, best, score, rank, label_only_rank in columns
    )


def _counts(videos: VideoList, features: Features) -> dict[str, int]:
    missing = sum(video.path is None for video in videos.videos)
    tried = len(features.videos) + len(features.unreadable)
    return {
        "listed": len(videos.videos),
        "evaluated": len(features.videos),
        "missing": missing,
        "unreadable": len(features.unreadable),
        "beyond the limit": len(videos.videos) - missing - tried,
        "ignored files": sum(videos.ignored.values()),
    }


def _left_out(videos: VideoList, features: Features) -> tuple[tuple[str, str], ...]:
    missing = tuple((video.id, "missing") for video in videos.videos if video.path is None)
    return (*features.unreadable, *missing)


def descriptors_digest(descriptors: Sequence[Descriptor]) -> str:
    """Return the sha256 over the ids and texts of descriptors: the same texts in the same rows, the same digest."""
    lines = "\n".join(f"{d.id}\t{d.text}" for d in sorted(descriptors, key=lambda d: d.id))
    return hashlib.sha256(lines.encode()).hexdigest()


def _settings(
    settings: Settings, embedded: Embedded, ensemble: Ensemble, descriptors: Sequence[Descriptor]
) -> dict[str, Any]:
    """Return everything that makes the numbers what they are, and the dataset's classes by label index."""
    import torch

    protocol, dataset, encoder = settings.wording(), embedded.dataset, embedded.encoder
    return {
        **asdict(settings),
        "encoder_revision": encoder.revision,
        "label_templates": protocol.label_templates,
        "descriptor_templates": protocol.descriptor_templates,
        "preprocessing": protocol.preprocessing,
        "layout": embedded.videos.layout,
        "ignored": dict(embedded.videos.ignored),
        "kinds": sorted({d.kind for d in descriptors}),
        "statuses": dict(Counter(d.status for d in descriptors)),
        "edited": sum(d.edited_from is not None for d in descriptors),
        "llms": sorted({writer(d) or d.source for d in descriptors}),
        "texts_cut": ensemble.cut,
        "context_length": encoder.context_length,
        "classes": [[action.name, protocol.label_text(dataset, action)] for action in dataset.actions],
        "readers": dict(embedded.features.readers),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "versions": _versions(),
    }


@cache
def _versions() -> dict[str, str]:
    return {package: version(package) for package in _PACKAGES}
