"""Encoders of texts, and dual ones: frames and texts in one space. One narrow seam; models load only when opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from db.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Preprocessing = Literal["own", "tear"]


class TextEncoder(Protocol):
    """A text tower.

    Attributes:
        id: the name it was opened by, such as `ViT-B/16`, `hf:google/siglip2-base-patch16-224` or `objects`.
        revision: digest of the weights; with `id` it determines every embedding.
        width: D.
        context_length: tokens that a text may have, start and end included; what is over is cut.
    """

    id: str
    revision: str
    width: int
    context_length: int

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [K, D] of texts; float32 on the CPU, not normalised. Too long texts are cut."""
        ...

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in tokens, start and end included, before any cut."""
        ...


class Encoder(TextEncoder, Protocol):
    """An image tower and a text tower that share one space of width D."""

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        """Return frames [T, H, W, 3] (RGB, 0..255) as the image tower's input, float32 [T, 3, S, S].

        `own` is what the encoder's authors do; `tear` resizes the shorter side to S * 256 // 224 (bicubic) and
        cuts the centre S x S, normalised by the encoder's own mean and deviation. Safe to call from threads.
        """
        ...

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Return the embeddings [N, D] of preprocessed frames [N, 3, S, S]; float32 on the CPU, not normalised."""
        ...


# Written down, so that --help and error messages need not import torch; clip.available_models() knows no others.
OPENAI_CLIP = (
    "RN50",
    "RN101",
    "RN50x4",
    "RN50x16",
    "RN50x64",
    "ViT-B/32",
    "ViT-B/16",
    "ViT-L/14",
    "ViT-L/14@336px",
)


def open_encoder(name: str) -> Encoder:
    """Open an encoder by the name that users type.

    Args:
        name: `objects`, one of `OPENAI_CLIP`, a `.pt` file, or `hf:` and a repository or a folder.

    Raises:
        UsageError: nothing goes by that name.
        UserError: its weights are not here and cannot be fetched, or cannot be read.
    """
    for matches, opened in _FORMS:
        if matches(name):
            return opened(name)
    raise UsageError(_unknown(name))


def open_text_encoder(name: str) -> TextEncoder:
    """Open what turns texts alone into vectors: `minilm` (bundled), or the text tower of any encoder.

    Raises:
        UsageError: nothing goes by that name.
        UserError: its weights are not here and cannot be fetched, or cannot be read.
    """
    if name != "minilm":
        return open_encoder(name)
    from encoders.minilm import MiniLM

    return MiniLM.bundled()


def _open_objects(_name: str) -> Encoder:
    from encoders.objects import Objects

    return Objects.bundled()


def _open_published(name: str) -> Encoder:
    from encoders.openai_clip import OpenAIClip

    return OpenAIClip.published(name)


def _open_file(name: str) -> Encoder:
    from encoders.openai_clip import OpenAIClip

    return OpenAIClip.from_file(Path(name).expanduser(), id=name)


def _open_transformers(name: str) -> Encoder:
    from encoders.hub import open_dual_encoder

    return open_dual_encoder(name)


_FORMS: tuple[tuple[Callable[[str], bool], Callable[[str], Encoder]], ...] = (
    (lambda name: name == "objects", _open_objects),
    (lambda name: name in OPENAI_CLIP, _open_published),
    (lambda name: len(name) > len("hf:") and name.startswith("hf:"), _open_transformers),
    (lambda name: name.endswith(".pt") and Path(name).expanduser().is_file(), _open_file),
)


def _unknown(name: str) -> str:
    what = f"There is no file {name}" if name.endswith(".pt") else f"Unknown encoder {name!r}"
    return (
        f"{what}. Known: objects, {', '.join(OPENAI_CLIP)}, a .pt file of openai-clip, "
        "and hf:REPO or hf:FOLDER for any dual encoder of transformers, such as hf:google/siglip2-base-patch16-224"
    )
