"""What the database holds, as plain frozen values. No value here knows of sessions or tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

DescriptorStatus = Literal["pending", "accepted", "rejected"]
DescriptorSource = Literal["llm", "import", "human"]
GenerationStatus = Literal["ok", "invalid", "error"]


@dataclass(frozen=True)
class Action:
    """One class of a dataset: its label index, the dataset's own name, and a readable lower-case phrase."""

    label: int
    name: str
    phrase: str


@dataclass(frozen=True)
class Dataset:
    """A vocabulary: its actions in label order.

    `stored_as` names the dataset whose actions and descriptors this one shares: `kinetics600-zs1`
    is 160 of the actions of `kinetics600`, so their descriptors are written once.
    """

    name: str
    actions: tuple[Action, ...]
    stored_as: str


@dataclass(frozen=True)
class LLMIdentity:
    """Which model wrote: `revision` is a commit, a digest, or empty where the provider gives none."""

    provider: str
    model: str
    revision: str


@dataclass(frozen=True)
class Template:
    """One version of a prompt template; `sha256` is that of `source`."""

    kind: str
    version: int
    sha256: str
    source: str


@dataclass(frozen=True)
class Generation:
    """One LLM call and its raw reply.

    Attributes:
        cache_key: sha256 of everything that determines the reply.
        parameters: decoding parameters; part of the key.
        environment: how it was run (dtype, device, library versions); not part of the key.
        seconds: this call's share of the time of its batch.
        id: row in the database; None before it is stored.
    """

    cache_key: str
    sample: int
    parameters: Mapping[str, Any]
    environment: Mapping[str, Any]
    messages: tuple[Mapping[Any, str], ...]
    output_schema: Mapping[str, Any]
    reply: str
    finish_reason: str
    status: GenerationStatus
    error: str | None
    tokens_in: int | None
    tokens_out: int | None
    seconds: float
    id: int | None = None


@dataclass(frozen=True)
class HistoryEntry:
    """One call about an action, with where it came from; `in_use` tells whether its descriptors are those of now."""

    action: str
    kind: str
    generation: Generation
    llm: LLMIdentity
    template_version: int
    template_sha256: str
    attempt: int
    created_at: datetime
    in_use: bool


@dataclass(frozen=True)
class Written:
    """What one call gave for one action: the generation (new, or already stored) and its texts in order."""

    action: str
    generation: Generation
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Descriptor:
    """One text about one action, with where it came from."""

    id: int
    action: str
    kind: str
    position: int
    text: str
    source: DescriptorSource
    status: DescriptorStatus
    llm: str | None
    template: str | None
    origin: str | None = None


@dataclass(frozen=True)
class Call:
    """A generation with who was asked, and by which template: all of its provenance."""

    generation: Generation
    llm: LLMIdentity
    template: Template


@dataclass(frozen=True)
class Portable:
    """A descriptor as it leaves one database and enters another; `call` is the reply it is from, if an LLM's."""

    action: str
    kind: str
    position: int
    text: str
    source: DescriptorSource
    status: DescriptorStatus = "pending"
    origin: str | None = None
    call: Call | None = None


@dataclass(frozen=True)
class Added:
    """What became of texts that came from elsewhere.

    Attributes:
        added: new rows.
        already: rows that were there before, in use or not.
        left_out: texts of an LLM whose own other texts are in use here for the same class and kind.
    """

    added: int
    already: int
    left_out: int


@dataclass(frozen=True)
class Prediction:
    """How one video was ranked: (label index, score) of the best classes, and the true label's rank from 1."""

    video: str
    label: int
    ranking: tuple[tuple[int, float], ...]
    rank: int
    label_only_rank: int


@dataclass(frozen=True)
class Run:
    """One evaluation, with everything needed to repeat it.

    Attributes:
        settings: dataset, root, split, layout, encoder, protocol, method, kinds, status, frames, versions.
        descriptors_sha256: digest of the ids and texts of every descriptor used.
        descriptor_ids: those ids.
        counts: evaluated, missing, unreadable, listed, by name.
        left_out: (video, reason) of each listed video that was not evaluated.
        results: metrics by row (`label`, `label + descriptors`), as shown.
    """

    dataset: str
    settings: Mapping[str, Any]
    descriptors_sha256: str
    descriptor_ids: tuple[int, ...]
    counts: Mapping[str, int]
    left_out: tuple[tuple[str, str], ...]
    results: Mapping[str, Any]
    seconds: float
    created_at: datetime | None = None
    id: int | None = None
    predictions: tuple[Prediction, ...] = field(default=(), repr=False)
