"""EfficientNet-Lite2, an ImageNet classifier, from package data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from encoders.towers import best_device

SIZE = 260
# As in tensorflow/tpu, efficientnet/lite: (byte - 127) / 128, and a border of 32 pixels is cut off (CROP_PADDING).
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
# The first block does not expand; timm has a separate class for it, whose layers are numbered differently.
_FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def load_classifier(file: Path) -> Any:
    """Return timm's `tf_efficientnet_lite2` with the weights of a file."""
    import timm

    weights = torch.load(file, map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite2", pretrained=False)
    # timm groups the blocks by stage
    blocks = [f"blocks.{stage}.{block}" for stage, group in enumerate(model.blocks) for block in range(len(group))]
    model.load_state_dict({_timm_name(name, blocks): tensor for name, tensor in weights.items()})
    return model.eval().to(best_device(), memory_format=torch.channels_last)  # twice as fast on a CPU


def _timm_name(name: str, blocks: list[str]) -> str:
    """Return timm's name for a weight of `efficientnet_pytorch` (Melas-Kyriazi); `blocks`: timm's names, in order."""
    if not name.startswith("_blocks."):
        layer, kind = name.split(".")
        return f"{_OUTER[layer]}.{kind}"
    _, block, layer, kind = name.split(".")
    layers = _FIRST_BLOCK if block == "0" else _BLOCK
    return f"{blocks[int(block)]}.{layers[layer]}.{kind}"
