"""Random features and texts of a realistic size, which take as long as real ones."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from db.records import Dataset, Descriptor
from db.vocabulary import load
from encoders.testing import FakeEncoder
from recognizer.datasets.find import Video, VideoList
from recognizer.evaluation.controls.controls import controls_of
from recognizer.evaluation.controls.results import ControlSettings, RunControls
from recognizer.evaluation.decided import Possible
from recognizer.evaluation.evaluate import make_run
from recognizer.evaluation.ranking import EmbeddedDataset
from recognizer.evaluation.replay import Replay
from recognizer.evaluation.settings import Settings
from recognizer.evaluation.what_if import WhatIf
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import Features
from recognizer.features.store import FeatureStore
from recognizer.scoring.ensemble import build_ensemble
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.selection import DescriptorChoice


class RandomEncoder(FakeEncoder):
    """An encoder that returns random vectors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def encode_texts(self, texts: Sequence[str]) -> Any:
        """Return random vectors [K, D]."""
        return torch.randn(len(texts), self.width)


def random_embeddings(*, videos: int, frames: int, width: int) -> EmbeddedDataset:
    """Return random features of videos with the classes of UCF101."""
    dataset = load("ucf101")
    entries = tuple(Video(f"v{n}", n % len(dataset.actions), None, (1,)) for n in range(videos))
    features = Features(torch.randn(videos, frames, width), 1, entries, (), {"decord": videos}, new=0)
    video_list = VideoList(videos=entries, layout="synthetic")
    return EmbeddedDataset(dataset, video_list, RandomEncoder(width), features)


def measured_controls(*, permutations: int) -> RunControls:
    """Return the controls of a run of random features and texts as large as UCF101's first test split."""
    embedded, settings = random_embeddings(videos=3783, frames=16, width=512), Settings()
    [descriptors] = descriptors_for(embedded.dataset, [settings]).values()
    descriptors = [replace(text, id=number) for number, text in enumerate(descriptors)]
    ensemble = build_ensemble(embedded.dataset, descriptors, embedded.encoder, settings.wording())
    batch = VideoBatch.of(embedded.features.frames)
    run = make_run(embedded, batch, ensemble, descriptors, settings=settings)
    replayed = Replay(
        run, embedded.dataset, settings, settings.wording(), tuple(descriptors), embedded.features, batch, ensemble
    )
    return controls_of(replayed, embedded.encoder, settings=ControlSettings(permutations))


def edit_seconds(*, edits: int) -> list[float]:
    """Return how long it takes to say what each of some edits does, with the default settings."""
    embedded, settings = random_embeddings(videos=3783, frames=16, width=512), Settings()
    [made] = descriptors_for(embedded.dataset, [settings]).values()
    descriptors = [replace(text, id=number + 1) for number, text in enumerate(made)]
    with tempfile.TemporaryDirectory() as folder, FeatureStore.open(Path(folder)) as store:
        encoder = CachingEncoder(embedded.encoder, store)
        what_if = WhatIf(embedded.dataset, embedded.features, encoder, settings=settings)
        what_if.update(descriptors)
        return [_timed_edit(what_if, descriptors[46 * number].id, f"other words {number}") for number in range(edits)]


def _timed_edit(what_if: WhatIf, descriptor: int, text: str) -> float:
    start = time.perf_counter()
    what_if.effect(Possible("edit", descriptor=descriptor, text=text))
    return time.perf_counter() - start


def descriptors_for(dataset: Dataset, settings: Sequence[Settings]) -> dict[DescriptorChoice, list[Descriptor]]:
    """Return the descriptors of each choice among three steps, a description and three contexts of every class."""
    texts = [("decomposition", 3), ("description", 1), ("context", 3)]
    every = [
        Descriptor(0, action.name, kind, position, f"{kind} {position} of {action.phrase}", "llm", "pending", "x", "0")
        for action in dataset.actions
        for kind, count in texts
        for position in range(count)
    ]
    choices = [each.choice for each in settings]
    return {
        choice: [d for d in every if choice.kinds is None or d.kind in choice.kinds]
        for choice in dict.fromkeys(choices)
    }
