"""Encoders of one's own: registered ones, `module:factory`, and entry points."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from db.errors import UsageError
from db.plugins import check_members, has_member, made_by, plugin
from encoders.protocol import Encoder, TextEncoder, Traits, traits_of

ENTRY_POINTS = "recognizer.encoders"
_TEXTS = {
    "id": "its name",
    "revision": "a text that changes with the weights",
    "width": "the width of its embeddings",
    "context_length": "the largest number of tokens",
    "encode_texts": "texts to embeddings",
    "token_counts": "texts to numbers of tokens",
}
_FRAMES = {"preprocess": "frames to its input", "encode_frames": "its input to embeddings"}
_CLIPS = {"preprocess": "the frames of a clip to its input", "encode_clips": "inputs of clips to embeddings"}
_registered: dict[str, Any] = {}  # by name; looked up before all others


def register(name: str, encoder: TextEncoder) -> None:
    """Register your own encoder under a name; it hides any other encoder of that name."""
    _registered[name] = encoder


def unregister(name: str) -> None:
    """Undo `register`."""
    _registered.pop(name, None)


def registered_encoder(name: str) -> Any:
    """Return the encoder that is registered under a name, or None."""
    return _registered.get(name)


@cache
def plugged_encoder(name: str) -> Any:
    """Return the encoder of an entry point or of `module:factory`, made once; None if the name is neither.

    A factory is called without arguments; what it returns, or an object that is no function, is the encoder.

    Raises:
        UsageError: the name leads nowhere, or to no encoder.
    """
    plugged = plugin(ENTRY_POINTS, name)
    if plugged is None:
        return None
    is_encoder = not isinstance(plugged, type) and hasattr(plugged, "encode_texts")
    encoder = made_by(f"The encoder {name}", plugged) if callable(plugged) and not is_encoder else plugged
    check_texts_of(f"The encoder {name}", encoder)
    return encoder


def check_texts_of(title: str, encoder: object) -> None:
    """Refuse an object that is no text tower: one without its members, or without an identity for the feature store.

    Raises:
        UsageError: something is missing, or its traits are none.
    """
    check_members(title, encoder, _TEXTS)
    traits = traits_of(cast(TextEncoder, encoder))
    if not isinstance(traits, Traits):
        raise UsageError(f"{title} has a {type(traits).__name__} as traits. {_TRAITS}")
    for name in ("id", "revision"):
        value = getattr(encoder, name)
        if not isinstance(value, str) or not value.strip():
            raise UsageError(
                f"{title} has the {name} {value!r}: stored embeddings are found again by id and revision, so both are "
                "texts that are not empty, and revision changes whenever the weights do"
            )


def with_frames(title: str, encoder: Any) -> Encoder:
    """Return an encoder of texts and frames or clips; its traits say which of them.

    Raises:
        UsageError: it is one of texts alone, or its traits do not say how many frames a clip has.
    """
    frames = traits_of(encoder).clip_frames
    if frames is None and has_member(encoder, "encode_clips") and not has_member(encoder, "encode_frames"):
        raise UsageError(f"{title} has encode_clips, but its traits do not say how many frames a clip has. {_TRAITS}")
    if frames is not None and (not isinstance(frames, int) or isinstance(frames, bool) or frames < 1):
        raise UsageError(f"{title} has clips of {frames!r} frames. {_TRAITS}")
    check_members(title, encoder, _FRAMES if frames is None else _CLIPS)
    return cast(Encoder, encoder)


_TRAITS = "Write: traits = encoders.protocol.Traits(clip_frames=T), T a whole number"
