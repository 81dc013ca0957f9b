"""Select the descriptors to use; refuse selections that cannot be evaluated fairly."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from db.errors import UserError
from db.records import Dataset, Descriptor
from db.store import Store


@dataclass(frozen=True)
class DescriptorChoice:
    """Which descriptors are used.

    Attributes:
        kinds: descriptor kinds; None is all kinds, () is labels alone.
        statuses: review statuses.
        llm: part of the name of their model or imported file; needed only if there are several. Texts written by
            people are always used.
    """

    kinds: tuple[str, ...] | None = None
    statuses: tuple[str, ...] = ("pending", "accepted")
    llm: str | None = None


def choose_descriptors(store: Store, dataset: Dataset, choice: DescriptorChoice) -> list[Descriptor]:
    """Return the descriptors of a choice: at least one of each kind for every class, all from one source.

    Raises:
        UserError: there are none, some classes lack a kind, or they are from several LLMs or files.
    """
    if choice.kinds == ():
        return []
    everything = store.descriptors(dataset, statuses=choice.statuses)
    descriptors = [d for d in everything if choice.kinds is None or d.kind in choice.kinds]
    if choice.llm:
        descriptors = [d for d in descriptors if d.by_hand or d.written_by(choice.llm)]
    _refuse_mixtures(descriptors)
    kinds = choice.kinds or sorted({descriptor.kind for descriptor in descriptors})
    _refuse_gaps(dataset, choice, kinds, descriptors, known_kinds={descriptor.kind for descriptor in everything})
    return descriptors


def _refuse_mixtures(descriptors: Sequence[Descriptor]) -> None:
    """Refuse texts of several models, or of several files for one kind: the source of a gain would be unclear."""
    models = {descriptor.llm or "an import" for descriptor in descriptors if not descriptor.by_hand}
    files: dict[str, set[str]] = {}
    for descriptor in descriptors:
        if descriptor.origin and not descriptor.llm:
            files.setdefault(descriptor.kind, set()).add(descriptor.origin)
    mixed = sorted({name for names in files.values() if len(names) > 1 for name in names})
    if len(models) > 1 or mixed:
        names = mixed if len(models) == 1 else sorted({d.writer for d in descriptors if not d.by_hand})
        raise UserError(
            f"Descriptors of several sources: {', '.join(names)}. Choose one with --llm, by part of its name"
        )


def _refuse_gaps(
    dataset: Dataset,
    choice: DescriptorChoice,
    kinds: Sequence[str],
    descriptors: Sequence[Descriptor],
    *,
    known_kinds: set[str],
) -> None:
    """Refuse classes without descriptors of a kind: their scores would not be comparable to the others'."""
    described = f"{' and '.join(choice.statuses)} descriptors" + (f" by {choice.llm}" if choice.llm else "")
    command = f"Write them with: descgen build --dataset {dataset.name}"
    if choice.statuses == ("accepted",):
        command = f"Accept them with: descgen accept --dataset {dataset.name} --all"
    if not descriptors and not choice.kinds:
        raise UserError(f"No {described} for {dataset.name}. {command}")
    for kind in kinds:
        written = {descriptor.action for descriptor in descriptors if descriptor.kind == kind}
        missing = [action.name for action in dataset.actions if action.name not in written]
        if missing:
            no_class = f"any (known kinds: {', '.join(sorted(known_kinds)) or 'none'})"
            names = ", ".join(missing) if written else no_class
            raise UserError(
                f"No {described} of kind {kind} for {len(missing)} of the {len(dataset.actions)} classes of "
                f"{dataset.name}: {names}. {command} --kind {kind}"
            )


def descriptors_digest(descriptors: Sequence[Descriptor]) -> str:
    """Return the sha256 over the ids and texts of descriptors, in any order."""
    lines = "\n".join(f"{d.id}\t{d.text}" for d in sorted(descriptors, key=lambda d: d.id))
    return hashlib.sha256(lines.encode()).hexdigest()
