"""Any dual encoder of transformers: CLIP, SigLIP, SigLIP 2 (fixed resolution), MetaCLIP, ALIGN ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.errors import UserError
from encoders.forward import encode_frames_in_batches, encode_in_batches
from encoders.pixels import Transform, tear_transform, transform_frames

if TYPE_CHECKING:
    from encoders.protocol import Preprocessing


@dataclass(frozen=True)
class TextInput:
    """How a text tower was trained to see a batch of texts of unequal length."""

    padding: Literal["longest", "max_length"]
    attention_mask: bool


# SigLIP's tower attends to its padding and pools the last position: 64 tokens always, and no mask
# (google-research/big_vision). The tokenizers of transformers 5 return a mask all the same.
_PADDED = TextInput(padding="max_length", attention_mask=False)
_MASKED = TextInput(padding="longest", attention_mask=True)
_TEXT_INPUTS = {"siglip": _PADDED, "siglip2": _PADDED}


class DualEncoder:
    """A model of transformers with an image and a text tower; see the protocol `Encoder`."""

    def __init__(self, model: Any, tokenizer: Any, image_processor: Any, *, id: str, revision: str) -> None:  # noqa: A002
        self.id = id
        self.revision = revision
        self.context_length = _context_length(model, tokenizer)
        self._model = model
        self._tokenizer = tokenizer
        self._image_processor = image_processor
        self._text_input = _TEXT_INPUTS.get(model.config.model_type, _MASKED)
        black = self._own(np.zeros((1, 32, 32, 3), np.uint8))
        self.width = self._checked_width(black)
        self._tear = _tear(image_processor, crop=black.shape[-1])

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] as float32 [T, 3, S, S]."""
        return self._own(frames) if preprocessing == "own" else transform_frames(frames, self._tear)

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Return the embeddings [N, D] of pixels [N, 3, S, S]."""

        def encode(batch: Tensor) -> Tensor:
            return _embeddings(self._model.get_image_features(pixel_values=batch))

        return encode_frames_in_batches(pixels, encode, device=self._model.device)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [K, D] of texts."""
        return encode_in_batches(texts, self._encode, width=self.width)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return the length of each text in tokens, start and end included."""
        if not texts:
            return []
        counted = self._tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in counted["input_ids"]]

    def _encode(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(
            texts,
            padding=self._text_input.padding,
            return_attention_mask=self._text_input.attention_mask,
            return_token_type_ids=False,
            truncation=True,
            max_length=self.context_length,
            return_tensors="pt",
        ).to(self._model.device)
        return _embeddings(self._model.get_text_features(**tokens))

    def _own(self, frames: NDArray[np.uint8]) -> Tensor:
        output = self._image_processor(images=list(frames), input_data_format="channels_last", return_tensors="pt")
        pixels: Tensor = output["pixel_values"]
        return pixels

    def _checked_width(self, black: Tensor) -> int:
        """Return D; a model whose frames are not squares, or whose towers do not meet, is refused."""
        if black.ndim != 4 or black.shape[-1] != black.shape[-2]:
            raise UserError(
                f"{self.id} takes images of varying shape (NaFlex), recognize only squares. "
                "Use a fixed resolution, such as hf:google/siglip2-base-patch16-224"
            )
        frame = self.encode_frames(black)
        with torch.no_grad():
            text = self._encode(["a"])
        if frame.shape != text.shape or text.ndim != 2:
            raise UserError(not_dual(self.id, f"frame {tuple(frame.shape)}, text {tuple(text.shape)}"))
        return text.shape[1]


def not_dual(name: str, what: str) -> str:
    return (
        f"{name} does not embed frames and texts in one space ({what}). Dual encoders are, for example, "
        "hf:openai/clip-vit-base-patch16, hf:google/siglip2-base-patch16-224, hf:facebook/metaclip-b16-400m"
    )


def _context_length(model: Any, tokenizer: Any) -> int:
    # A tokenizer that knows no limit says 1e30; a RoBERTa tower has two positions more than it can use.
    return min(int(model.config.text_config.max_position_embeddings), int(tokenizer.model_max_length))


def _tear(image_processor: Any, *, crop: int) -> Transform:
    return tear_transform(crop=crop, mean=image_processor.image_mean, std=image_processor.image_std)


def _embeddings(output: Any) -> Tensor:
    # transformers 4 returned the tensor itself
    embeddings: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return embeddings
