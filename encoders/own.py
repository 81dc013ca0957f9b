"""Encoders of one's own: registered ones, `module:factory`, and entry points."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from db.errors import UsageError
from db.plugins import check_members, made_by, plugin
from encoders.protocol import Encoder, TextEncoder

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
        UsageError: something is missing.
    """
    check_members(title, encoder, _TEXTS)
    for name in ("id", "revision"):
        value = getattr(encoder, name)
        if not isinstance(value, str) or not value.strip():
            raise UsageError(
                f"{title} has the {name} {value!r}: stored embeddings are found again by id and revision, so both are "
                "texts that are not empty, and revision changes whenever the weights do"
            )


def with_frames(title: str, encoder: Any) -> Encoder:
    """Return an encoder of texts and frames or clips; refuse one of texts alone."""
    if not hasattr(type(encoder), "encode_clips"):
        check_members(title, encoder, _FRAMES)
    return cast(Encoder, encoder)
