"""Multimodal embedders of sentence-transformers that take videos as they are, such as Qwen3-VL-Embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from db.errors import UserError
from encoders.checks import check_clip_encoder
from encoders.multimodal_names import Source
from encoders.protocol import Logits
from encoders.towers import FRAMES_PER_FORWARD, Squares, best_device
from encoders.transformers import loading, quiet_transformers
from encoders.whole import whole_models

if TYPE_CHECKING:
    from encoders.protocol import Precision, Preprocessing

_ABSENT = "{name} needs sentence-transformers. Run: pip install 'descgen-recognize[sentence-transformers]'"
_NO_VIDEOS = (
    "{name} embeds {modalities}, not videos and texts in one space. Dual encoders of images: --encoder hf:REPO; "
    "embedders of videos are, for example, st:Qwen/Qwen3-VL-Embedding-2B"
)
_TEXTS_PER_FORWARD = 32
# Without sampling by the model's processor: the frames were chosen before.
_ALL_FRAMES = {"video": {"do_sample_frames": False}}
_UNCUT = {"text": {"truncation": False}}


class MultimodalEncoder:
    """A model of sentence-transformers that embeds texts and videos; see the protocol `ClipEncoder`."""

    def __init__(self, model: Any, source: Source, *, precision: Precision = "float32") -> None:
        self.id = source.id
        self.revision = source.revision
        self.traits = source.traits(precision)
        self.logits = Logits()  # the files of these models hold no learned scale
        self._squares = Squares(source.side)
        self._texts, self._videos = source.instructions["texts"], source.instructions["videos"]
        self._model = model
        if not {"text", "video"} <= set(model.modalities):
            modalities = ", ".join(map(str, model.modalities))
            raise UserError(_NO_VIDEOS.format(name=self.id, modalities=modalities))
        # A tokenizer without a limit says 1e30.
        self.context_length = min(int(model.max_seq_length or 1 << 30), 1 << 30)
        self.width = int(self.encode_texts(["a"]).shape[1])
        check_clip_encoder(self)

    @classmethod
    def load(cls, source: Source, *, precision: Precision = "float32") -> MultimodalEncoder:
        """Open a folder, or a repository of the hub at a commit. Code in it never runs.

        Raises:
            UserError: sentence-transformers is absent, the model cannot be loaded, or it takes no videos.
        """
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise UserError(_ABSENT.format(name=source.id)) from error
        with quiet_transformers(), loading(source.id), whole_models(source.id):
            model = SentenceTransformer(
                source.model, revision=source.revision, trust_remote_code=False, device=best_device(),
                model_kwargs={"dtype": getattr(torch, precision)},
            ).eval()  # fmt: skip
            _settle_pixels(model)
            return cls(model, source, precision=precision)

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return squares; the model's processor resizes and normalises them as it always does."""
        return self._squares.preprocess(frames, preprocessing=preprocessing)

    def encode_clips(self, clips: Tensor) -> Tensor:
        frames = clips.shape[1]
        # Without metadata the processor would assume 24 frames a second.
        metadata = {"fps": 2.0, "total_num_frames": frames, "frames_indices": list(range(frames))}
        videos = [{"array": clip.numpy(), "video_metadata": metadata} for clip in clips]
        at_once = max(1, FRAMES_PER_FORWARD.get(self._model.device.type, 16) // frames)
        return self._encode(videos, self._videos, at_once, processing_kwargs=_ALL_FRAMES, task="document")

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        if not texts:
            return torch.empty(0, self.width)
        return self._encode(list(texts), self._texts, _TEXTS_PER_FORWARD, task="query")

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in tokens, with the instruction and the frame of the chat, before any cut."""
        counted = (self._model.preprocess([text], prompt=self._texts, processing_kwargs=_UNCUT) for text in texts)
        return [int(tokens["attention_mask"].sum()) for tokens in counted]

    def _encode(self, inputs: list[Any], instruction: str, at_once: int, **options: Any) -> Tensor:
        with torch.no_grad():
            vectors: Tensor = self._model.encode(
                inputs, prompt=instruction, batch_size=at_once, show_progress_bar=False, convert_to_tensor=True,
                **options,
            )  # fmt: skip
        return vectors.clone().float().cpu()  # a copy that is no inference tensor


def _settle_pixels(model: Any) -> None:
    """Leave the pixels of frames uncapped, unless the model's files say otherwise.

    transformers announces that it will cap them by default: vectors would change under the same key.
    """
    videos: Any = getattr(getattr(model, "processor", None), "video_processor", None)
    if hasattr(videos, "cap_pixels_per_frame"):
        stated = videos.cap_pixels_per_frame != type(videos).cap_pixels_per_frame
        videos.cap_pixels_per_frame = stated and videos.cap_pixels_per_frame
