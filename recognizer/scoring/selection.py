"""Select the descriptors to use; refuse selections that cannot be evaluated fairly."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from db.descriptor_filter import find_writer, near_writers
from db.errors import UsageError, UserError, first_few, unknown
from db.kinds import NAME, built_in_kinds
from db.records import STATUSES, Dataset, Descriptor
from recognizer.scoring.pack_texts import pack_descriptors
from recognizer.scoring.protocols import Names

if TYPE_CHECKING:
    from db.store import Store


@dataclass(frozen=True)
class DescriptorChoice:
    """Which descriptors are used.

    Attributes:
        kinds: descriptor kinds; None is all kinds but `name`, () is labels alone.
        statuses: review statuses.
        llms: their models or imported files, as `db.descriptor_filter.find_writer` reads them; the texts of several
            form one ensemble. None: the only one that there is. Texts written by people are always used.
        partial: use the classes that have texts with them, the others by label alone.
        texts: a text pack, as `pack_reference` gives it, whose texts form one ensemble whoever wrote them; None: what
            the database has.
        names: what texts of the kind `name` are used for, a key of `NAMES`; other than `off` chooses them too.
    """

    kinds: tuple[str, ...] | None = None
    statuses: tuple[str, ...] = ("pending", "accepted")
    llms: tuple[str, ...] | None = None
    partial: bool = False
    texts: str | None = None
    names: Names = "off"

    @property
    def without_descriptors(self) -> DescriptorChoice:
        """The same choice, of labels or their names alone."""
        return DescriptorChoice(kinds=()) if self.names == "off" else replace(self, kinds=())

    @property
    def required(self) -> tuple[str, ...]:
        """The kinds that are asked for by name."""
        return tuple(dict.fromkeys((*(self.kinds or ()), *((NAME,) if self.names != "off" else ()))))

    def takes(self, kind: str) -> bool:
        """Return whether texts of a kind are chosen."""
        if kind == NAME:
            return self.names != "off"
        return self.kinds is None or kind in self.kinds

    @property
    def labels_alone(self) -> bool:
        """Whether no descriptor is chosen."""
        return self.kinds == () and self.names == "off"


def choose_descriptors(store: Store, dataset: Dataset, choice: DescriptorChoice) -> list[Descriptor]:
    """Return the descriptors of a choice: at least one of each kind for every class, unless the choice is partial.

    Raises:
        UsageError: a kind is unknown; or the kind `name` is chosen, but not what its texts are used for.
        UserError: there are none; classes lack a kind; they are from several LLMs or files of which none is chosen; a
            name of `choice.llms` means no writer, or several; a class has several texts of the kind `name`; or the
            texts of a pack are not all there.
    """
    if choice.labels_alone:
        return []
    if choice.texts is None:
        in_use = store.descriptors(dataset, statuses=STATUSES)
    else:
        in_use = pack_descriptors(store, dataset, choice.texts)
    return choose_among(dataset, in_use, choice, prompts=_prompt_kinds(store, choice.required))


def choose_each(
    store: Store, dataset: Dataset, choices: Iterable[DescriptorChoice]
) -> dict[DescriptorChoice, list[Descriptor]]:
    """Return the descriptors of several choices, as `choose_descriptors` does; but for packs the store is read once."""
    every = list(choices)
    in_use = store.descriptors(dataset, statuses=STATUSES)
    prompts = _prompt_kinds(store, [kind for choice in every for kind in choice.required])
    return {
        choice: choose_descriptors(store, dataset, choice)
        if choice.texts
        else choose_among(dataset, in_use, choice, prompts=prompts)
        for choice in every
    }


def _prompt_kinds(store: Store, chosen: Iterable[str]) -> Collection[str]:
    """Return the kinds that a prompt asks for; refuse chosen kinds that have neither prompt nor texts."""
    prompts = store.prompt_kinds()
    known = sorted({*prompts, *store.kinds()})
    for kind in chosen:
        if kind not in known:
            raise UsageError(unknown("kind", kind, known))
    return prompts


def choose_among(
    dataset: Dataset,
    in_use: Sequence[Descriptor],
    choice: DescriptorChoice,
    *,
    prompts: Collection[str] | None = None,
) -> list[Descriptor]:
    """Return the descriptors of a choice among those in use, of any status; errors as in `choose_descriptors`.

    `prompts` are the kinds that `descgen build` can write; None: the built-in ones.
    """
    if choice.labels_alone:
        return []
    if NAME in (choice.kinds or ()) and choice.names == "off":
        raise UsageError(f"Texts of kind {NAME} stand for labels. Say how: --names replace or --names join")
    everything = [d for d in in_use if d.status in choice.statuses]
    descriptors = [d for d in everything if choice.takes(d.kind)]
    if choice.llms:
        writers = _writers(choice.llms, [d for d in in_use if d.status != "rejected"])
        descriptors = [d for d in descriptors if d.by_hand or d.writer in writers]
    elif not choice.texts:
        _refuse_mixtures(dataset, descriptors)
    stored_kinds = sorted({descriptor.kind for descriptor in everything})
    prompts = built_in_kinds() if prompts is None else prompts
    _refuse_nothing(dataset, choice, descriptors, stored_kinds, prompts)
    if not choice.partial:
        _refuse_gaps(dataset, choice, descriptors, prompts)
    _refuse_several_names(descriptors)
    return descriptors


def classes_without(dataset: Dataset, descriptors: Sequence[Descriptor]) -> Mapping[str, int]:
    """Return, by kind, how many classes have no descriptor of it: a partial choice scores them without it."""
    kinds = sorted({descriptor.kind for descriptor in descriptors})
    missing = {kind: len(_without(dataset, descriptors, kind)) for kind in kinds}
    return {kind: count for kind, count in missing.items() if count}


def _writers(names: Sequence[str], descriptors: Sequence[Descriptor]) -> set[str]:
    known = {descriptor.writer for descriptor in descriptors}
    writers = {name: find_writer(name, known) for name in names}
    absent = [name for name, writer in writers.items() if writer is None]
    if absent:
        near = "".join(near_writers(name, known) for name in absent)
        there = ", ".join(sorted(known)) or "-"
        raise UserError(f"No descriptors by {', '.join(absent)}. {near}There are some by: {there}")
    return {writer for writer in writers.values() if writer}


def _refuse_mixtures(dataset: Dataset, descriptors: Sequence[Descriptor]) -> None:
    """Refuse texts of several models, or of several files for one kind: the source of a gain would be unclear."""
    models = {descriptor.llm or "an import" for descriptor in descriptors if not descriptor.by_hand}
    files: dict[str, set[str]] = {}
    for descriptor in descriptors:
        if descriptor.origin and not descriptor.llm:
            files.setdefault(descriptor.kind, set()).add(descriptor.origin)
    mixed = {kind: names for kind, names in files.items() if len(names) > 1}
    if len(models) > 1:
        names, subject = {d.writer for d in descriptors if not d.by_hand}, "Descriptors"
    elif mixed:
        names, subject = set().union(*mixed.values()), f"Descriptors of kind {' and '.join(sorted(mixed))}"
    else:
        return
    raise UserError(
        f"{subject} are from several sources: {', '.join(sorted(names))}. Choose one with --llm NAME; give --llm "
        "again for each more to use them together; or take one out of use: "
        f"descgen reject --dataset {dataset.argument} --llm NAME --status any"
    )


def _refuse_nothing(
    dataset: Dataset,
    choice: DescriptorChoice,
    descriptors: Sequence[Descriptor],
    stored_kinds: Sequence[str],
    prompts: Collection[str],
) -> None:
    """Refuse a choice, or a kind of it, that no descriptor fits."""
    written = {descriptor.kind for descriptor in descriptors}
    empty = [kind for kind in choice.required if kind not in written]
    if empty or not descriptors:
        of_kind = f" of kind {', '.join(empty)}" if empty else ""
        others = f" (kinds with texts: {', '.join(stored_kinds)})" if empty and stored_kinds else ""
        names = f", or use its names alone: --names replace --kind {NAME}" if stored_kinds == [NAME] else ""
        command = _next(dataset, choice, empty, prompts)
        raise UserError(f"No {_described(choice)}{of_kind} for {dataset.name}{others}. {command}{names}")


def _refuse_gaps(
    dataset: Dataset, choice: DescriptorChoice, descriptors: Sequence[Descriptor], prompts: Collection[str]
) -> None:
    """Refuse classes without descriptors of a kind: their scores would not be comparable to the others'."""
    for kind in dict.fromkeys((*choice.required, *sorted({descriptor.kind for descriptor in descriptors}))):
        if missing := _without(dataset, descriptors, kind):
            command = _next(dataset, choice, [kind], prompts)
            raise UserError(
                f"No {_described(choice)} of kind {kind} for {len(missing)} of the {len(dataset.actions)} classes of "
                f"{dataset.name}: {first_few(missing)}. {command}, or score those classes by label alone: --partial"
            )


def _refuse_several_names(descriptors: Sequence[Descriptor]) -> None:
    """Refuse several texts that would each stand for the label of one class."""
    names = Counter(descriptor.action for descriptor in descriptors if descriptor.kind == NAME)
    if several := [action for action, count in names.items() if count > 1]:
        ids = " ".join(str(d.id) for d in descriptors if d.kind == NAME and d.action == several[0])
        raise UserError(
            f"{len(several)} classes have several texts of kind {NAME}, and a label has one: {first_few(several)}. "
            f"Choose with --llm NAME, or reject all but one of each class: descgen reject ID (of {several[0]}: {ids})"
        )


def _without(dataset: Dataset, descriptors: Sequence[Descriptor], kind: str) -> list[str]:
    written = {descriptor.action for descriptor in descriptors if descriptor.kind == kind}
    return [action.name for action in dataset.actions if action.name not in written]


def _described(choice: DescriptorChoice) -> str:
    return f"{' and '.join(choice.statuses)} descriptors" + (f" by {' or '.join(choice.llms)}" if choice.llms else "")


def _next(dataset: Dataset, choice: DescriptorChoice, kinds: Sequence[str], prompts: Collection[str]) -> str:
    """Return the command that gives a choice its descriptors; a kind without a prompt was imported."""
    of_kind = "".join(f" --kind {kind}" for kind in kinds)
    if choice.statuses == ("accepted",):
        return f"Accept them with: descgen accept --dataset {dataset.argument}{of_kind or ' --all'}"
    imported = next((kind for kind in kinds if kind not in prompts), None)
    if imported is not None:
        return (
            f"No prompt here asks for {imported}; import such texts: "
            f"descgen import FILE --dataset {dataset.argument} --kind {imported}"
        )
    return f"Write them with: descgen build --dataset {dataset.argument}{of_kind}"


def descriptors_digest(descriptors: Sequence[Descriptor]) -> str:
    """Return the sha256 over the ids and texts of descriptors, in any order."""
    lines = "\n".join(f"{d.id}\t{d.text}" for d in sorted(descriptors, key=lambda d: d.id))
    return hashlib.sha256(lines.encode()).hexdigest()
