"""Encoders of clips give what transformers gives for the same frames and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from db.errors import UserError
from encoders.protocol import traits_of
from encoders.registry import find_encoder
from tests.fixtures.clip_models import (
    VIDEOPRISM_FRAMES,
    XCLIP_FRAMES,
    tiny_videoprism_folder,
    tiny_xclip,
    tiny_xclip_folder,
)

__all__ = ["tiny_videoprism_folder", "tiny_xclip_folder"]  # fixtures

TEXTS = ["a video of a red ball", "green", "A blue ball, rolling"]


def clips(count: int, frames: int) -> Any:
    """Return random clips, uint8 [N, T, 40, 60, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, frames, 40, 60, 3), np.uint8)


def test_xclip_gives_the_vectors_of_transformers(tiny_xclip_folder: Path) -> None:
    from transformers import AutoProcessor, XCLIPModel

    encoder: Any = find_encoder(f"hf:{tiny_xclip_folder}")
    pixels = clips(5, XCLIP_FRAMES)
    found = encoder.encode_clips(torch.stack([encoder.preprocess(clip) for clip in pixels]))
    model, processor = (
        XCLIPModel.from_pretrained(tiny_xclip_folder).eval(),
        AutoProcessor.from_pretrained(tiny_xclip_folder),
    )
    with torch.no_grad():
        for clip, vector in zip(pixels, found, strict=True):
            inputs = processor(videos=list(clip), return_tensors="pt")
            torch.testing.assert_close(vector, model.get_video_features(**inputs).pooler_output[0], atol=1e-5, rtol=0)
        tokens = processor(text=TEXTS, return_tensors="pt", padding=True)
        expected = model.get_text_features(**tokens).pooler_output
    torch.testing.assert_close(encoder.encode_texts(TEXTS), expected, atol=1e-5, rtol=0)
    assert (encoder.width, encoder.context_length) == (32, 77)
    assert encoder.token_counts(["red ball"]) == [4]
    assert encoder.logits.scale == pytest.approx(float(model.logit_scale.exp()))
    assert not encoder.logits.calibrated


def test_xclip_score_is_that_of_its_forward_pass_without_the_prompt_generator_and_only_so(
    tiny_xclip_folder: Path,
) -> None:
    """`forward` changes each text by the video; with its `alpha` at 0 it does not, and the scores agree."""
    from torch.nn.functional import normalize
    from transformers import AutoProcessor

    encoder: Any = find_encoder(f"hf:{tiny_xclip_folder}")
    clip = clips(1, XCLIP_FRAMES)[0]
    vector = encoder.encode_clips(encoder.preprocess(clip).unsqueeze(0))
    ours = normalize(vector, dim=-1) @ normalize(encoder.encode_texts(TEXTS), dim=-1).T * encoder.logits.scale
    processor, model = AutoProcessor.from_pretrained(tiny_xclip_folder), tiny_xclip()
    inputs = processor(text=TEXTS, videos=list(clip), return_tensors="pt", padding=True)
    with torch.no_grad():
        real = model(**inputs).logits_per_video
        model.prompts_generator.alpha.zero_()
        without = model(**inputs).logits_per_video
    torch.testing.assert_close(ours, without, atol=1e-4, rtol=0)
    assert (ours - real).abs().max() > 0.1
    assert "prompt generator" in traits_of(encoder).notes[0]


def test_videoprism_gives_the_vectors_of_transformers(tiny_videoprism_folder: Path) -> None:
    from transformers import AutoProcessor, VideoPrismClipModel

    encoder: Any = find_encoder(f"hf:{tiny_videoprism_folder}")
    pixels = clips(7, VIDEOPRISM_FRAMES)
    found = encoder.encode_clips(torch.stack([encoder.preprocess(clip) for clip in pixels]))
    model = VideoPrismClipModel.from_pretrained(tiny_videoprism_folder).eval()
    processor = AutoProcessor.from_pretrained(tiny_videoprism_folder)
    with torch.no_grad():
        for clip, vector in zip(pixels, found, strict=True):
            inputs = processor(videos=[clip], do_sample_frames=False, return_tensors="pt")
            expected = model.get_video_features(**inputs).pooler_output.flatten()
            torch.testing.assert_close(vector, expected, atol=1e-5, rtol=0)
        tokens = processor(text=TEXTS, max_length=16, return_tensors="pt")
        expected = model.get_text_features(**tokens).pooler_output
    torch.testing.assert_close(encoder.encode_texts(TEXTS), expected, atol=1e-5, rtol=0)
    assert (encoder.width, encoder.context_length) == (32, 16)
    assert traits_of(encoder).notes == ()


@pytest.mark.parametrize(("folder", "frames"), [("tiny_xclip_folder", 4), ("tiny_videoprism_folder", 3)])
def test_traits_need_no_weights_and_agree_with_the_model(
    folder: str, frames: int, request: pytest.FixtureRequest
) -> None:
    encoder: Any = find_encoder(f"hf:{request.getfixturevalue(folder)}")
    assert encoder.traits.clip_frames == frames
    assert encoder._loaded is None
    assert encoder.loaded().traits == encoder.traits


def test_tear_preprocessing_normalises_as_the_model_does(tiny_xclip_folder: Path, tiny_videoprism_folder: Path) -> None:
    """A grey frame has no edges: resized and cut in either way it is the same."""
    grey = np.full((2, 50, 70, 3), (200, 90, 10), np.uint8)
    for folder in (tiny_xclip_folder, tiny_videoprism_folder):
        encoder: Any = find_encoder(f"hf:{folder}")
        own, tear = encoder.preprocess(grey), encoder.preprocess(grey, preprocessing="tear")
        torch.testing.assert_close(own, tear, atol=1e-5, rtol=0)


def test_a_processor_of_another_size_is_refused(tiny_xclip_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    for file in tiny_xclip_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    file = folder / "processor_config.json"
    content = json.loads(file.read_text())
    content["image_processor"]["crop_size"] = {"height": 16, "width": 16}
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="trained with frames of 32 x 32, but the processor in its files makes 16 x 16"):
        find_encoder(f"hf:{folder}").width  # noqa: B018
