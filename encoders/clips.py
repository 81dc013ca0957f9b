"""Video models of transformers that embed a whole clip: X-CLIP and VideoPrism."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.errors import UserError
from encoders.checks import check_clip_encoder
from encoders.clip_models import clip_traits
from encoders.protocol import Logits, Traits
from encoders.towers import (
    Transform,
    best_device,
    encode_clips_in_batches,
    encode_in_batches,
    normalizer,
    tear_transform,
    transform_frames,
)
from encoders.transformers import check_tokenizer_files, loading, quiet_transformers
from encoders.whole import OPTIONS as WHOLE
from encoders.whole import whole

if TYPE_CHECKING:
    from encoders.protocol import Precision, Preprocessing


@dataclass(frozen=True)
class _Inputs:
    """How the processor of a family is called.

    Attributes:
        pixels: (processor, frames [T, H, W, 3]) -> the video tower's input, [T, 3, S, S] or with a leading 1.
        argument: the name of that input.
        texts: arguments of the tokenizer, besides the truncation.
    """

    pixels: Callable[[Any, NDArray[np.uint8]], Tensor]
    argument: str
    texts: Mapping[str, Any]


def _image_by_image(processor: Any, frames: NDArray[np.uint8]) -> Tensor:
    # A list of images; VideoMAE's processor, which X-CLIP's repositories name, takes the same list as one video.
    output = processor.image_processor(list(frames), input_data_format="channels_last", return_tensors="pt")
    pixels: Tensor = output["pixel_values"]
    return pixels


def _as_video(processor: Any, frames: NDArray[np.uint8]) -> Tensor:
    video = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2)  # [T, 3, H, W]
    output = processor(videos=[video], do_sample_frames=False, return_tensors="pt")
    pixels: Tensor = output["pixel_values_videos"]
    return pixels


_INPUTS = {  # by model type
    "xclip": _Inputs(_image_by_image, "pixel_values", {"padding": "longest"}),
    # As its processor pads: the class token is after the last of the 64 positions.
    "videoprism": _Inputs(_as_video, "pixel_values_videos", {"padding": "max_length"}),
}


class ClipDualEncoder:
    """A model of transformers with a video and a text tower; see the protocol `ClipEncoder`."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        id: str,  # noqa: A002
        revision: str,
        precision: Precision = "float32",
    ) -> None:
        self.id = id
        self.revision = revision
        self.traits = Traits(precision=precision, **clip_traits(model.config.to_dict()))
        self.context_length = int(model.config.text_config.max_position_embeddings)
        # X-CLIP learns a scale, but for texts that its prompt generator has changed; VideoPrism has none.
        self.logits = Logits()
        if hasattr(model, "logit_scale"):
            self.logits = Logits(scale=float(model.logit_scale.detach().exp()))
        self._inputs = _INPUTS[model.config.model_type]
        self._model = model.to(getattr(torch, precision))  # after the logits, which need all digits
        self._processor = processor
        self._tear_transform, self._normalize = self._measured_transform()
        self.width = self._checked_width()
        check_clip_encoder(self)

    @classmethod
    def load(
        cls,
        model: str,
        *,
        id: str,  # noqa: A002
        revision: str,
        precision: Precision = "float32",
    ) -> ClipDualEncoder:
        """Open a folder, or a repository of the hub at a commit; only files that are not in the cache are downloaded.

        Raises:
            UserError: it cannot be loaded.
        """
        import transformers

        # The revision is ignored for a folder. Code in a repository never runs, and nobody is asked whether it may.
        location = {"pretrained_model_name_or_path": model, "revision": revision, "trust_remote_code": False}
        with quiet_transformers(), loading(id):
            check_tokenizer_files(id, Path(model))
            processor = transformers.AutoProcessor.from_pretrained(**location)
            loaded = transformers.AutoModel.from_pretrained(**location, dtype=torch.float32, **WHOLE)
            towers = whole(id, loaded).eval().to(best_device())
            return cls(towers, processor, id=id, revision=revision, precision=precision)

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        if preprocessing == "own":
            return self._preprocess_own(frames)
        return self._normalize(transform_frames(frames, self._tear_transform))

    def encode_clips(self, clips: Tensor) -> Tensor:
        def encode(batch: Tensor) -> Tensor:
            output = self._model.get_video_features(**{self._inputs.argument: batch.to(self._model.dtype)})
            vectors: Tensor = output.pooler_output
            return vectors.flatten(1)  # VideoPrism gives [N, 1, D]

        return encode_clips_in_batches(clips, encode, device=self._model.device)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return encode_in_batches(texts, self._encode, width=self.width)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        counted = self._processor.tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in counted["input_ids"]]

    def _encode(self, texts: list[str]) -> Tensor:
        tokens = self._processor.tokenizer(
            texts, **self._inputs.texts, truncation=True, max_length=self.context_length, return_tensors="pt"
        ).to(self._model.device)
        inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        vectors: Tensor = self._model.get_text_features(**inputs).pooler_output
        return vectors

    def _preprocess_own(self, frames: NDArray[np.uint8]) -> Tensor:
        pixels = self._inputs.pixels(self._processor, frames)
        return pixels.reshape(len(frames), *pixels.shape[-3:])

    def _measured_transform(self) -> tuple[Transform, Callable[[Tensor], Tensor]]:
        """Return the steps of `tear`; mean and deviation are measured on a black and a white frame."""
        black, white = (self._preprocess_own(np.full((1, 64, 64, 3), value, np.uint8))[0] for value in (0, 255))
        low, high = black.mean(dim=(1, 2)), white.mean(dim=(1, 2))  # [3]: -mean / std, (1 - mean) / std
        std = 1 / (high - low)
        return tear_transform(crop=black.shape[-1]), normalizer(mean=(-low * std).tolist(), std=std.tolist())

    def _checked_width(self) -> int:
        """Return D.

        Raises:
            UserError: its processor does not make the squares that it was trained with, or the towers do not share one
                space.
        """
        trained, frames = self._model.config.vision_config.image_size, self.traits.clip_frames or 1
        pixels = self._preprocess_own(np.zeros((frames, 32, 64, 3), np.uint8))  # [T, 3, S, S]
        if {*pixels.shape[-2:]} != ({trained} if isinstance(trained, int) else {*trained}):
            raise UserError(
                f"{self.id} was trained with frames of {trained} x {trained}, but the processor in its files makes "
                f"{pixels.shape[-2]} x {pixels.shape[-1]}. Set the size in its processor's .json file"
            )
        clip = self.encode_clips(pixels.unsqueeze(0))
        with torch.no_grad():
            text = self._encode(["a"])
        if clip.shape != text.shape:
            raise UserError(
                f"{self.id} does not embed clips and texts in one space (clip {tuple(clip.shape)}, "
                f"text {tuple(text.shape)}). Take another encoder with --encoder"
            )
        return text.shape[1]
