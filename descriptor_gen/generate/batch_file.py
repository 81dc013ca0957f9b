"""Write the missing calls of a build to a file, for another program to make them, such as vLLM's run-batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from db.errors import UserError
from db.records import Dataset
from db.store import Store
from descriptor_gen.generate.build import missing_calls
from descriptor_gen.generate.calls import DEFAULTS, BuildOptions, Estimate, estimate
from descriptor_gen.llms import LLM, Request
from descriptor_gen.prompting.prompt import Prompt


@runtime_checkable
class AskedByFile(LLM, Protocol):
    """An LLM whose calls can be written to a file."""

    def line(self, request: Request) -> bytes:
        """Return the line of a call, with its end of line."""
        ...


@dataclass(frozen=True)
class WrittenBatch:
    """A file of calls, and what they are estimated to take.

    Attributes:
        file: its name; None if every reply is cached, so that none was written.
        bytes: its size.
        hosted: whether only a provider with a Batch API runs the model: it is OpenAI's own.
    """

    file: str | None
    bytes: int
    estimate: Estimate
    hosted: bool = False


def write_batch(
    store: Store,
    dataset: Dataset,
    path: Path,
    *,
    llm: AskedByFile,
    prompts: Sequence[Prompt],
    options: BuildOptions = DEFAULTS,
) -> WrittenBatch:
    """Write a line for each call of a build whose reply is not cached. The database is not changed.

    The file has its name only when it is whole.

    Raises:
        UserError: a file of that name exists, or it cannot be written.
    """
    if path.exists():
        raise UserError(f"{path} exists, and may be at work somewhere. Give another name, or remove it")
    calls, missing = missing_calls(store, dataset, llm=llm, prompts=prompts, options=options)
    estimated = estimate(llm, dataset, cached=len(calls) - len(missing), misses=missing)
    if not missing:
        return WrittenBatch(None, 0, estimated)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines({call.key: llm.line(call.request) for call in missing}.values())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"Cannot write {path}: {error.strerror}") from error
    return WrittenBatch(str(path), path.stat().st_size, estimated, _is_hosted(llm))


def _is_hosted(llm: LLM) -> bool:
    """Return whether a model is behind OpenAI's own address, or Azure's."""
    _, at, address = llm.identity.provider.partition("@")
    host = urlsplit(address).hostname or ""
    return not at or host.endswith((".openai.com", ".azure.com"))
