"""Frames of a video to one vector, against loops over frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recognizer.scoring.methods import METHODS, scores
from recognizer.scoring.pooling import VideoBatch
from tests.fixtures.texts import dataset, descriptors, ensemble, frames

__all__ = ["dataset", "descriptors", "ensemble", "frames"]  # fixtures


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_unit_frames_are_brought_to_length_1_before_pooling(pooling: str, frames: Tensor) -> None:
    expected = []
    for video in frames.numpy():
        of_length_1 = [frame / np.sqrt((frame**2).sum()) for frame in video]
        vector = sum(of_length_1) if pooling == "avg" else np.max(of_length_1, axis=0)
        expected.append(vector / np.sqrt((vector**2).sum()))
    found = VideoBatch.of(frames, pooling=pooling, unit_frames=True)  # type: ignore[arg-type]
    assert np.allclose(found.pooled.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_with_unit_frames_the_length_of_a_frame_changes_nothing(method: str, frames: Tensor, ensemble: object) -> None:
    longer = frames.clone()
    longer[:, 2] *= 50
    one, other = (
        scores(VideoBatch.of(f, unit_frames=True), ensemble, method=method)  # type: ignore[arg-type]
        for f in (frames, longer)
    )
    assert torch.allclose(one, other, atol=1e-6)
    assert not torch.allclose(VideoBatch.of(frames).pooled, VideoBatch.of(longer).pooled, atol=0.01)
