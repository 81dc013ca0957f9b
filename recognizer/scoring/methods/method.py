"""The interface of a scoring method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.temporal import steps_of_frames

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Method:
    """One way to score videos against the texts of classes.

    `score` and `attribution` take (videos, ensemble, temperature); only the texts that the method uses are present.
    With labels alone the score must be the cosine with the label, as that of method `label`, which is the baseline of
    all methods; but for methods that pool the frames in their own way.

    Attributes:
        name: the value of `--method`.
        about: its line in the help.
        score: returns the scores [V, C], in the units of cosines.
        attribution: returns what each text adds to the score, [V, C, K]; the values of texts present sum to it.
        uses_descriptors: whether it uses more than the labels.
        uses: (ensemble) -> the texts that the method uses, bool [C, K].
        frame_steps: (videos, ensemble) -> the step of each frame that `explain` shows, int64 [V, T, C]; -1 for classes
            without steps.
        needs_frames: whether it compares texts with single frames, which an encoder of clips does not have.
        classes_apart: whether the scores of a class depend on its own texts alone.
        pools: whether it pools the frames in its own way: with labels alone it is not the baseline.
        note: (bias of the encoder's logits; None where it is not known) -> what has to be said beside the numbers of
            the method, such as how the encoder changes its formula; empty: nothing.
    """

    name: str
    about: str
    score: Callable[[VideoBatch, Ensemble, float], Tensor]
    attribution: Callable[[VideoBatch, Ensemble, float], Tensor]
    uses_descriptors: bool = True
    uses: Callable[[Ensemble], Tensor] = lambda ensemble: ensemble.present
    frame_steps: Callable[[VideoBatch, Ensemble], Tensor] = steps_of_frames
    needs_frames: bool = False
    classes_apart: bool = True
    pools: bool = False
    note: Callable[[float | None], str] = lambda logit_bias: ""
