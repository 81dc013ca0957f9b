"""The job of an import: whose class, which kind, what is refused; then into the store, beside what is there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

from db.errors import UsageError, UserError
from db.records import Dataset, DescriptorSource, DescriptorStatus, Original, Portable
from db.store import Store
from descriptor_gen.exchange.class_names import match
from descriptor_gen.exchange.readers import Contents, Entry, keys_of
from descriptor_gen.prompting.prompt import kinds

_KIND = re.compile(r"[a-z][a-z0-9_-]{0,99}")
_NAME_LENGTH = 200  # of a file's name in the database; its end says more than its beginning


@dataclass(frozen=True)
class Refused:
    """An item of a file that is no text; `number` counts the items of its class from 1."""

    key: str
    number: int
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        source: name and digest of the file, as the descriptors keep it.
        kinds: descriptor kinds of the texts.
        classes: how many classes the file has texts for.
        added: new descriptors.
        already: texts that were there before.
        left_out: texts of an LLM that has its own others here, for the same class and kind; and edited texts where
            what was edited is here.
        unmapped: the file's names that are no class of the dataset.
        without: classes that the file has no texts for.
        refused: items that are no texts.
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


def import_descriptors(
    store: Store, dataset: Dataset, contents: Contents, *, kind: str | None = None, strict: bool = False
) -> ImportReport:
    """Add the texts of a file to a dataset's actions, in one transaction.

    Args:
        store: where they go.
        dataset: whose actions the file's names are.
        contents: the file.
        kind: of texts whose kind the file does not say; None is to guess it from the file's name.
        strict: whether names that do not map and items that are no texts are an error.

    Raises:
        UsageError: the kind is not known.
        UserError: no name maps, or `strict`; nothing was written.
    """
    keys = keys_of(contents.entries)
    names = match(dataset, keys)
    refused = tuple(_refused(contents.entries))
    unmapped = tuple(key for key in keys if key not in names)
    _refuse(dataset, contents, unmapped, refused, strict=strict, mapped=bool(names))
    items = _portable(contents, names, _kind(contents, kind))
    outcome = store.add_portable(dataset, items)
    with_texts = {item.action for item in items}
    return ImportReport(
        dataset=dataset.name,
        source=origin(contents),
        kinds=tuple(sorted({item.kind for item in items})),
        classes=len(with_texts),
        added=outcome.added,
        already=outcome.already,
        left_out=outcome.left_out,
        unmapped=unmapped,
        without=tuple(action.name for action in dataset.actions if action.name not in with_texts),
        refused=refused,
    )


def origin(contents: Contents) -> str:
    """Return the mark of a file on its descriptors: its name, and a digest of what was in it."""
    return f"{contents.name[-_NAME_LENGTH:]} sha256:{contents.digest}"


def _refuse(
    dataset: Dataset,
    contents: Contents,
    unmapped: Sequence[str],
    refused: Sequence[Refused],
    *,
    strict: bool,
    mapped: bool,
) -> None:
    if not mapped:
        some = ", ".join(unmapped[:5]) + (", ..." if len(unmapped) > 5 else "")
        raise UserError(
            f"No name in {contents.name} is a class of {dataset.name}: {some}. "
            f"Its classes: {', '.join(action.name for action in dataset.actions[:5])}, ... Is it of another dataset?"
        )
    if strict and (unmapped or refused):
        lines = [f"not a class of {dataset.name}: {key}" for key in unmapped]
        lines += [f"{item.key}, item {item.number}: {item.reason}" for item in refused]
        raise UserError("\n".join(["Nothing was imported.", *lines]))


def _not_text(entry: Entry) -> str | None:
    return None if isinstance(entry.text, str) else f"{type(entry.text).__name__}, not a text"


def _empty(entry: Entry) -> str | None:
    return None if entry.text.strip() else "empty"


def _not_storable(entry: Entry) -> str | None:
    """Name what databases do not take: NUL, and halves of surrogate pairs, which JSON can spell."""
    bad = re.search("[\x00\ud800-\udfff]", entry.text)
    return f"holds the character {bad.group()!r}" if bad else None


def _unknown_source(entry: Entry) -> str | None:
    known = get_args(DescriptorSource)
    return None if entry.source in (None, *known) else f"source {entry.source!r}, known: {', '.join(known)}"


def _unknown_status(entry: Entry) -> str | None:
    known = get_args(DescriptorStatus)
    return None if entry.status in (None, *known) else f"status {entry.status!r}, known: {', '.join(known)}"


def _unfit_kind(entry: Entry) -> str | None:
    fits = entry.kind is None or _KIND.fullmatch(entry.kind)
    return None if fits else f"kind {entry.kind!r}: small letters, digits, _ and - only"


_FAULTS: tuple[Callable[[Entry], str | None], ...] = (
    _not_text, _empty, _not_storable, _unknown_source, _unknown_status, _unfit_kind
)  # fmt: skip


def _fault(entry: Entry) -> str | None:
    return next((reason for fault in _FAULTS if (reason := fault(entry))), None)


def _refused(entries: Sequence[Entry]) -> Iterator[Refused]:
    numbers: Counter[str] = Counter()
    for entry in entries:
        numbers[entry.key] += 1
        if reason := _fault(entry):
            yield Refused(entry.key, numbers[entry.key], reason)


def _kind(contents: Contents, kind: str | None) -> str:
    """Return the kind of texts whose kind the file does not say; "" where it says all of them."""
    if all(entry.kind for entry in contents.entries):
        if kind:
            raise UsageError(f"{contents.name} says the kind of each text. Leave --kind out")
        return ""
    words = re.split(r"[\W_]+", contents.name.lower())
    named = [kind] if kind else [known for known in kinds() if known in words]
    if len(named) != 1 or not _KIND.fullmatch(named[0]):
        what = f"{kind!r} is no name of a kind" if kind else f"{contents.name} does not say its kind"
        raise UsageError(f"{what}. Give --kind with one of {', '.join(kinds())}, or a word of your own such as all")
    return named[0]


def _portable(contents: Contents, names: Mapping[str, str], kind: str) -> list[Portable]:
    positions: Counter[tuple[str, str]] = Counter()
    items = []
    for entry in contents.entries:
        if entry.key not in names or _fault(entry):
            continue
        place = (names[entry.key], entry.kind or kind)
        position = positions[place] if entry.position is None else entry.position
        positions[place] += 1
        items.append(_item(entry, contents, *place, position))
    return items


def _item(entry: Entry, contents: Contents, action: str, kind: str, position: int) -> Portable:
    """Return one text; one that says neither who wrote it nor how comes from the file, and no further."""
    written = entry.source == "human" or (entry.source == "llm" and entry.call)
    return Portable(
        action=action,
        kind=kind,
        position=position,
        text=entry.text.strip(),
        source=cast(DescriptorSource, entry.source) if written else "import",
        status=cast(DescriptorStatus, entry.status or "pending"),
        origin=entry.origin if written else entry.origin or origin(contents),
        call=entry.call,
        originals=_originals(entry) if entry.source == "human" else (),
    )


def _originals(entry: Entry) -> tuple[Original, ...]:
    """Return what a person edited; here as well an LLM wrote only what its call shows."""
    return tuple(
        replace(each, source="import") if each.source == "llm" and not entry.call else each for each in entry.originals
    )
