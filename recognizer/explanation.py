"""What an explanation is: a video, its classes, their texts. docs/explain.md has the formulas."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from recognizer.evaluation.predict import Candidate
from recognizer.video.thumbnails import ShownFrame

LABEL = "label"  # stands where a descriptor has its kind


@dataclass(frozen=True)
class TextEffect:
    """What one text did for one video.

    Attributes:
        id: `Descriptor.id`; None for the label.
        kind: of the descriptor, or `label`.
        position: of the descriptor within its kind, from 0; None for the label.
        text: as it was written, without templates.
        status: of the descriptor; None for the label.
        used: whether the method looks at it.
        step: which step of the class it is, from 0; None where it is none.
        share: what it adds to the score; those of a class sum to its score.
        above_mean: of that, what a mean class's texts of its kind do not add.
        above_winner: the same beside the class on rank 1, negative where it costs; None in that class itself.
        cosine: with the pooled video, -1 to 1.
        frames: T cosines with the frames that are shown.
        frames_above: T, those less the mean cosine of the same frame with all classes' texts of this kind.
    """

    id: int | None
    kind: str
    position: int | None
    text: str
    status: str | None
    used: bool
    step: int | None
    share: float
    above_mean: float
    above_winner: float | None
    cosine: float
    frames: tuple[float, ...]
    frames_above: tuple[float, ...]


@dataclass(frozen=True)
class ExplainedClass(Candidate):
    """One class for one video.

    Attributes:
        asked: whether the user named it.
        above_mean: its score less the mean score of all classes.
        above_winner: its score less that of the class on rank 1; None for that class itself.
        texts: the label, then the descriptors by kind and position.
        path: the step, from 0, that `align` gives each of the T frames; None for a class without steps.
    """

    asked: bool
    above_mean: float
    above_winner: float | None
    texts: tuple[TextEffect, ...]
    path: tuple[int, ...] | None


@dataclass(frozen=True)
class Explanation:
    """What speaks for the classes of one video, or why it could not be read.

    Attributes:
        video: as it was named.
        frames: the T frames that are shown; of several clips the first, of three crops the one in the middle.
        classes: the best ones, then those that were asked for, each by rank.
        unreadable: the reason.
    """

    video: str
    frames: tuple[ShownFrame, ...]
    classes: tuple[ExplainedClass, ...]
    unreadable: str | None = None

    def for_programs(self) -> dict[str, Any]:
        """Return everything but the pictures."""
        frames = [{"number": frame.number, "seconds": frame.seconds} for frame in self.frames]
        classes = [asdict(explained) for explained in self.classes]
        return {"video": self.video, "unreadable": self.unreadable, "frames": frames, "classes": classes}
