"""A stored run once more, with all that its numbers were made from: for reports, and for asking what would be if."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from db.errors import UserError
from db.records import Dataset, Descriptor, Run
from db.store import Store
from recognizer.datasets.find import Split, Video, find_videos
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import StoredEncoder
from recognizer.features.embed import Features, Progress, embed_videos
from recognizer.scoring.ensemble import Ensemble, build_ensemble, labels_again
from recognizer.scoring.methods import scores
from recognizer.scoring.pooling import Videos
from recognizer.scoring.protocols import Protocol
from recognizer.scoring.selection import Choice, descriptors_digest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Replay:
    """A run with its V videos and C classes as they were.

    Attributes:
        run: as it was stored, with its predictions.
        dataset: its classes.
        settings: its choices.
        protocol: its wording, with the templates that it used.
        descriptors: the texts that it used, in the order of their ids, in use now or not.
        features: of its videos, from the feature store.
        batch: their views, pooled as the run did.
        ensemble: the texts as vectors.
    """

    run: Run
    dataset: Dataset
    settings: Settings
    protocol: Protocol
    descriptors: tuple[Descriptor, ...]
    features: Features
    batch: Videos
    ensemble: Ensemble

    def scores(self, ensemble: Ensemble | None = None) -> Tensor:
        """Return the scores [V, C] by the run's method: of its texts, or of others."""
        method, temperature = self.settings.method, self.settings.temperature
        of_views = scores(self.batch, ensemble or self.ensemble, method=method, temperature=temperature)
        return self.features.over_views(of_views)


def replay(
    store: Store,
    run: Run,
    encoder: StoredEncoder,
    *,
    root: Path | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Replay:
    """Return a run with its texts and videos.

    Args:
        store: where its texts are.
        run: with its predictions.
        encoder: opened by the name in its settings.
        root: where the videos are now; None is where they were.
        on_progress: told (videos done, videos in all); videos that are in the feature store are done at once.

    Raises:
        UserError: its texts, its classes or its encoder are no longer what they were, or its videos are not there.
    """
    dataset = store.dataset(run.dataset)
    settings = settings_of(run)
    protocol = _protocol(run, settings)
    descriptors = tuple(store.readings().by_id(run.descriptor_ids))
    _refuse_changes(run, dataset, protocol, descriptors, encoder)
    videos = _videos(run, dataset, settings, root)
    features = embed_videos(videos, encoder, sampling=settings.sampling, on_progress=on_progress)
    if features.unreadable:
        video, reason = features.unreadable[0]
        raise UserError(f"{len(features.unreadable)} videos of run {run.id} can no longer be read; {video}: {reason}")
    batch = Videos.of(features.frames, pooling=settings.pooling)
    ensemble = build_ensemble(dataset, descriptors or _labels(dataset, settings, protocol), encoder, protocol)
    return Replay(run, dataset, settings, protocol, descriptors, features, batch, ensemble)


def settings_of(run: Run) -> Settings:
    """Return the choices of a run; what runs of older versions do not say is as it was then."""
    fields = {name: run.settings[name] for name in Settings.__dataclass_fields__ if name in run.settings}
    if chosen := fields.pop("choice", None):
        kinds = chosen["kinds"]
        choice = Choice(None if kinds is None else tuple(kinds), tuple(chosen["statuses"]), chosen["llm"])
        fields["choice"] = choice
    return Settings(**fields)


def _labels(dataset: Dataset, settings: Settings, protocol: Protocol) -> list[Descriptor]:
    swept = settings.choice.kinds == () and settings.method != "label"
    return labels_again(dataset, protocol) if swept else []


def _protocol(run: Run, settings: Settings) -> Protocol:
    """Return the wording of a run; a file of templates may say something else by now."""
    labels, descriptors = (tuple(run.settings[f"{of}_templates"]) for of in ("label", "descriptor"))
    wording = replace(settings, templates="protocol").wording()
    return replace(wording, label_templates=labels, descriptor_templates=descriptors)


def _refuse_changes(
    run: Run, dataset: Dataset, protocol: Protocol, descriptors: tuple[Descriptor, ...], encoder: StoredEncoder
) -> None:
    again = f"Measure it anew: recognize eval --dataset {run.dataset}"
    if [[action.name, protocol.label_text(dataset, action)] for action in dataset.actions] != run.settings["classes"]:
        raise UserError(f"The classes of {run.dataset} changed since run {run.id}. {again}")
    if descriptors_digest(descriptors) != run.descriptors_sha256:
        gone = len(run.descriptor_ids) - len(descriptors)
        what = f"{gone} texts of run {run.id} are no longer there" if gone else f"Texts of run {run.id} changed since"
        raise UserError(f"{what}. {again}")
    if encoder.revision != run.settings["encoder_revision"]:
        raise UserError(
            f"Run {run.id} used other weights of {encoder.id} ({run.settings['encoder_revision'][:12]}, "
            f"not {encoder.revision[:12]}). {again}"
        )


def _videos(run: Run, dataset: Dataset, settings: Settings, root: Path | None) -> list[Video]:
    """Return the videos of a run, in the order in which the folder lists them."""
    folder = root or Path(settings.root or "")
    found = find_videos(dataset, folder, split=cast(Split | None, settings.split))
    wanted = {prediction.video for prediction in run.predictions}
    videos = [video for video in found.videos if video.path and video.id in wanted]
    if len(videos) < len(wanted):
        lost = min(wanted - {video.id for video in videos})
        raise UserError(
            f"{len(wanted) - len(videos)} of the {len(wanted)} videos of run {run.id} are not in {folder}, such as "
            f"{lost}. Give the folder that holds them with --root"
        )
    return videos
