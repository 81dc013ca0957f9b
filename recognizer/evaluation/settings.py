"""All choices of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass, field

from recognizer.scoring.methods import method_of
from recognizer.scoring.pooling import Pooling
from recognizer.scoring.protocols import Protocol, protocol_of
from recognizer.scoring.selection import Choice
from recognizer.video.sampling import Sampling


@dataclass(frozen=True)
class Settings:
    """All choices of an evaluation besides its videos and descriptors; the last three are for the record.

    Attributes:
        templates: a name or file for `protocols.templates_of`, or `protocol` for the protocol's own.
        condition: whether the label stands before each descriptor.
        pooling: of frames; see `VideoBatch`.
        temperature: of method `soft`, and of the probabilities of any.
    """

    encoder: str
    protocol: str = "default"
    method: str = "mean"
    frames: int = 16
    clips: int = 1
    crops: int = 1
    pooling: Pooling = "avg"
    templates: str = "protocol"
    condition: bool = False
    temperature: float = 1.0
    limit: int | None = None
    root: str | None = None
    split: str | None = None
    choice: Choice = field(default_factory=Choice)

    def check(self) -> None:
        """Raise UsageError or UserError where a name is not known, or a file of templates is none."""
        method_of(self.method)
        self.wording()

    def wording(self) -> Protocol:
        """Return the protocol with the templates and the conditioning chosen."""
        return protocol_of(self.protocol, templates=self.templates, condition=self.condition)

    @property
    def sampling(self) -> Sampling:
        """Which frames and views of a video the protocol looks at."""
        return Sampling(self.frames, self.clips, self.crops, protocol_of(self.protocol).preprocessing)
