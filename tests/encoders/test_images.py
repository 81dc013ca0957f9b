"""Frames are preprocessed without weights: where videos are only decoded, nothing else of an encoder is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from db.errors import UserError
from encoders.images import Images
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


@pytest.mark.parametrize(
    ("settings", "black", "white"),
    [  # of ALIGN: kakaobrain/align-base sets the first; mean and deviation are 0.5
        ({"rescale_offset": True, "rescale_factor": 1 / 127.5, "do_normalize": False, "include_top": False}, -1, 1),
        ({"rescale_offset": True, "rescale_factor": 1 / 127.5, "include_top": False}, -3, 1),
        ({"include_top": True}, -2, 2),
        ({"include_top": False}, -1, 1),
    ],
)
def test_efficientnets_processor_normalises_the_frames_of_tear_as_its_own(
    settings: dict[str, float], black: float, white: float
) -> None:
    from transformers import EfficientNetImageProcessor

    size = {"height": 32, "width": 32}
    processor = EfficientNetImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3, **settings)
    images = Images(processor)
    frames = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (0, 255)])
    for preprocessing in ("own", "tear"):
        pixels = images.preprocess(frames, preprocessing=preprocessing)  # type: ignore[arg-type]
        normalised = images.normalize(pixels) if pixels.dtype == torch.uint8 else pixels
        expected = torch.tensor([black, white]).float().view(2, 1, 1, 1).expand(2, 3, 32, 32)
        torch.testing.assert_close(normalised, expected, atol=1e-5, rtol=0)


def test_a_processor_whose_last_step_is_not_known_has_no_tear() -> None:
    from transformers import CLIPImageProcessor

    class Gamma(CLIPImageProcessor):
        def _preprocess(self, *arguments: Any, **options: Any) -> Any:
            output = super()._preprocess(*arguments, **options)
            output["pixel_values"] = output["pixel_values"] ** 2
            return output

    processor = Gamma(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    images = Images(processor)
    assert torch.equal(images.preprocess(FRAMES), processor(list(FRAMES), return_tensors="pt")["pixel_values"])
    with pytest.raises(UserError, match=r"what Gamma does with values is not known here. Take --protocol default"):
        images.preprocess(FRAMES, preprocessing="tear")
