"""The protocols of encoders: of texts alone, and of texts in one space with frames or with clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


Preprocessing = Literal["own", "tear"]
Precision = Literal["float32", "bfloat16", "float16"]
LOGIT_SCALE = 100.0  # of CLIP's published models and of TEAR


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What is known of an encoder before its weights load. Your own encoder may have an attribute `traits`, or none.

    Attributes:
        precision: of the weights and of the arithmetic of both towers.
        key: what determines all embeddings besides id and revision, such as the precision, as JSON values; part of the
            key of stored embeddings.
        texts_key: the same for texts alone, such as how texts are changed before they are tokenized.
        label_templates: its default templates of labels, each with `{}`; without any, those of the protocol are used.
        clip_frames: T of an encoder of clips (`ClipEncoder`); None for an encoder of frames. An encoder that can embed
            both frames and clips is used as this says.
        notes: how its numbers differ from published ones, each a sentence; stored with each run, and shown.
    """

    precision: Precision = "float32"
    key: Mapping[str, str] = field(default_factory=dict)
    texts_key: Mapping[str, str] = field(default_factory=dict)
    label_templates: tuple[str, ...] = ()
    clip_frames: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Logits:
    """How cosines become the logits of a model. Your own encoder may have an attribute `logits`, or none.

    Attributes:
        scale: logits are scale * cosine + bias.
        bias: of SigLIP; it is the same for all classes, so that probabilities over classes do not depend on it.
        calibrated: whether the model was trained with this scale; if not, probabilities say little.
    """

    scale: float = LOGIT_SCALE
    bias: float = 0.0
    calibrated: bool = False


def logits_of(encoder: TextEncoder) -> Logits:
    """Return the logits of an encoder; the defaults if it names none."""
    logits: Logits = getattr(encoder, "logits", Logits())
    return logits


def traits_of(encoder: TextEncoder) -> Traits:
    """Return the traits of an encoder; the defaults if it names none."""
    traits: Traits = getattr(encoder, "traits", Traits())
    return traits


class TextEncoder(Protocol):
    """A text tower.

    Attributes:
        id: its name, such as `ViT-B/16`, `hf:google/siglip2-base-patch16-224` or `objects`; for a file or a folder,
            its name without the path.
        revision: digest of the weights; with `id` it determines every embedding.
    """

    id: str
    revision: str

    @property
    def width(self) -> int:
        """The embedding width D."""
        ...

    @property
    def context_length(self) -> int:
        """Largest number of tokens of a text, including start and end; longer texts are cut."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [K, D] of texts; float32 on the CPU, not normalised. Long texts are cut."""
        ...

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in tokens, start and end included, before any cut."""
        ...


class Preprocessor(Protocol):
    """What makes frames the input of an image tower."""

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] (RGB, 0..255) cut to the size of the image tower, uint8 [T, 3, S, S].

        They are normalised by `encode_frames`, on its device. An encoder may do it here and return float32, which takes
        four times the memory; what is compared is the result.

        `own` is the preprocessing of the encoder's authors. `tear` resizes the shorter side to S * 256 // 224
        (bicubic) and cuts the centre S x S; the mean and deviation are the encoder's own. Thread-safe.
        """
        ...


class Encoder(TextEncoder, Preprocessor, Protocol):
    """An image tower and a text tower that share one space of width D."""

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Return the embeddings [N, D] of what `preprocess` returned; float32 on the CPU, not of unit length."""
        ...


class ClipEncoder(TextEncoder, Protocol):
    """A video tower and a text tower that share one space of width D. Its `traits` name T as `clip_frames`."""

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return the frames of one clip as the video tower's input, float32 [T, 3, S, S]; as `Encoder.preprocess`."""
        ...

    def encode_clips(self, clips: Tensor) -> Tensor:
        """Return the embeddings [N, D] of preprocessed clips [N, T, 3, S, S]; float32 on the CPU, not normalised.

        The T frames of a clip are spread over the whole video, one in each of T equal parts.
        """
        ...
