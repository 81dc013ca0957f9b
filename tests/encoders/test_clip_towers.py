"""The towers of CLIP, computed without what their results do not depend on, against those of the package `clip`."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from clip.model import CLIP, ModifiedResNet

from encoders.clip_towers import keep_class_token

TEXT = {"context_length": 77, "vocab_size": 49408, "transformer_width": 64, "transformer_heads": 2}


def clip_with(vision_layers: int | tuple[int, ...], patch: int | None) -> CLIP:
    torch.manual_seed(0)
    model = CLIP(32, 64, vision_layers, 128, patch, transformer_layers=1, **TEXT)
    for parameter in model.visual.parameters():  # random, or nothing but the class token would count
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.mark.parametrize("layers", [1, 3])
def test_the_class_token_is_that_of_the_whole_last_block(layers: int) -> None:
    whole = clip_with(layers, patch=16)
    short = deepcopy(whole)
    keep_class_token(short)
    frames = torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = whole.encode_image(frames)
        torch.testing.assert_close(short.encode_image(frames), expected, rtol=1e-4, atol=1e-5)
        other = frames.clone()
        other[:, :, -16:, -16:] = 0  # the last patch still counts
        assert not torch.allclose(short.encode_image(other), expected, rtol=1e-2, atol=1e-3)


def test_a_resnet_stays_as_it_is() -> None:
    model = clip_with((1, 1, 1, 1), patch=None)
    assert isinstance(model.visual, ModifiedResNet)
    frames = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.encode_image(frames)
        keep_class_token(model)
        assert torch.equal(model.encode_image(frames), expected)
