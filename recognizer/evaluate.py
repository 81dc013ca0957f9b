"""The job: descriptors and videos in, a run with every prediction out."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from db.errors import UserError
from db.records import Dataset, Descriptor, Prediction, Run
from db.store import Store
from encoders import Encoder
from recognizer.datasets import Video, VideoList
from recognizer.ensemble import Ensemble, build_ensemble
from recognizer.features import Features, embed_videos
from recognizer.metrics import accuracy, over_splits, ranks
from recognizer.protocols import protocol_of
from recognizer.scoring import method_of

if TYPE_CHECKING:
    from torch import Tensor

LABEL_ONLY = "label only"
WITH_DESCRIPTORS = "label + descriptors"
_PACKAGES = ("descgen-recognize", "torch", "transformers", "openai-clip", "decord2", "av", "pillow")
_KEPT = 10  # classes of a ranking that are stored; the true one's rank is stored beside them

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Choice:
    """Which descriptors are used.

    Attributes:
        kinds: descriptor kinds; None is all that there are.
        statuses: review statuses.
        llm: part of the name of the model, or of the imported file, that they are from; None where there is one.
            Texts that a person wrote are always taken.
    """

    kinds: tuple[str, ...] | None = None
    statuses: tuple[str, ...] = ("pending", "accepted")
    llm: str | None = None


@dataclass(frozen=True)
class Settings:
    """All choices of an evaluation besides its videos and descriptors; the last three are for the record."""

    encoder: str
    protocol: str = "default"
    method: str = "mean"
    frames: int = 16
    limit: int | None = None
    root: str | None = None
    split: str | None = None
    choice: Choice | None = None


def choose_descriptors(store: Store, dataset: Dataset, choice: Choice) -> list[Descriptor]:
    """Return the descriptors of a choice: at least one of each kind for every class, all from one source.

    Raises:
        UserError: there are none, some are missing, or they are of several LLMs or files and none is chosen.
    """
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
    command = f"descgen build --dataset {dataset.name}"
    if not found and not choice.kinds:
        raise UserError(f"No {what} for {dataset.name}. Write them with: {command}")
    for kind in kinds:
        written = {descriptor.action for descriptor in found if descriptor.kind == kind}
        missing = [action.name for action in dataset.actions if action.name not in written]
        if missing:
            which = ", ".join(missing) if written else f"any (kinds that there are: {', '.join(there) or 'none'})"
            raise UserError(
                f"No {what} of kind {kind} for {len(missing)} of the {len(dataset.actions)} classes of "
                f"{dataset.name}: {which}. Write them with: {command} --kind {kind}"
            )


def evaluate(
    dataset: Dataset,
    videos: VideoList,
    descriptors: Sequence[Descriptor],
    encoder: Encoder,
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
    protocol = protocol_of(settings.protocol)
    ensemble = build_ensemble(dataset, descriptors, encoder, protocol)
    present = _spread([video for video in videos.videos if video.path], settings.limit)
    if not present:
        raise UserError(f"None of the {len(videos.videos)} listed videos of {dataset.name} is there ({videos.layout})")
    features = embed_videos(
        present, encoder, frames=settings.frames, preprocessing=protocol.preprocessing, on_progress=on_progress
    )
    if not features.videos:
        raise UserError(f"None of {len(present)} videos can be read; the first: {': '.join(features.unreadable[0])}")
    scored = _score(features, ensemble, settings.method)
    return Run(
        dataset=dataset.name,
        settings=_settings(settings, dataset, encoder, videos, features, ensemble, descriptors),
        descriptors_sha256=descriptors_digest(descriptors),
        descriptor_ids=tuple(descriptor.id for descriptor in descriptors),
        counts=_counts(videos, present, features),
        left_out=_left_out(videos, features),
        results=_results(features, scored),
        seconds=time.perf_counter() - start,
        predictions=_predictions(features, scored),
    )


def _spread(videos: Sequence[Video], limit: int | None) -> list[Video]:
    """Return `limit` videos evenly spread over the list, so that few videos are not all of the first class."""
    if limit is None or limit >= len(videos):
        return list(videos)
    return [videos[index * len(videos) // limit] for index in range(limit)]


@dataclass(frozen=True)
class _Scored:
    scores: Tensor  # [V, C], with descriptors
    ranks: Mapping[str, Tensor]  # by row of the results: rank of the true class, int64 [V]
    labels: Tensor  # int64 [V]


def _score(features: Features, ensemble: Ensemble, method: str) -> _Scored:
    import torch

    score = method_of(method)
    labels = torch.tensor([video.label for video in features.videos])
    scores = score(features.frames, ensemble)
    baseline = score(features.frames, ensemble.label_only())
    return _Scored(scores, {LABEL_ONLY: ranks(baseline, labels), WITH_DESCRIPTORS: ranks(scores, labels)}, labels)


def _results(features: Features, scored: _Scored) -> dict[str, Any]:
    """Return accuracies by row; where several official splits are evaluated, those of each beside,
    and their mean and deviation.
    """
    import torch

    results: dict[str, Any] = {
        "rows": {name: asdict(accuracy(rank, scored.labels)) for name, rank in scored.ranks.items()}
    }
    splits = sorted({split for video in features.videos for split in video.splits})
    if len(splits) > 1:
        member = {n: torch.tensor([n in video.splits for video in features.videos]) for n in splits}
        results["splits"] = {
            str(n): {
                name: asdict(accuracy(rank[of_split], scored.labels[of_split])) for name, rank in scored.ranks.items()
            }
            for n, of_split in member.items()
        }
        spreads = over_splits(list(results["splits"].values()))
        results["over_splits"] = {row: {key: asdict(each) for key, each in of.items()} for row, of in spreads.items()}
    return results


def _predictions(features: Features, scored: _Scored) -> tuple[Prediction, ...]:
    values, classes = scored.scores.topk(min(_KEPT, scored.scores.shape[1]), dim=1)
    columns = zip(
        features.videos,
        classes.tolist(),
        values.tolist(),
        scored.ranks[WITH_DESCRIPTORS].tolist(),
        scored.ranks[LABEL_ONLY].tolist(),
        strict=True,
    )
    return tuple(
        Prediction(video.id, video.label, tuple(zip(best, score, strict=True)), rank, label_only_rank)
        for video, best, score, rank, label_only_rank in columns
    )


def _counts(videos: VideoList, present: Sequence[Video], features: Features) -> dict[str, int]:
    missing = sum(video.path is None for video in videos.videos)
    return {
        "listed": len(videos.videos),
        "evaluated": len(features.videos),
        "missing": missing,
        "unreadable": len(features.unreadable),
        "beyond the limit": len(videos.videos) - missing - len(present),
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
    settings: Settings,
    dataset: Dataset,
    encoder: Encoder,
    videos: VideoList,
    features: Features,
    ensemble: Ensemble,
    descriptors: Sequence[Descriptor],
) -> dict[str, Any]:
    """Return everything that makes the numbers what they are, and the dataset's classes by label index."""
    import torch

    protocol = protocol_of(settings.protocol)
    return {
        **asdict(settings),
        "encoder_revision": encoder.revision,
        "label_templates": protocol.label_templates,
        "descriptor_templates": protocol.descriptor_templates,
        "preprocessing": protocol.preprocessing,
        "layout": videos.layout,
        "ignored": dict(videos.ignored),
        "kinds": sorted({d.kind for d in descriptors}),
        "statuses": dict(Counter(d.status for d in descriptors)),
        "llms": sorted({writer(d) or d.source for d in descriptors}),
        "texts_cut": ensemble.cut,
        "context_length": encoder.context_length,
        "classes": [[action.name, protocol.label_text(dataset, action)] for action in dataset.actions],
        "readers": dict(features.readers),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "versions": {package: version(package) for package in _PACKAGES},
    }
