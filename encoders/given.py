"""Encoders given as objects, as to `Recognizer`: each gets the name that is its id."""

from __future__ import annotations

from typing import Any

from db.errors import UsageError
from encoders.openai_digests import OPENAI_CLIP
from encoders.own import check_texts_of, register, registered_encoder, with_frames
from encoders.protocol import traits_of
from encoders.registry import reserved_names


def name_of(encoder: object) -> str:
    """Register an encoder object under its id, and return that name.

    Raises:
        UsageError: it is no encoder, or its id is that of another one.
    """
    check_texts_of("The encoder", encoder)
    checked = with_frames("The encoder", encoder)
    name, other = checked.id, registered_encoder(checked.id)
    if name in reserved_names() and checked.revision != OPENAI_CLIP.get(name):
        raise UsageError(f"The encoder has the id {name}, which is that of another encoder. Give it an id of its own")
    if other is not None and _identity(other) != _identity(checked):
        raise UsageError(
            f"An encoder with the id {name} and another revision or key is in use already ({other.revision}, not "
            f"{checked.revision}). Give it an id of its own"
        )
    register(name, checked)
    return name


def _identity(encoder: Any) -> tuple[str, dict[str, str], dict[str, str]]:
    traits = traits_of(encoder)
    return encoder.revision, dict(traits.key), dict(traits.texts_key)
