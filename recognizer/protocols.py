"""Protocols: named sets of all choices that change a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from db.errors import UsageError
from db.records import Action, Dataset
from db.vocabulary import tear_name
from encoders import Preprocessing

# The templates in TEAR's arithmetic (arXiv 2408.16412), first published with ActionCLIP: constants of the method,
# odd spaces included.
TEAR_TEMPLATES = (
    "a photo of action  {}",
    "a picture of action {}",
    "Human action of {}",
    " {}, an action",
    " {} this is an action",
    " {}, a photo of action",
    "Playing action of {}",
    " {}",
    "Playing a kind of action,  {}",
    "Doing a kind of action,  {}",
    "Look, the human is  {}",
    "Can you recognize the action of {}?",
    "Image classification of  {}",
    "An image of  {}",
    "The man is  {}",
    "The woman is  {}",
)


@dataclass(frozen=True)
class Protocol:
    """How texts and frames are made before they meet.

    Attributes:
        name: what a run says it was made under.
        about: one line for people.
        label_text: the label of an action as text.
        label_templates: each label is the mean over these.
        descriptor_templates: each descriptor is the mean over these.
        preprocessing: of frames; see `Encoder.preprocess`.
    """

    name: str
    about: str
    label_text: Callable[[Dataset, Action], str]
    label_templates: tuple[str, ...]
    descriptor_templates: tuple[str, ...]
    preprocessing: Preprocessing


def _phrase(_dataset: Dataset, action: Action) -> str:
    return action.phrase


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="default",
            about="readable phrases in four templates, descriptors as they are, the encoder's own preprocessing",
            label_text=_phrase,
            label_templates=("a video of {}", "a photo of {}", "footage of {}", "a scene of {}"),
            descriptor_templates=("{}",),  # a sentence in a template is no longer grammatical
            preprocessing="own",
        ),
        Protocol(
            name="tear",
            about="TEAR's arithmetic: its class strings, its 16 templates around every text, resize 256 and crop 224",
            label_text=tear_name,
            label_templates=TEAR_TEMPLATES,
            descriptor_templates=TEAR_TEMPLATES,
            preprocessing="tear",
        ),
    )
}


def protocol_of(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"Unknown protocol {name!r}. Known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
