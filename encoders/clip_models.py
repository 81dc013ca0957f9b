"""Which models of transformers embed whole clips, and what is known of each without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ClipModel:
    """A family of video models with a text tower in the same space.

    Attributes:
        frames: T of a clip, where the configuration does not name it.
        notes: how its numbers differ from those that its authors published; stored with each run.
    """

    frames: int
    notes: tuple[str, ...] = ()


CLIP_MODELS: Mapping[str, ClipModel] = {  # by model type
    "xclip": ClipModel(
        frames=8,
        notes=(
            "X-CLIP's own score changes each text by the video before they are compared (its prompt generator). Here "
            "texts are compared as its text tower gives them: scores and accuracy are not those of the paper",
        ),
    ),
    "videoprism": ClipModel(frames=16),
}


def clip_traits(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Traits` of a model that embeds clips, by its `config.json`; empty for other models."""
    model = CLIP_MODELS.get(str(config.get("model_type")))
    if model is None:
        return {}
    # Older files of X-CLIP have a second dictionary, which takes precedence.
    vision = {**(config.get("vision_config") or {}), **(config.get("vision_config_dict") or {})}
    return {"clip_frames": int(vision.get("num_frames", model.frames)), "notes": model.notes}
