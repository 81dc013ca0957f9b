"""What the database holds, as plain frozen values. No value here knows of sessions or tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

DescriptorStatus = Literal["pending", "accepted", "rejected"]
DescriptorSource = Literal["llm", "import", "human"]
GenerationStatus = Literal["ok", "invalid", "error"]
What = Literal["accept", "reject", "restore", "edit", "add", "reorder", "undo"]


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
class Seen:
    """A descriptor as a reviewer saw it: a decision on another version of it is a conflict."""

    id: int
    version: int


@dataclass(frozen=True)
class Descriptor:
    """One text about one action, with where it came from.

    Attributes:
        llm: the model that wrote it, or wrote what it was edited from.
        origin: the imported file that it is from.
        generation: row of the call that it is from; texts of one reply share it.
        sample: which of several replies to one prompt, from 0.
        version: goes up with every change.
        edited_from: row of the text that a person edited; it is out of use.
        original: the text as it was before any edit; None where nobody edited it.
    """

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
    generation: int | None = None
    sample: int | None = None
    version: int = 1
    edited_from: int | None = None
    original: str | None = None

    @property
    def writer(self) -> str | None:
        """The LLM or imported file it is from; None if a person wrote it."""
        return self.llm or self.origin

    @property
    def seen(self) -> Seen:
        """What a decision on this version of it names."""
        return Seen(self.id, self.version)


@dataclass(frozen=True)
class Original:
    """A text that a person edited: what it said, who had written it, and what was thought of it."""

    text: str
    source: DescriptorSource
    status: DescriptorStatus


@dataclass(frozen=True)
class Call:
    """A generation with who was asked, and by which template: all of its provenance."""

    generation: Generation
    llm: LLMIdentity
    template: Template


@dataclass(frozen=True)
class Portable:
    """A descriptor as it leaves one database and enters another.

    Attributes:
        call: the reply it is from, if an LLM's.
        originals: the texts it was edited from, the last edited first.
    """

    action: str
    kind: str
    position: int
    text: str
    source: DescriptorSource
    status: DescriptorStatus = "pending"
    origin: str | None = None
    call: Call | None = None
    originals: tuple[Original, ...] = ()


@dataclass(frozen=True)
class Added:
    """What became of texts that came from elsewhere.

    Attributes:
        added: new rows.
        already: rows that were there before, in use or not.
        left_out: texts whose place is taken here: by another reply of the same LLM for the same class and kind, or by
            what an edited text was edited from.
    """

    added: int
    already: int
    left_out: int


@dataclass(frozen=True)
class State:
    """What stood in one place at one time: the row and its version, and what it said."""

    id: int
    version: int
    text: str
    status: DescriptorStatus
    position: int

    @property
    def seen(self) -> Seen:
        """What the next decision on it names."""
        return Seen(self.id, self.version)


@dataclass(frozen=True)
class Change:
    """What a decision did to one descriptor.

    Attributes:
        descriptor: row that was decided on; for an edit the one that was edited.
        before: None for an addition.
        after: for an edit another row than before; None where an addition was undone.
    """

    descriptor: int
    before: State | None
    after: State | None


@dataclass(frozen=True)
class ReviewEvent:
    """One change in the log, and the decision that it is part of; `undoes` is the decision that it took back."""

    id: int
    decision: int
    what: What
    reviewer: str
    at: datetime
    change: Change
    undoes: int | None = None


@dataclass(frozen=True)
class Decision:
    """One decision as it was recorded, on any number of descriptors; it is undone as one.

    Attributes:
        id: None where nothing was to be recorded.
        changes: what it did, in the order in which the descriptors were named.
        already: descriptors left alone because this reviewer had decided the same before.
        undoes: the decision that this one took back.
    """

    id: int | None
    what: What
    reviewer: str
    at: datetime
    changes: tuple[Change, ...]
    already: int = 0
    undoes: int | None = None


@dataclass(frozen=True)
class Conflict:
    """A descriptor that is not what a reviewer saw.

    Attributes:
        seen: what the decision named.
        id: row that stands in its place now: itself, or what it was edited into.
        version: of that row; with `id` it makes the `Seen` of a new decision.
        in_use: False where a newer reply took its place, or its addition was undone.
        what: the last decision on it; None where no reviewer's decision changed it, but a build.
        reviewer: who made that decision.
        at: when it changed (UTC).
    """

    seen: Seen
    id: int
    version: int
    text: str
    status: DescriptorStatus
    in_use: bool
    what: What | None
    reviewer: str | None
    at: datetime | None


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on descriptors that both judged: accepted as it was, or not.

    Attributes:
        first, second: the reviewers.
        both_accepted, both_refused: where they agree; a refusal is a rejection or an edit.
        only_first, only_second: accepted by that one alone.
        n: descriptors that both judged.
        observed: share of n on which they agree, 0 to 1; None for n = 0.
        kappa: Cohen's kappa, -1 to 1; None where it is not defined.
        undefined: why there is no kappa.
    """

    first: str
    second: str
    both_accepted: int
    only_first: int
    only_second: int
    both_refused: int
    n: int
    observed: float | None
    kappa: float | None
    undefined: str | None


@dataclass(frozen=True)
class Impact:
    """What a run loses or gains when one descriptor is left out: positive is better without it.

    Attributes:
        run: id of the run.
        top1_change: change of top-1 accuracy, a share (0.01 is one point).
        margin_change: mean change of the true class's score less the best other's, in units of the score.
    """

    run: int
    top1_change: float
    margin_change: float


@dataclass(frozen=True)
class Writer:
    """Who wrote a kind, and by which version of its template; what pages compare."""

    llm: str
    template_sha256: str
    template_version: int
    actions: int


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
