"""Refuse encoders whose vectors are no float32 tensor, or carry nothing: equal, not finite, too long or too short."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from db.errors import UserError
from encoders.protocol import traits_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from encoders.protocol import ClipEncoder, Encoder

# They have the same number of words, so a tokenizer that knows none of these makes the texts equal.
_TEXTS = ("a photo of a dog", "a photo of a bike", "a dog riding a bike")
_SIDE = 64
_DIFFERENT = 0.05  # mean difference of preprocessed frames, in units of about their deviation
_DEVIATION = 64.0  # of the bytes of frames, about

# Norms of vectors that float32 brings to unit norm without loss. Squares overflow from a norm of 1.8e19 on, and sums of
# many frames are squared too; `torch.nn.functional.normalize` divides by 1e-12 at least, and the mean of frames that
# differ is shorter than each of them.
SHORTEST, LONGEST = 1e-8, 1e15


def check_encoder(encoder: Encoder) -> None:
    """Encode three texts and two frames, and refuse the encoder as `check_texts` and `check_frames` do."""
    check_texts(encoder.id, _TEXTS, encoder.encode_texts(_TEXTS))
    pixels = encoder.preprocess(_two_frames())
    check_frames(encoder.id, pixels, encoder.encode_frames(pixels))


def check_clip_encoder(encoder: ClipEncoder) -> None:
    """Encode three texts and two clips of still frames, and refuse the encoder as `check_encoder` does."""
    import numpy as np
    import torch

    check_texts(encoder.id, _TEXTS, encoder.encode_texts(_TEXTS))
    frames = traits_of(encoder).clip_frames or 1
    clips = torch.stack([encoder.preprocess(np.stack([frame] * frames)) for frame in _two_frames()])
    check_frames(encoder.id, clips, encoder.encode_clips(clips), item="clip")


def _two_frames() -> NDArray[np.uint8]:
    """Return a black frame, and one whose upper half and left half have colours of their own."""
    import numpy as np

    frames = np.zeros((2, _SIDE, _SIDE, 3), np.uint8)
    frames[1, : _SIDE // 2, :, 0] = frames[1, :, : _SIDE // 2, 2] = 255
    return frames


def check_texts(name: str, texts: Sequence[str], vectors: Tensor) -> None:
    """Refuse the vectors [K, D] of texts.

    Raises:
        UserError: they are no such tensor, one is not finite, or too long or too short for float32, or all are the
            same though the texts differ in letters or digits.
    """
    _check_form(name, "text", len(texts), vectors)
    _check_norms(name, "text", texts, vectors)
    if len(texts) < 2 or not _all_the_same(vectors):
        return
    if len({" ".join(re.findall(r"\w+", text.lower())) for text in texts}) > 1:
        raise UserError(
            f"{name} gives different texts the same vector, such as {texts[0]!r} and {texts[-1]!r}. Its tokenizer or "
            "its text tower is not what it was trained with; check its files, or take another encoder with --encoder"
        )


def check_frames(name: str, pixels: Tensor, vectors: Tensor, *, item: str = "frame") -> None:
    """Refuse the vectors [N, D] of preprocessed frames [N, 3, S, S], or of clips [N, T, 3, S, S].

    Raises:
        UserError: they are no such tensor, one is not finite, or too long or too short for float32, or all are the
            same though the frames differ clearly.
    """
    _check_form(name, item, len(pixels), vectors)
    _check_norms(name, item, range(len(vectors)), vectors)
    if len(vectors) < 2 or not _all_the_same(vectors):
        return
    unit = 1.0 if pixels.is_floating_point() else _DEVIATION
    if (pixels.float() - pixels[0].float()).abs().flatten(1).mean(dim=1).amax() > _DIFFERENT * unit:
        tower = "video" if item == "clip" else "image"
        raise UserError(
            f"{name} gives different {item}s the same vector. Its {tower} tower or its preprocessing is not what it "
            "was trained with; check its files, or take another encoder with --encoder"
        )


def _all_the_same(vectors: Tensor) -> bool:
    return vectors[-1].equal(vectors[0]) and bool((vectors == vectors[0]).all())


def _check_form(name: str, item: str, count: int, vectors: object) -> None:
    import torch

    if not isinstance(vectors, torch.Tensor):
        given = f"an object of {type(vectors).__module__}.{type(vectors).__qualname__}"
    elif (
        vectors.ndim == 2 and len(vectors) == count and vectors.dtype == torch.float32 and vectors.device.type == "cpu"
    ):
        return
    else:
        given = f"a tensor {list(vectors.shape)} of {vectors.dtype} on {vectors.device}"
    raise UserError(
        f"{name} gives the vectors of {count} {item}s as {given}. An encoder gives a tensor [{count}, D] of "
        "torch.float32 on the CPU"
    )


def _check_norms(name: str, item: str, inputs: Sequence[str | int], vectors: Tensor) -> None:
    """Refuse vectors that are not finite, or whose norms are beyond `SHORTEST` and `LONGEST`, but for zero."""
    from torch.linalg import vector_norm

    norms = vector_norm(vectors, dim=1)  # in float32: takes a twentieth of the time of what follows
    if bool(((norms >= SHORTEST) & (norms <= LONGEST)).all()):
        return
    _check_finite(name, item, inputs, vectors)
    norms = vector_norm(vectors.double(), dim=1)
    wrong = (norms != 0) & ((norms < SHORTEST) | (norms > LONGEST))
    if wrong.any():
        first = int(wrong.int().argmax())
        raise UserError(
            f"{name} gives {int(wrong.sum())} of {len(vectors)} {item}s a vector whose norm is not from {SHORTEST:g} "
            f"to {LONGEST:g}, such as {item} {inputs[first]!r}, {norms[first]:.2g}: float32 cannot compare such "
            "vectors rightly. Multiply all vectors of the encoder by one number, such as 1 divided by a usual norm"
        )


def _check_finite(name: str, item: str, inputs: Sequence[str | int], vectors: Tensor) -> None:
    finite = vectors.isfinite().all(dim=1)
    if not finite.all():
        first = inputs[int(finite.int().argmin())]
        raise UserError(
            f"{name} gives {int((~finite).sum())} of {len(vectors)} {item}s a vector that is not finite, such as "
            f"{item} {first!r}. Its weights are damaged, or its precision is too low: try --precision float32"
        )
