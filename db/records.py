"""The values that the store takes and returns: frozen dataclasses, independent of sessions and tables."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from db.addresses import public_provider

DescriptorStatus = Literal["pending", "accepted", "rejected"]
DescriptorSource = Literal["llm", "import", "human"]
STATUSES: tuple[DescriptorStatus, ...] = get_args(DescriptorStatus)
GenerationStatus = Literal["ok", "invalid", "error", "late"]
"""`late`: valid, but another builder had stored a reply to the same call first; it never comes in use."""
DecisionKind = Literal["accept", "reject", "restore", "edit", "replace", "add", "reorder", "undo"]


@dataclass(frozen=True)
class Action:
    """One class of a dataset: its label index, the dataset's own name, and a readable phrase."""

    label: int
    name: str
    phrase: str


@dataclass(frozen=True)
class Dataset:
    """A vocabulary: its actions in label order.

    Attributes:
        stored_as: the dataset whose stored actions and descriptors this one shares: `kinetics600-zs1` is a subset of
            `kinetics600`.
        path: the file or folder that it was read from, as the user gave it; empty for a known name.
    """

    name: str
    actions: tuple[Action, ...]
    stored_as: str
    path: str = field(default="", compare=False)

    @property
    def argument(self) -> str:
        """What a command takes for it after --dataset, quoted for a shell."""
        return shlex.quote(self.path or self.name)


@dataclass(frozen=True)
class Rephrased:
    """A stored action whose phrase was changed; `texts` are ids of descriptors in use, written for the old phrase."""

    action: str
    before: str
    after: str
    texts: tuple[int, ...]


@dataclass(frozen=True)
class LLMIdentity:
    """A model; `revision` is a commit, a digest, or empty if the provider gives none.

    A provider that is a server loses the user, password and query of its address, wherever it comes from: a file, an
    older database.
    """

    provider: str
    model: str
    revision: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "provider", public_provider(self.provider))


@dataclass(frozen=True)
class Template:
    """One version of a prompt template; `sha256` is the digest of `source`."""

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
        environment: dtype, device, library versions and the like; not part of the key.
        seconds: duration of the batch divided by its calls.
        id: database row; None before it is stored.
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
    """One LLM call about an action; `in_use`: the current descriptors come from it."""

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
class GeneratedTexts:
    """The texts of one call about one action, in order, with its generation (new, or already stored)."""

    action: str
    generation: Generation
    texts: tuple[str, ...]


@dataclass(frozen=True)
class DescriptorRef:
    """A descriptor in one version. A decision about a version that is no longer current is a conflict."""

    id: int
    version: int


@dataclass(frozen=True)
class Descriptor:
    """One text about one action, with its provenance.

    Attributes:
        llm: the model that wrote it, or that wrote the text before it was edited.
        template: sha256 of the prompt template.
        origin: the file it was imported from.
        generation: id of the LLM call; texts of one reply share it.
        sample: number of the reply among several to one prompt, from 0.
        version: increases with every change.
        edited_from: id of the text that this edit replaced.
        original: the text before the first edit; None if it was never edited.
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
    def by_hand(self) -> bool:
        """Whether a person wrote it from scratch, not by editing the text of a model or file."""
        return not (self.llm or self.origin)

    @property
    def writer(self) -> str:
        """Who wrote it: the name of a model, else of the imported file, else `hand`."""
        return self.llm or self.origin or "hand"

    @property
    def ref(self) -> DescriptorRef:
        """This version, as decisions refer to it."""
        return DescriptorRef(self.id, self.version)


@dataclass(frozen=True)
class Original:
    """A text that was replaced by an edit."""

    text: str
    source: DescriptorSource
    status: DescriptorStatus


@dataclass(frozen=True)
class Call:
    """A generation with its model and prompt template."""

    generation: Generation
    llm: LLMIdentity
    template: Template


@dataclass(frozen=True)
class PortableDescriptor:
    """A descriptor with everything needed to add it to another database.

    Attributes:
        call: the LLM call that wrote it, if any.
        originals: the texts it was edited from, most recent first.
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

    @property
    def writer(self) -> str:
        """Who wrote it, as `Descriptor.writer`."""
        return self.call.llm.model if self.call else self.origin or "hand"


@dataclass(frozen=True)
class ImportCounts:
    """Counts of an import.

    Attributes:
        added: new rows.
        already: texts that were stored before, in use or not.
        left_out: texts that were not added because this database has another reply of the same LLM for the class and
            kind, or the original of an edited text.
    """

    added: int
    already: int
    left_out: int


@dataclass(frozen=True)
class State:
    """The state of a descriptor at one time."""

    id: int
    version: int
    text: str
    status: DescriptorStatus
    position: int

    @property
    def ref(self) -> DescriptorRef:
        """This version, as decisions refer to it."""
        return DescriptorRef(self.id, self.version)


@dataclass(frozen=True)
class Change:
    """The effect of a decision on one descriptor.

    Attributes:
        descriptor: id of the descriptor decided on; for an edit the one that was edited.
        before: None for an addition.
        after: for an edit the new row; None if an addition was undone.
    """

    descriptor: int
    before: State | None
    after: State | None


@dataclass(frozen=True)
class ReviewEvent:
    """One change in the log.

    Attributes:
        decision: id of its decision.
        what: kind of decision; the name is that of the database column and of the `--json` output.
        undoes: id of the decision that this one undid.
    """

    id: int
    decision: int
    what: DecisionKind
    reviewer: str
    at: datetime
    change: Change
    undoes: int | None = None


@dataclass(frozen=True)
class Decision:
    """A recorded decision about any number of descriptors; an undo restores all of them.

    Attributes:
        id: None if it changed nothing and was not recorded.
        what: kind of decision; the name is that of the database column and of the `--json` output.
        changes: in the order of the descriptors in the request.
        already: descriptors not changed because this reviewer had decided the same before.
        undoes: id of the decision that this one undid.
    """

    id: int | None
    what: DecisionKind
    reviewer: str
    at: datetime
    changes: tuple[Change, ...]
    already: int = 0
    undoes: int | None = None


@dataclass(frozen=True)
class Conflict:
    """A descriptor that changed since the reviewer read it.

    Attributes:
        expected: the version in the request.
        now: the row now in its place: itself, or an edit of it.
        in_use: False if a newer reply replaced it, or if its addition was undone.
        event: the change, if a reviewer made it; None if a build did.
        at: time of the change (UTC).
    """

    expected: DescriptorRef
    now: State
    in_use: bool
    event: ReviewEvent | None
    at: datetime | None


@dataclass(frozen=True)
class Comment:
    """What a reviewer says about a descriptor.

    Attributes:
        descriptor: id of the text that it was written about; an edit of that text has another id.
        at: time (UTC).
    """

    id: int
    descriptor: int
    text: str
    reviewer: str
    at: datetime


@dataclass(frozen=True)
class Guidelines:
    """What reviewers of a dataset should go by; `at`: time (UTC)."""

    id: int
    text: str
    reviewer: str
    at: datetime


@dataclass(frozen=True)
class Agreement:
    """Agreement of two reviewers on the descriptors that both judged. A text is refused if it is rejected or edited.

    Attributes:
        first, second: the reviewers.
        both_accepted, both_refused: descriptors with equal verdicts.
        only_first, only_second: descriptors accepted by one and refused by the other.
        n: descriptors that both judged.
        observed: equal verdicts / n, 0 to 1; None for n = 0.
        kappa: Cohen's kappa, -1 to 1; None if undefined.
        undefined: why kappa is undefined.
        interval: of kappa, 95%, for large n; None if kappa is undefined or 1.
        kind: of the descriptors; empty: all kinds.
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
    interval: tuple[float, float] | None = None
    kind: str = ""


@dataclass(frozen=True)
class Progress:
    """The verdicts of one reviewer that stand, and the time of the last decision; refused: rejected or edited."""

    accepted: int
    refused: int
    last: datetime

    @classmethod
    def of(cls, verdicts: Mapping[int, bool], last: datetime) -> Progress:
        """Count verdicts: descriptor id -> whether it accepted the text unchanged."""
        accepted = sum(verdicts.values())
        return cls(accepted, len(verdicts) - accepted, last)


@dataclass(frozen=True)
class ClassVerdict:
    """What controls say about the texts of one class: a sentence, and the ids of the texts that it is about."""

    sentence: str
    texts: frozenset[int]


@dataclass(frozen=True)
class Verdicts:
    """What the controls of a run say about its texts, in sentences.

    Attributes:
        run: id of the run.
        made_with: encoder, method and number of videos of the run.
        of_all: about all texts.
        by_kind: about the texts of one kind.
        by_class: about the texts of one class, by its name.
    """

    run: int
    made_with: str
    of_all: Sequence[str] = ()
    by_kind: Mapping[str, str] = field(default_factory=dict)
    by_class: Mapping[str, ClassVerdict] = field(default_factory=dict)


@dataclass(frozen=True)
class Impact:
    """Effect of leaving one descriptor out of a run. Positive: the run is better without it.

    Attributes:
        run: id of the run.
        top1_change: change of top-1 accuracy, as a fraction (0.01 is one point).
        margin_change: mean change of (score of the true class - best other score), in score units.
    """

    run: int
    top1_change: float
    margin_change: float


@dataclass(frozen=True)
class Writer:
    """Who wrote texts of a kind.

    Attributes:
        source: a model, a file (imported, or a text pack), or people.
        name: of the model or file; `hand` for people.
        template_sha256, template_version: of a model's prompt template; empty and 0 for all of its templates.
    """

    source: Literal["model", "file", "hand"]
    name: str
    template_sha256: str = ""
    template_version: int = 0


@dataclass(frozen=True)
class Written:
    """What a writer wrote about one action: ids of the newest calls (none for files and people), number of texts."""

    calls: frozenset[int]
    texts: int


@dataclass(frozen=True)
class Prediction:
    """The ranking of one video: (label index, score) of the best classes, and the rank of the true label from 1.

    In a run whose videos have several labels, `label` is the one that scores best with the run's texts (-1: it has
    none), and a rank is that of the best one among the classes that are not its own.
    """

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
        descriptor_ids: their ids.
        counts: videos evaluated, missing, unreadable and listed.
        left_out: (video, reason) of each listed video that was not evaluated.
        results: metrics by table row (`label`, `label + descriptors`).
        name, note, tags: what people call it and say about it.
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
    name: str | None = None
    note: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its number, and its name if it has one: `run 3 (tear vs mine)`."""
        return f"run {self.id}{f' ({self.name})' if self.name else ''}"
