"""Import: match class names, find the kind of the texts, refuse invalid items, and add the rest to the store."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast, get_args

from db.errors import UsageError, UserError, first_few, shortened
from db.kinds import NAME
from db.progress import Progress, no_progress
from db.records import Dataset, DescriptorSource, DescriptorStatus, PortableDescriptor, Rephrased
from db.storable import NOT_STORABLE
from db.store import Store
from db.texts import clean
from db.vocabulary import BUILT_IN
from descriptor_gen.exchange.class_names import match
from descriptor_gen.exchange.readers import Contents, Entry
from descriptor_gen.prompting.prompt import kinds
from descriptor_gen.prompting.validate import KIND

_MOST_LINES = 10
_NAME_LENGTH = 200  # characters of a file's name that are stored: the last ones
_LONGEST_TEXT = 10_000  # characters


@dataclass(frozen=True)
class Refused:
    """An item of a file that cannot be imported; `number` counts the items of its class from 1."""

    key: str
    number: int
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """The result of an import.

    Attributes:
        source: name and digest of the file, as stored with the descriptors.
        kinds: descriptor kinds of the texts.
        classes: how many classes the file has texts for.
        added: new descriptors.
        already: texts that were in the database before.
        left_out: texts of an LLM that has other texts in the database for the same class and kind, and edited texts
            whose original is in the database.
        unmapped: names in the file that match no class of the dataset.
        without: classes without a text in the file.
        refused: items that cannot be imported.
        rephrased: classes whose phrase was changed, with their texts that were in use before.
    """

    dataset: str
    source: str
    kinds: tuple[str, ...]
    classes: int
    added: int
    already: int
    left_out: int
    unmapped: tuple[str, ...]
    without: tuple[str, ...]
    refused: tuple[Refused, ...]
    rephrased: tuple[Rephrased, ...] = ()


def import_descriptors(
    store: Store,
    dataset: Dataset,
    contents: Contents,
    *,
    kind: str | None = None,
    strict: bool = False,
    on_item: Progress = no_progress,
) -> ImportReport:
    """Add the texts of a file to the actions of a dataset, in one transaction.

    Args:
        kind: the kind of texts for which the file gives none; None guesses it from the file's name.
        strict: refuse the whole file if a name matches no class, or an item cannot be imported.
        on_item: called with the numbers of texts done and of all.

    Raises:
        UsageError: the kind is unknown.
        UserError: no name matches a class, or `strict` refused the file; nothing was written.
    """
    names, unmapped = _names(store, dataset, contents)
    refused = tuple(_refused(contents.entries))
    if not names:
        raise UserError(_no_class(dataset, contents, unmapped))
    if strict and (unmapped or refused):
        raise UserError("\n".join(["Nothing was imported.", *left_out_lines(dataset.name, refused, unmapped)]))
    items = _portable(contents, names, _kind(contents, kind))
    rephrased = store.rephrased(dataset)
    outcome = store.add_portable(dataset, items, on_item=on_item)
    with_texts = {item.action for item in items}
    return ImportReport(
        dataset=dataset.name,
        source=_origin(contents),
        kinds=tuple(sorted({item.kind for item in items})),
        classes=len(with_texts),
        **asdict(outcome),
        unmapped=unmapped,
        without=tuple(action.name for action in dataset.actions if action.name not in with_texts),
        refused=refused,
        rephrased=rephrased,
    )


def _names(store: Store, dataset: Dataset, contents: Contents) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return name in the file -> class, and the names that match no class."""
    texts: dict[str, list[str]] = {}
    for entry in contents.entries:
        texts.setdefault(entry.action, []).append(str(entry.text))
    names = match(dataset, texts, file=contents.name, sizes=_sizes(store))
    return names, tuple(key for key in texts if key not in names)


def left_out_lines(dataset: str, refused: Sequence[Refused], unmapped: Sequence[str]) -> list[str]:
    """Return lines about what is not imported, of at most a few names each."""
    lines = [f"refused: {shortened(item.key)}, item {item.number}: {item.reason}" for item in refused[:_MOST_LINES]]
    if (more := len(refused) - _MOST_LINES) > 0:
        lines.append(f"refused: {more} more items")
    if unmapped:
        lines.append(f"names that are no class of {dataset} ({len(unmapped)}): {first_few(unmapped)}")
    return lines


def _sizes(store: Store) -> dict[str, int]:
    """Return the number of classes of each known dataset."""
    names = dict.fromkeys([*BUILT_IN, *store.datasets()])
    return {name: len(store.dataset(name).actions) for name in names}


def _origin(contents: Contents) -> str:
    return f"{clean(contents.name)[-_NAME_LENGTH:]} sha256:{contents.digest}"


def _no_class(dataset: Dataset, contents: Contents, unmapped: Sequence[str]) -> str:
    return (
        f"No name in {contents.name} is a class of {dataset.name}: {first_few(unmapped)}. "
        f"Its classes: {', '.join(action.name for action in dataset.actions[:5])}, ... Is the file for another dataset?"
    )


def _fault(entry: Entry) -> str | None:
    """Return why an item cannot be imported; None if it can."""
    if entry.text == []:
        return "an empty list"
    if not isinstance(entry.text, str):
        return f"{type(entry.text).__name__}, not a text"
    not_storable = NOT_STORABLE.search(entry.text)
    sources, statuses = get_args(DescriptorSource), get_args(DescriptorStatus)
    checks = (
        (not clean(entry.text).strip(), "empty"),
        (len(entry.text) > _LONGEST_TEXT, f"{len(entry.text)} characters; {_LONGEST_TEXT} at most"),
        (not_storable, f"holds the character {not_storable and not_storable.group()!r}"),
        (entry.source not in (None, *sources), f"source {entry.source!r:.50}, known: {', '.join(sources)}"),
        (entry.status not in (None, *statuses), f"status {entry.status!r:.50}, known: {', '.join(statuses)}"),
        (
            entry.kind and not KIND.fullmatch(entry.kind),
            f"kind {entry.kind!r:.50}: small letters, digits, _ and - only",
        ),
    )
    return next((reason for fails, reason in checks if fails), None)


def _refused(entries: Sequence[Entry]) -> Iterator[Refused]:
    numbers: Counter[str] = Counter()
    for entry in entries:
        numbers[entry.action] += 1
        if reason := _fault(entry):
            yield Refused(entry.action, numbers[entry.action], reason)


def _kind(contents: Contents, kind: str | None) -> str:
    """Return the kind of the texts for which the file gives none; "" if it gives all kinds."""
    if all(entry.kind for entry in contents.entries):
        if kind:
            raise UsageError(f"{contents.name} gives the kind of each text. Leave --kind out")
        return ""
    words = re.split(r"[\W_]+", contents.name.lower())
    # "name" in a file's name may be about anything: class_name.json
    named = [kind] if kind else [name for name in kinds() if name in words and name != NAME]
    if len(named) != 1 or not KIND.fullmatch(named[0]):
        problem = f"{kind!r} is no name of a kind" if kind else f"{contents.name} does not say its kind"
        raise UsageError(f"{problem}. Give --kind with one of {', '.join(kinds())}, or a word of your own such as all")
    return named[0]


def _portable(contents: Contents, names: Mapping[str, str], kind: str) -> list[PortableDescriptor]:
    positions: Counter[tuple[str, str]] = Counter()
    items = []
    for entry in contents.entries:
        if entry.action not in names or _fault(entry):
            continue
        group = (names[entry.action], entry.kind or kind)
        position = positions[group] if entry.position is None else entry.position
        items.append(_item(entry, contents, *group, position))
        positions[group] += 1
    return items


def _item(entry: Entry, contents: Contents, action: str, kind: str, position: int) -> PortableDescriptor:
    """Return one text. Its source is the file, unless it was written by a person or by an LLM whose call is known."""
    has_writer = entry.source == "human" or (entry.source == "llm" and entry.call)
    originals = entry.originals if entry.source == "human" else ()
    return PortableDescriptor(
        action=action,
        kind=kind,
        position=position,
        text=clean(entry.text).strip(),
        source=cast(DescriptorSource, entry.source) if has_writer else "import",
        status=cast(DescriptorStatus, entry.status or "pending"),
        origin=entry.origin if has_writer else entry.origin or _origin(contents),
        call=entry.call,
        originals=tuple(
            replace(
                original,
                text=clean(original.text),
                source="import" if original.source == "llm" and not entry.call else original.source,
            )
            for original in originals
        ),
    )
