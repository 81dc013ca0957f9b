"""Which descriptors are used, and which choices are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from db.errors import UserError
from db.records import Dataset, Descriptor
from db.store import Store


@dataclass(frozen=True)
class Choice:
    """Which descriptors are used.

    Attributes:
        kinds: descriptor kinds; None is all that there are, () is none: labels alone.
        statuses: review statuses.
        llm: part of the name of the model, or of the imported file, that they are from; None where there is one.
            Texts that a person wrote are always taken.
    """

    kinds: tuple[str, ...] | None = None
    statuses: tuple[str, ...] = ("pending", "accepted")
    llm: str | None = None


def choose_descriptors(store: Store, dataset: Dataset, choice: Choice) -> list[Descriptor]:
    """Return the descriptors of a choice: at least one of each kind for every class, all from one source.

    Raises:
        UserError: there are none, some are missing, or they are of several LLMs or files and none is chosen.
    """
    if choice.kinds == ():
        return []
    everything = store.descriptors(dataset, statuses=choice.statuses)
    found = [d for d in everything if choice.kinds is None or d.kind in choice.kinds]
    if choice.llm:
        found = [d for d in found if (wrote := d.writer) is None or choice.llm.lower() in wrote.lower()]
    _refuse_mixtures(found)
    kinds = choice.kinds or sorted({descriptor.kind for descriptor in found})
    _refuse_gaps(dataset, choice, kinds, found, there=sorted({descriptor.kind for descriptor in everything}))
    return found


def _refuse_mixtures(found: Sequence[Descriptor]) -> None:
    """Refuse texts of several models, or of several files for one kind: what they gain could be told of neither."""
    models = {descriptor.llm or "an import" for descriptor in found if descriptor.writer}
    files: dict[str, set[str]] = {}
    for descriptor in found:
        if descriptor.origin and not descriptor.llm:
            files.setdefault(descriptor.kind, set()).add(descriptor.origin)
    mixed = sorted({name for of_kind in files.values() if len(of_kind) > 1 for name in of_kind})
    if len(models) > 1 or mixed:
        names = mixed if len(models) == 1 else sorted({wrote for d in found if (wrote := d.writer)})
        raise UserError(
            f"Descriptors of several sources: {', '.join(names)}. Choose one with --llm, by part of its name"
        )


def _refuse_gaps(
    dataset: Dataset, choice: Choice, kinds: Sequence[str], found: Sequence[Descriptor], *, there: Sequence[str]
) -> None:
    """Refuse classes without descriptors of a kind: their score would be made in another way than the others'."""
    what = f"{' and '.join(choice.statuses)} descriptors" + (f" by {choice.llm}" if choice.llm else "")
    command = f"Write them with: descgen build --dataset {dataset.name}"
    if choice.statuses == ("accepted",):
        command = f"Accept them with: descgen accept --dataset {dataset.name} --all"
    if not found and not choice.kinds:
        raise UserError(f"No {what} for {dataset.name}. {command}")
    for kind in kinds:
        written = {descriptor.action for descriptor in found if descriptor.kind == kind}
        missing = [action.name for action in dataset.actions if action.name not in written]
        if missing:
            which = ", ".join(missing) if written else f"any (kinds that there are: {', '.join(there) or 'none'})"
            raise UserError(
                f"No {what} of kind {kind} for {len(missing)} of the {len(dataset.actions)} classes of "
                f"{dataset.name}: {which}. {command} --kind {kind}"
            )


def descriptors_digest(descriptors: Sequence[Descriptor]) -> str:
    """Return the sha256 over the ids and texts of descriptors: the same texts in the same rows, the same digest."""
    lines = "\n".join(f"{d.id}\t{d.text}" for d in sorted(descriptors, key=lambda d: d.id))
    return hashlib.sha256(lines.encode()).hexdigest()
