"""Frames are preprocessed without weights: where videos are only decoded, nothing else of an encoder is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from encoders.openai_clip import MEAN, STD
from encoders.protocol import Preprocessing
from encoders.registry import LazyEncoder, find_encoder
from tests.fixtures.multimodal import tiny_qwen3_vl_folder

__all__ = ["tiny_qwen3_vl_folder"]  # fixture

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 90, 120, 3), np.uint8)


@pytest.mark.parametrize("preprocessing", ["own", "tear"])
@pytest.mark.parametrize("fixture", ["tiny_hf_clip_folder", "tiny_siglip2_folder", "tiny_qwen3_vl_folder"])
def test_a_folder_preprocesses_the_same_when_its_weights_are_gone(
    fixture: str, preprocessing: Preprocessing, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    original = request.getfixturevalue(fixture)
    folder = shutil.copytree(original, tmp_path / original.name)
    encoder = find_encoder(str(folder))
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    whole = find_encoder(str(original))
    assert isinstance(whole, LazyEncoder)
    expected = whole.loaded().preprocess(FRAMES, preprocessing=preprocessing)
    assert torch.equal(encoder.preprocess(FRAMES, preprocessing=preprocessing), expected)


@pytest.mark.parametrize(
    ("name", "side"),
    [("ViT-B/16", 224), ("RN50x4", 288), ("RN50x16", 384), ("RN50x64", 448), ("ViT-L/14@336px", 336)],
)
def test_published_models_of_openai_preprocess_as_their_package_before_any_download(name: str, side: int) -> None:
    from clip.clip import _transform

    pixels = find_encoder(name).preprocess(FRAMES)
    own = torch.stack([_transform(side)(Image.fromarray(frame)) for frame in FRAMES])
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    torch.testing.assert_close((pixels / 255 - mean) / std, own)
