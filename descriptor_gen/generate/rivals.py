"""The actions that an action is confused with, for kinds that compare.

After follow-up differential descriptions (FuDD; Esfandiarpoor and Bach, ICLR 2024): texts that distinguish a class
from the classes it is mistaken for help more than texts about the class alone. FuDD asks the LLM again for the
candidates of each image. Here the LLM is asked once for each class; its rivals come from text similarity or from the
confusions of a run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from db.errors import UsageError, UserError
from db.records import Dataset, Run
from db.store import Store
from descriptor_gen.lint.similarity import cosines_between, refuse_one_class
from descriptor_gen.prompting.prompt import Prompt
from encoders.protocol import TextEncoder
from encoders.registry import open_text_encoder

Rivals = Mapping[str, tuple[str, ...]]
"""Action name -> phrases of the actions that it is confused with, most similar first."""


def find_rivals(
    store: Store, dataset: Dataset, prompts: Sequence[Prompt], against: str | None, *, count: int
) -> Rivals:
    """Return the `count` rivals of each action by `against`: `text` (the default), `text:ENCODER`, or `run:RUN`.

    Empty if no prompt compares; then no model is loaded.

    Raises:
        UsageError: `against` has another form, the run is on another dataset, or no prompt compares.
        UserError: there is one class only, the run has no video of some classes, or the encoder is not installed.
    """
    if not any(prompt.compares for prompt in prompts):
        if against:
            raise UsageError("--against is for kinds that compare classes. Add --kind contrast")
        return {}
    refuse_one_class(dataset)
    source, _, name = (against or "text").partition(":")
    if source == "run" and name:
        return _by_run(dataset, store.run(name), count=count)
    if source != "text":
        raise UsageError(
            f"--against {against!r} is neither text, text:ENCODER, nor run:RUN (recognize runs lists them)"
        )
    return _by_text(dataset, open_text_encoder(name or "minilm"), count=count)


def _by_text(dataset: Dataset, encoder: TextEncoder, *, count: int) -> Rivals:
    """Return for each action the `count` other actions with the most similar phrases, by a text encoder."""
    phrases = [action.phrase for action in dataset.actions]
    cosines = cosines_between(phrases, phrases, encoder).fill_diagonal_(-2.0)  # [C, C]
    nearest = cosines.topk(min(count, len(phrases) - 1), dim=1).indices.tolist()
    return {
        action.name: tuple(phrases[label] for label in labels)
        for action, labels in zip(dataset.actions, nearest, strict=True)
    }


def _by_run(dataset: Dataset, run: Run, *, count: int) -> Rivals:
    """Return for each action the `count` others that a run ranked above it most often; ties: those ranked highest."""
    if run.dataset != dataset.name:
        raise UsageError(f"Run {run.id} is on {run.dataset}, not {dataset.name}. The runs: recognize runs")
    with_video = {video.label for video in run.predictions}
    without = [action.name for action in dataset.actions if action.label not in with_video]
    if without:
        raise UserError(
            f"Run {run.id} has no video of {len(without)} of the {len(dataset.actions)} classes of {dataset.name}: "
            f"{', '.join(without)}. To choose rivals by text similarity: --against text"
        )
    above, near = Counter[tuple[int, int]](), defaultdict[tuple[int, int], float](float)
    for video in run.predictions:
        for rank, (label, _) in enumerate(video.ranking, start=1):
            above[video.label, label] += rank < video.rank
            near[video.label, label] += 1 / rank
    rivals: dict[int, list[int]] = {}
    for own, label in sorted(near, key=lambda pair: (-above[pair], -near[pair], pair)):
        if own != label:
            rivals.setdefault(own, []).append(label)
    return {
        action.name: tuple(dataset.actions[label].phrase for label in rivals[action.label][:count])
        for action in dataset.actions
    }
