"""Filter descriptors by kind, status and writer; if none matches, the error says which ones exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from db.errors import UserError, did_you_mean
from db.kinds import built_in_kinds
from db.records import Dataset, Descriptor, PortableDescriptor

Text = TypeVar("Text", Descriptor, PortableDescriptor)
LLM_HELP = "A model, an imported file, or hand (written by people): its name, or a part that only it has"


@dataclass(frozen=True)
class DescriptorFilter:
    """Conditions on a descriptor; None is no condition.

    Attributes:
        statuses: review statuses.
        kinds: descriptor kinds.
        llm: a writer, as `find_writer` reads it.
    """

    statuses: Sequence[str]
    kinds: Sequence[str] | None = None
    llm: str | None = None

    def __str__(self) -> str:
        writer = f" by {self.llm}" if self.llm else ""
        kinds = f" of kind {' or '.join(self.kinds)}" if self.kinds else ""
        return f"{' or '.join(self.statuses)} descriptors{writer}{kinds}"


def find_writer(name: str, writers: Collection[str]) -> str | None:
    """Return the writer that a name means; None if it means none.

    The name is compared in any case, first with whole names (an imported file also without its digest), then with
    parts of them. The prefix of a model (`openai:gpt-5`, `hf:org/model`) may stay.

    Raises:
        UserError: it is part of several names.
    """
    wanted = name.removeprefix("openai:").removeprefix("hf:").casefold()
    exact = [writer for writer in writers if wanted in (writer.casefold(), writer.rpartition(" ")[0].casefold())]
    matching = exact or [writer for writer in writers if wanted in writer.casefold()]
    if len(matching) > 1:
        raise UserError(f"--llm {name} means several: {', '.join(sorted(matching))}. Give more of the name")
    return matching[0] if matching else None


def near_writers(name: str, writers: Collection[str]) -> str:
    """Return `Did you mean a or b? `, the writers that are spelled like a name, files without their digests."""
    return did_you_mean(name, sorted({writer.rpartition(" ")[0] or writer for writer in writers}))


def filter_descriptors(dataset: Dataset, stored: Sequence[Text], descriptor_filter: DescriptorFilter) -> list[Text]:
    """Return the stored descriptors of a dataset that match a filter.

    Raises:
        UserError: none matches (the message says which ones exist, and how to write others), or the name of the writer
            means several.
    """
    chosen = descriptor_filter
    writers = {text.writer for text in stored}
    writer = find_writer(chosen.llm, writers) if chosen.llm else None
    matching = [
        text
        for text in stored
        if text.status in chosen.statuses
        and (chosen.kinds is None or text.kind in chosen.kinds)
        and (chosen.llm is None or text.writer == writer)
    ]
    if matching:
        return matching
    names = [action.name for action in dataset.actions]
    subject = dataset.name + (f" ({', '.join(names)})" if len(names) <= 3 else "")
    command = f"descgen build --dataset {dataset.argument}"
    if not stored:
        raise UserError(f"No descriptors of {subject} in this database. Write them with: {command}")
    counts = Counter((text.kind, text.status, text.writer) for text in stored)
    others = ", ".join(f"{count} {kind} {status} by {name}" for (kind, status, name), count in sorted(counts.items()))
    prompts = {*built_in_kinds(), *(text.kind for text in stored if text.source == "llm")}  # others were imported
    kinds = "".join(f" --kind {kind}" for kind in chosen.kinds or () if kind in prompts)
    near = near_writers(chosen.llm, writers) if chosen.llm and writer is None else ""
    raise UserError(f"No {chosen} of {subject}. {near}Stored: {others}. Write others with: {command}{kinds}")
