"""Replay a stored run: load its features and encode its texts again, to explain it or to change one thing."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from db.errors import UserError
from db.progress import Progress
from db.records import Dataset, Descriptor, Run
from db.store import Store
from encoders.protocol import LOGIT_SCALE
from recognizer.datasets.find import Video, find_videos
from recognizer.evaluation.ranking import pooled, video_scores
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import Features, embed_videos
from recognizer.scoring.ensemble import Ensemble, build_ensemble, labels_again
from recognizer.scoring.methods import BASELINE
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import Protocol
from recognizer.scoring.selection import DescriptorChoice, descriptors_digest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Replay:
    """A stored run with its V videos, C classes and texts as vectors."""

    run: Run  # with its predictions
    dataset: Dataset
    settings: Settings
    protocol: Protocol  # with the templates that the run used
    descriptors: tuple[Descriptor, ...]  # that the run used, by id; some may be rejected or replaced by now
    features: Features  # of its videos, from the feature store
    batch: VideoBatch  # their views, pooled as in the run
    ensemble: Ensemble  # the texts as vectors

    def scores(self, ensemble: Ensemble | None = None) -> Tensor:
        """Return the scores [V, C] by the run's method, with its own texts or another ensemble."""
        return video_scores(self.features, self.batch, ensemble or self.ensemble, settings=self.settings)

    def label_scores(self) -> Tensor:
        """Return the scores [V, C] by the labels alone, the baseline."""
        settings = replace(self.settings, method=BASELINE)
        return video_scores(self.features, self.batch, self.ensemble.label_only(), settings=settings)


def replay(
    store: Store,
    run: Run,
    encoder: CachingEncoder,
    *,
    root: Path | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Replay:
    """Return a run with its texts and videos.

    Args:
        store: has its texts.
        run: with its predictions.
        encoder: opened by the name in its settings.
        root: folder of the videos, if they were moved since the run.
        on_progress: called with (videos done, videos in all); stored embeddings count as done at once.

    Raises:
        UserError: its texts, classes or encoder have changed, or its videos are missing.
    """
    dataset = store.dataset(run.dataset)
    settings = settings_of(run)
    protocol = wording_of(run, settings)
    descriptors = tuple(store.descriptors_by_id(run.descriptor_ids))
    _refuse_changes(run, dataset, protocol, descriptors, encoder)
    videos = _videos(run, dataset, settings, root)
    features = embed_videos(videos, encoder, sampling=settings.sampling, on_progress=on_progress)
    if features.unreadable:
        video, reason = features.unreadable[0]
        raise UserError(f"{len(features.unreadable)} videos of run {run.id} can no longer be read; {video}: {reason}")
    batch = pooled(features, settings=settings)
    swept_labels = settings.choice.kinds == () and settings.method != BASELINE
    texts = descriptors or (labels_again(dataset, protocol) if swept_labels else [])
    scale = run.settings.get("logit_scale", LOGIT_SCALE)  # older versions took 100 for every encoder
    bias = run.settings.get("logit_bias", 0.0)
    ensemble = replace(build_ensemble(dataset, texts, encoder, protocol), logit_scale=scale, logit_bias=bias)
    return Replay(run, dataset, settings, protocol, descriptors, features, batch, ensemble)


def settings_of(run: Run) -> Settings:
    """Return the choices of a run; those that older versions did not record have their defaults."""
    stored = {field.name: run.settings[field.name] for field in fields(Settings) if field.name in run.settings}
    if choice := stored.pop("choice", None):
        kinds = None if choice["kinds"] is None else tuple(choice["kinds"])
        llm = choice.get("llm")  # of runs before several could be chosen
        llms = (llm,) if llm else tuple(choice.get("llms") or ()) or None
        later = {name: choice[name] for name in ("partial", "texts", "names") if name in choice}
        stored["choice"] = DescriptorChoice(kinds, tuple(choice["statuses"]), llms, **later)
    return Settings(**stored)


def wording_of(run: Run, settings: Settings) -> Protocol:
    """Return the protocol of a run with its recorded templates: a file of templates may have changed since."""
    labels, descriptors = (tuple(run.settings[f"{part}_templates"]) for part in ("label", "descriptor"))
    protocol = replace(settings, templates="protocol").wording()
    return replace(protocol, label_templates=labels, descriptor_templates=descriptors)


def _refuse_changes(
    run: Run, dataset: Dataset, protocol: Protocol, descriptors: tuple[Descriptor, ...], encoder: CachingEncoder
) -> None:
    advice = f"Evaluate again: recognize eval --dataset {shlex.quote(run.dataset)}"
    if [[action.name, protocol.label_text(dataset, action)] for action in dataset.actions] != run.settings["classes"]:
        raise UserError(f"The classes of {run.dataset} changed since run {run.id}. {advice}")
    if descriptors_digest(descriptors) != run.descriptors_sha256:
        missing = len(run.descriptor_ids) - len(descriptors)
        problem = f"{missing} texts of run {run.id} are gone" if missing else f"Texts of run {run.id} have changed"
        raise UserError(f"{problem}. {advice}")
    if encoder.revision != run.settings["encoder_revision"]:
        raise UserError(
            f"Run {run.id} used other weights of {encoder.id} ({run.settings['encoder_revision'][:12]}, "
            f"not {encoder.revision[:12]}). {advice}"
        )
    if dict(encoder.traits.texts_key) != run.settings.get("encoder_texts", {}):
        raise UserError(f"Texts are put into {encoder.id} in another way since run {run.id}. {advice}")


def _videos(run: Run, dataset: Dataset, settings: Settings, root: Path | None) -> list[Video]:
    """Return the videos of a run, in the order in which the folder lists them."""
    folder = root or Path(settings.root or "")
    listed = find_videos(dataset, folder, split=settings.split).videos
    evaluated = {prediction.video for prediction in run.predictions}
    videos = [video for video in listed if video.path and video.id in evaluated]
    if len(videos) < len(evaluated):
        missing = min(evaluated - {video.id for video in videos})
        raise UserError(
            f"{len(evaluated) - len(videos)} of the {len(evaluated)} videos of run {run.id} are not in {folder}, such "
            f"as {missing}. Give the folder that holds them with --root"
        )
    return videos
