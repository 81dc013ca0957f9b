"""Protocols: named sets of the choices that change a number, from class names to pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from db.errors import UsageError, UserError, unknown
from db.given_files import read_text
from db.records import Action, Dataset
from db.vocabulary import tear_name
from encoders.protocol import Preprocessing

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
Names = Literal["off", "replace", "join"]
NAMES: dict[Names, str] = {
    "off": "they are not used",
    "replace": "the name in place of the label",
    "join": "the mean of label and name in place of the label",
}  # what texts of the kind `name` are used for
_MOST_BYTES = 2**20  # of a file of templates
VIDEO_TEMPLATES = ("a video of {}", "a photo of {}", "footage of {}", "a scene of {}")
TEMPLATES = {
    "video4": VIDEO_TEMPLATES,
    "tear16": TEAR_TEMPLATES,
    "single": ("A video action of {}",),  # TEAR's default without its 16 templates
    "none": ("{}",),
}


@dataclass(frozen=True)
class Protocol:
    """How texts and frames are prepared before they are encoded.

    Attributes:
        name: the value of `--protocol`.
        about: its line in the help.
        label_text: (dataset, action) -> the label as text.
        label_templates: each label is the mean over these.
        descriptor_templates: each descriptor is the mean over these.
        preprocessing: of frames; see `Encoder.preprocess`.
        templates_of_encoder: whether default templates that the encoder names replace `label_templates`.
        every_text: whether `--templates` also replaces `descriptor_templates`, grammatical or not.
        label_again: whether a sweep of labels alone adds each label as a descriptor, as in TEAR's `only_label`.
        separator: between label and descriptor, if conditioned.
        conditioned: whether the label stands before each descriptor.
        names: what texts of the kind `name` are used for, a key of `NAMES`.
    """

    name: str
    about: str
    label_text: Callable[[Dataset, Action], str]
    label_templates: tuple[str, ...]
    descriptor_templates: tuple[str, ...]
    preprocessing: Preprocessing
    templates_of_encoder: bool
    every_text: bool
    label_again: bool
    separator: str
    conditioned: bool = False
    names: Names = "off"

    def descriptor_text(self, label: str, text: str) -> str:
        """Return the text of a descriptor that fills the templates; `label` is the label text of its class."""
        return f"{label}{self.separator}{text}" if self.conditioned else text


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="default",
            about="readable phrases in four templates, descriptors as they are, the encoder's own preprocessing",
            label_text=lambda dataset, action: action.phrase,
            label_templates=VIDEO_TEMPLATES,
            descriptor_templates=("{}",),  # a sentence in a template is no longer grammatical
            preprocessing="own",
            templates_of_encoder=True,
            every_text=False,
            label_again=False,
            separator=": ",
        ),
        Protocol(
            name="tear",
            about="TEAR's arithmetic: its class strings, its 16 templates around every text, resize 256 and crop 224",
            label_text=tear_name,
            label_templates=TEAR_TEMPLATES,
            descriptor_templates=TEAR_TEMPLATES,
            preprocessing="tear",
            templates_of_encoder=False,
            every_text=True,
            label_again=True,
            separator=" ",
        ),
    )
}


def protocol_of(
    name: str, *, templates: str = "protocol", condition: bool = False, of_encoder: tuple[str, ...] = ()
) -> Protocol:
    """Return a protocol by name, with other templates or with its descriptors conditioned on the label.

    Args:
        name: one of `PROTOCOLS`.
        templates: `protocol`, a name in `TEMPLATES`, or a file.
        condition: whether the label stands before each descriptor.
        of_encoder: the label templates that the encoder names; for `protocol`, if the protocol leaves them to it.

    Raises:
        UsageError: unknown protocol or templates.
        UserError: the file of templates is invalid.
    """
    if name not in PROTOCOLS:
        raise UsageError(unknown("protocol", name, PROTOCOLS))
    protocol = replace(PROTOCOLS[name], conditioned=condition)
    if templates == "protocol":
        return (
            replace(protocol, label_templates=of_encoder) if of_encoder and protocol.templates_of_encoder else protocol
        )
    chosen = templates_of(templates)
    around_descriptors = chosen if protocol.every_text else protocol.descriptor_templates
    return replace(protocol, label_templates=chosen, descriptor_templates=around_descriptors)


def templates_of(name: str) -> tuple[str, ...]:
    """Return a known set of templates, or those of a file: one per line, `{}` where the text goes, `#` for comments.

    Raises:
        UsageError: neither a known set nor a file.
        UserError: a line does not have one `{}`, or the file has no templates.
    """
    if name in TEMPLATES:
        return TEMPLATES[name]
    if not Path(name).is_file():
        raise UsageError(
            f"{unknown('templates', name, ['protocol', *TEMPLATES])}, or a file with one template per line"
        )
    lines = read_text(Path(name), at_most=_MOST_BYTES, errors="replace").splitlines()
    templates = tuple(line for line in lines if line.strip() and not line.startswith("#"))
    wrong = [line for line in templates if line.count("{}") != 1]
    if wrong or not templates:
        problem = f"not {wrong[0]!r}" if wrong else "and the file has none"
        raise UserError(f"{name}: a template is a line with one {{}} where the text goes, {problem}")
    return templates
