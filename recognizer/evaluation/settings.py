"""All choices of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from db.errors import UsageError, unknown
from encoders.protocol import Precision
from encoders.registry import label_templates
from recognizer.datasets.records import Split
from recognizer.scoring.methods import METHODS, method_of
from recognizer.scoring.pack_texts import pack_reference
from recognizer.scoring.pooling import Pooling
from recognizer.scoring.protocols import NAMES, Names, Protocol, protocol_of
from recognizer.scoring.selection import DescriptorChoice
from recognizer.scoring.transductive import TRANSDUCTIVE
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    from recognizer.features.caching_encoder import CachingEncoder

Status = Literal["any", "accepted"]
KNOWN = "known"  # the default background texts
STATUSES: Mapping[Status, tuple[str, ...]] = {"any": ("pending", "accepted"), "accepted": ("accepted",)}


@dataclass(frozen=True, kw_only=True)
class ScoringSettings:
    """The choices that turn videos and texts into vectors and compare them.

    Attributes:
        encoder: name of an openai-clip model or its `.pt` file, `hf:` and a repository or folder, or `objects`.
        precision: of the encoder's weights and arithmetic: `float32`, `bfloat16` or `float16`.
        protocol: `default` or `tear`; see `recognizer.scoring.protocols`.
        method: scoring method, a name in `recognizer.scoring.methods.METHODS`.
        frames: frames per clip.
        clips: clips per video, each over its whole length; their scores are averaged.
        crops: crops per frame, 1 or 3; their scores are averaged.
        allow_truncated: whether a file that breaks off is scored by the part that is there; else it is unreadable.
        pooling: how frames become one vector: `avg` or `max`.
        unit_frames: whether each frame is brought to unit length before pooling.
        templates: templates around texts: `protocol` (its own; of labels those of the encoder, if it names any), the
            name of a set, or a file.
        condition: whether the label is put before each descriptor.
        temperature: softmax temperature of the probabilities, and of method `soft`.
        none_of_these: whether `predict` and `evaluate` reject videos that are of no class; other commands ignore it.
        background: texts of what such videos may show: `known`, or the name or path of a dataset.
        threshold: probability of being of one of the classes below which a video is rejected, above 0 and below 1.
        transductive: how `eval` and `predict` also score the videos together, a name in
            `recognizer.scoring.transductive.TRANSDUCTIVE`; None: each is scored by itself only.
        class_prior: CSV file of the shares of the classes, for `sinkhorn`; None: all alike.
    """

    encoder: str = "ViT-B/16"
    precision: Precision = "float32"
    protocol: str = "default"
    method: str = "mean"
    frames: int = 16
    clips: int = 1
    crops: Literal[1, 3] = 1
    allow_truncated: bool = False
    pooling: Pooling = "avg"
    unit_frames: bool = False
    templates: str = "protocol"
    condition: bool = False
    temperature: float = 1.0
    none_of_these: bool = False
    background: str = KNOWN
    threshold: float = 0.5
    transductive: str | None = None
    class_prior: str | Path | None = None

    def check(self) -> None:
        """Raise UsageError for an unknown name or choices that do not go together, UserError for invalid templates."""
        method_of(self.method)
        if not 0 < self.threshold < 1:
            raise UsageError(f"--threshold is a probability above 0 and below 1, not {self.threshold:g}")
        if not self.none_of_these and (self.background, self.threshold) != (KNOWN, 0.5):
            raise UsageError("--background and --threshold say how --none-of-these rejects videos: give it too")
        self.wording()
        if self.none_of_these and self.transductive:
            raise UsageError(
                "--none-of-these judges each video by itself, --transductive all together: give one of the two"
            )
        if self.transductive not in (None, *TRANSDUCTIVE):
            raise UsageError(unknown("transductive", str(self.transductive), TRANSDUCTIVE))
        if self.class_prior and not (self.transductive and TRANSDUCTIVE[self.transductive].uses_prior):
            users = " or ".join(f"--transductive {way.name}" for way in TRANSDUCTIVE.values() if way.uses_prior)
            raise UsageError(f"--class-prior is used by {users} alone: give both, or leave it out")

    def refuse_transductive(self, reason: str) -> None:
        """Refuse to score videos together.

        Args:
            reason: beginning of the message: the command, and why it cannot.

        Raises:
            UsageError: the settings ask for it.
        """
        if self.transductive:
            raise UsageError(f"{reason}: leave transductive out; recognize eval and predict have it")

    def check_for(self, encoder: CachingEncoder) -> None:
        """Refuse settings that compare texts with single frames, if the encoder gives one vector for a clip.

        Raises:
            UsageError: the method, the pooling or `unit_frames` needs frames.
        """
        if method_of(self.method).needs_frames:
            known = ", ".join(method.name for method in METHODS.values() if not method.needs_frames)
            encoder.refuse_clips(
                f"Method {self.method} compares texts with single frames", f"Methods that work with it: {known}"
            )
        if self.pooling != "avg":
            encoder.refuse_clips(f"--pooling {self.pooling} is over single frames", "Leave --pooling out")
        if self.unit_frames:
            encoder.refuse_clips("--unit-frames is about single frames", "Leave --unit-frames out")
        encoder.frames_shelf(self.sampling)  # refuses another number of frames

    def wording(self) -> Protocol:
        """Return the protocol with the chosen templates and conditioning."""
        own = label_templates(self.encoder)
        return protocol_of(self.protocol, templates=self.templates, condition=self.condition, of_encoder=own)

    @property
    def sampling(self) -> Sampling:
        """Frames and views to decode, and their preprocessing."""
        preprocessing = protocol_of(self.protocol).preprocessing
        return Sampling(self.frames, self.clips, self.crops, preprocessing, self.allow_truncated)


@dataclass(frozen=True, kw_only=True)
class Settings(ScoringSettings):
    """All choices of an evaluation, as its run stores them.

    Attributes:
        limit: evaluate at most this many videos, evenly spread over the list.
        root: folder or manifest of the videos, absolute.
        split: official test split.
        choice: which descriptors are used.
    """

    limit: int | None = None
    root: str | None = None
    split: Split | None = None
    choice: DescriptorChoice = field(default_factory=DescriptorChoice)

    def wording(self) -> Protocol:
        """Return the protocol with the chosen templates, conditioning and use of names."""
        return replace(super().wording(), names=self.choice.names)

    def with_texts_used(self) -> Settings:
        """Return the same settings; with a method that uses the labels alone, no descriptors are chosen."""
        used = method_of(self.method).uses_descriptors
        return self if used else replace(self, choice=self.choice.without_descriptors)


@dataclass(frozen=True, kw_only=True)
class Options(ScoringSettings):
    """The choices that a user gives on the command line or to `Recognizer`.

    Attributes:
        kinds: descriptor kinds; None means all kinds stored.
        llm: the LLM or imported file, or several whose texts form one ensemble: a name, or a part that only it has;
            needed if there are several.
        status: `any` uses pending and accepted descriptors, `accepted` only those.
        partial: score classes that lack descriptors of a kind without them, instead of refusing the choice.
        texts: `pack:NAME`: the texts of an installed pack that are in the database, and no others.
        names: what texts of the kind `name` are used for: `off`, `replace` the labels, or `join` them.
    """

    kinds: Sequence[str] | None = None
    llm: str | Sequence[str] | None = None
    status: Status = "any"
    partial: bool = False
    texts: str | None = None
    names: Names = "off"

    @property
    def settings(self) -> Settings:
        """The same choices in the form that a run stores.

        Raises:
            UsageError: a name is unknown.
            UserError: a file of templates is invalid, or the pack of `texts` is damaged.
        """
        if self.status not in STATUSES:
            raise UsageError(unknown("status", self.status, STATUSES))
        if self.names not in NAMES:
            raise UsageError(unknown("use of names", self.names, NAMES))
        kinds = None if self.kinds is None else tuple(self.kinds)
        shared = {option.name: getattr(self, option.name) for option in fields(ScoringSettings)}
        shared["class_prior"] = str(self.class_prior) if self.class_prior else None  # a run stores it as JSON
        llms = (self.llm,) if isinstance(self.llm, str) else tuple(self.llm or ()) or None
        texts = pack_reference(self.texts) if self.texts else None
        choice = DescriptorChoice(kinds, STATUSES[self.status], llms, self.partial, texts, self.names)
        settings = Settings(**shared, choice=choice)
        settings.check()
        return settings
