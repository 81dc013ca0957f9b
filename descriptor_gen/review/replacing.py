"""Replace words in many texts as one decision: what each text would become, which texts are left out and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from db.errors import UsageError
from db.records import Dataset, Descriptor
from db.reviews import normalised
from db.texts import clean
from descriptor_gen.lint.rules import Finding, Limits, template_items
from descriptor_gen.review.flags import lint_flags

LONGEST_TEXT = 2000  # characters
Reason = Literal["would be empty", "would be too long", "would be the same as another text"]


@dataclass(frozen=True)
class Words:
    """Which words become which others.

    Attributes:
        old: any part of a text, as it is written.
        new: may be empty.
        whole: only whole words.
        case: only where upper and lower case are the same.
    """

    old: str
    new: str
    whole: bool = False
    case: bool = False

    def __post_init__(self) -> None:
        if not self.old.strip():
            raise UsageError("Which words are to be replaced? Give at least one character")
        if (longest := max(len(self.old), len(self.new))) > LONGEST_TEXT:
            raise UsageError(f"Words to replace have at most {LONGEST_TEXT} characters; these have {longest}")

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Where the old words are in a text."""
        pattern = rf"(?<!\w){re.escape(self.old)}(?!\w)" if self.whole else re.escape(self.old)
        return re.compile(pattern, 0 if self.case else re.IGNORECASE)

    def applied(self, text: str) -> str:
        """Return a text with the new words."""
        return self.pattern.sub(lambda _: self.new, text)


@dataclass(frozen=True)
class Replaced:
    """One text before and after; `flags`: what lint finds in the new text and not in the old one."""

    descriptor: Descriptor
    text: str
    flags: Sequence[Finding] = ()


@dataclass(frozen=True)
class LeftOut:
    """A text that has the words and stays as it is; `reason`: what would be wrong with the new text."""

    descriptor: Descriptor
    reason: Reason


@dataclass(frozen=True)
class Preview:
    """What replacing would do.

    Attributes:
        searched: how many texts were looked at.
        replaced: the texts that would change, in order.
        left_out: the texts that have the words and would not change.
    """

    searched: int
    replaced: tuple[Replaced, ...]
    left_out: tuple[LeftOut, ...]


def preview(every: Sequence[Descriptor], chosen: Iterable[Descriptor], words: Words) -> Preview:
    """Return what replacing words in the chosen texts would do.

    Args:
        every: all texts in use; a text may not become the same as another one of its class and kind.
        chosen: some of them.
        words: to be replaced.

    Raises:
        UsageError: the new words have a character that databases refuse.
    """
    searched, replaced, left_out = 0, [], []
    taken = {_place(d, d.text): d.id for d in every}
    for descriptor in chosen:
        searched += 1
        text = words.applied(descriptor.text)
        if text != descriptor.text:
            text = normalised(text) if clean(text).strip() else ""
        if text == descriptor.text:
            continue
        if reason := _reason(descriptor, text, taken):
            left_out.append(LeftOut(descriptor, reason))
            continue
        replaced.append(Replaced(descriptor, text))
        taken[_place(descriptor, text)] = descriptor.id
    return Preview(searched, tuple(replaced), tuple(left_out))


def _place(descriptor: Descriptor, text: str) -> tuple[str, str, str]:
    return descriptor.action, descriptor.kind, text


def _reason(descriptor: Descriptor, text: str, taken: Mapping[tuple[str, str, str], int]) -> Reason | None:
    if not text:
        return "would be empty"
    if len(text) > LONGEST_TEXT:
        return "would be too long"
    other = taken.get(_place(descriptor, text), descriptor.id)
    return "would be the same as another text" if other != descriptor.id else None


def linted(dataset: Dataset, every: Sequence[Descriptor], would: Preview) -> Preview:
    """Return a preview with what lint finds in the new texts and not in the old ones."""
    if not would.replaced:
        return would
    by_id = {item.descriptor.id: item.text for item in would.replaced}
    after = [replace(d, text=by_id[d.id]) if d.id in by_id else d for d in every]
    limits = Limits(items=template_items())
    old, new = (lint_flags(dataset, part, limits).by_id for part in (every, after))
    known = {(number, finding.rule) for number, findings in old.items() for finding in findings}
    return replace(
        would, replaced=tuple(_flagged(item, new.get(item.descriptor.id, ()), known) for item in would.replaced)
    )


def _flagged(item: Replaced, findings: Sequence[Finding], known: Collection[tuple[int, str]]) -> Replaced:
    new = tuple(finding for finding in findings if (item.descriptor.id, finding.rule) not in known)
    return replace(item, flags=new)
