"""The actions that an action is confused with, for kinds that compare.

After follow-up differential descriptions (FuDD; Esfandiarpoor and Bach, ICLR 2024): texts that tell a class from the
classes it is mistaken for say more than texts about the class alone. There the LLM is asked about each image's own
candidates; here once for each class, before any video is seen or from the confusions of a run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from db.errors import UsageError, UserError
from db.records import Dataset, Run
from descriptor_gen.lint.similarity import similarities
from encoders.protocol import TextEncoder

Rivals = Mapping[str, tuple[str, ...]]
"""By action name: phrases of the actions it is confused with, the most alike first."""


def rivals_by_text(dataset: Dataset, encoder: TextEncoder, *, count: int) -> Rivals:
    """Return for each action the `count` others whose phrases are nearest to its own in an encoder's text space."""
    alike = similarities([[action.phrase] for action in dataset.actions], encoder).fill_diagonal_(-2.0)  # [C, C]
    nearest = alike.topk(min(count, len(dataset.actions) - 1), dim=1).indices.tolist()
    return {
        action.name: tuple(dataset.actions[other].phrase for other in others)
        for action, others in zip(dataset.actions, nearest, strict=True)
    }


def rivals_by_run(dataset: Dataset, run: Run, *, count: int) -> Rivals:
    """Return for each action the `count` others that a run put before it most often, then those it ranked next to it.

    Raises:
        UsageError: the run is on another dataset.
        UserError: it has no video of some classes.
    """
    if run.dataset != dataset.name:
        raise UsageError(f"Run {run.id} is on {run.dataset}, not {dataset.name}. The runs: recognize runs")
    _refuse_gaps(dataset, run)
    ahead, near = Counter[tuple[int, int]](), defaultdict[tuple[int, int], float](float)
    for video in run.predictions:
        for place, (label, _) in enumerate(video.ranking, start=1):
            ahead[video.label, label] += place < video.rank
            near[video.label, label] += 1 / place
    others: dict[int, list[int]] = {}
    for own, label in sorted(near, key=lambda pair: (-ahead[pair], -near[pair], pair)):
        if own != label:
            others.setdefault(own, []).append(label)
    return {
        action.name: tuple(dataset.actions[label].phrase for label in others[action.label][:count])
        for action in dataset.actions
    }


def _refuse_gaps(dataset: Dataset, run: Run) -> None:
    seen = {video.label for video in run.predictions}
    without = [action.name for action in dataset.actions if action.label not in seen]
    if without:
        raise UserError(
            f"Run {run.id} has no video of {len(without)} of the {len(dataset.actions)} classes of {dataset.name}: "
            f"{', '.join(without)}. For those that are nearest in words: --against text"
        )
