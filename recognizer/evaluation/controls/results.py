"""The results of controls, and how they are made."""

from __future__ import annotations

from dataclasses import dataclass

from recognizer.scoring.metrics import Rate


@dataclass(frozen=True)
class ControlSettings:
    """How controls are made.

    Attributes:
        permutations: of lists of texts among classes; fewer if fewer are possible.
        replicates: of each random control: random texts, which have to be encoded, and shuffled frames.
        seed: of all that is random.
    """

    permutations: int = 1000
    replicates: int = 3
    seed: int = 0


DEFAULTS = ControlSettings()


@dataclass(frozen=True)
class Control:
    """A run against replicates of one control, on the same videos.

    Attributes:
        name: of the control.
        about: what it is, in a few words.
        part: the kind of texts that it changes, or the method that it is about.
        replicates: how many were made.
        real: top-1 of the run.
        mean, deviation: of the replicates' top-1; the deviation is None for a single one.
        difference: `real` minus the mean, with an interval over videos.
        p: how likely a replicate is at least as good as the run; None with fewer than 19, which cannot tell.
        exact: whether p is over all replicates that there are.
    """

    name: str
    about: str
    part: str
    replicates: int
    real: float
    mean: float
    deviation: float | None
    difference: Rate
    p: float | None
    exact: bool = False


@dataclass(frozen=True)
class ClassControl:
    """A class with its own texts, and the permutations; p and `p_worse` are not corrected for the number of classes.

    Attributes:
        texts: the ids of its descriptors.
        real: its share of right videos.
        swapped: the mean of that share over the permutations.
        p: how likely a permutation is at least as good.
        p_worse: how likely a permutation is at most as good.
    """

    name: str
    videos: int
    texts: tuple[int, ...]
    real: float
    swapped: float
    p: float
    p_worse: float


@dataclass(frozen=True)
class RunControls:
    """The controls of one run; all numbers are top-1 on its videos."""

    run: int
    dataset: str
    protocol: str
    encoder: str
    method: str
    videos: int
    left_out: int  # videos of the run's list that it did not evaluate
    groups: int  # of clips cut from one source, over which the intervals are
    settings: ControlSettings
    label_only: Rate
    top1: Rate
    texts: tuple[Control, ...]  # swapped, and each of `RANDOM_TEXTS` if there are replicates
    kinds: tuple[Control, ...]  # swapped, the texts of one kind alone; empty for a run of one kind
    classes: tuple[ClassControl, ...]  # smallest p first
    frames: tuple[Control, ...]  # by method; empty for encoders of clips, and for single frames
    verdicts: tuple[str, ...]
    cautions: tuple[str, ...]
