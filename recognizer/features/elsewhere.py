"""What engines send to other processes and get back: an encoder by its name, batches, what became of the videos."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Self

from db.errors import UserError
from encoders.protocol import Encoder, Precision, traits_of
from encoders.registry import find_encoder, trusting_files, trusts_files
from recognizer.features.decode import PendingVideo
from recognizer.features.engines import Batch

Result = tuple[Any, ...]
_RESULT = ("key", "failure", "note", "truncated", "vectors")  # what an engine fills in


@dataclass(frozen=True)
class NamedEncoder:
    """An encoder as another process opens it: by its name. Its weights are looked for there.

    Attributes:
        name: as `--encoder` takes it.
        precision: of its weights and arithmetic.
        trusted: whether code in its file may run; see `trusting_files`.
        identity: id, revision and key of the encoder that is meant.
    """

    name: str
    precision: Precision
    trusted: bool
    identity: tuple[str, ...]

    @classmethod
    def of(cls, name: str, precision: Precision, encoder: Encoder) -> Self:
        """Return how to open an encoder that this process opened by that name."""
        return cls(name, precision, trusts_files(), _identity(encoder))

    def open(self) -> Encoder:
        """Return the encoder, opened once in this process.

        Raises:
            UserError: it cannot be opened here, or is another one here.
        """
        return _opened(self)


@cache
def _opened(named: NamedEncoder) -> Encoder:
    with trusting_files() if named.trusted else nullcontext():
        encoder = find_encoder(named.name, precision=named.precision)
    if _identity(encoder) != named.identity:
        raise UserError(
            f"The encoder {named.name} is not the same everywhere: {' '.join(_identity(encoder))} in a process that "
            f"embeds, {' '.join(named.identity)} where the command runs. Give all machines the same files"
        )
    return encoder


def _identity(encoder: Encoder) -> tuple[str, ...]:
    key = traits_of(encoder).key
    return encoder.id, encoder.revision, *(f"{name}={key[name]}" for name in sorted(key))


def packed(batch: Batch) -> bytes:
    """Return a batch of located videos as bytes; their paths are absolute, since the current folder may differ."""
    return pickle.dumps([_absolute(pending) for pending in batch])


def _absolute(pending: PendingVideo) -> PendingVideo:
    assert pending.source is not None  # noqa: S101 - the caller passes videos that were located
    files = tuple(file.absolute() for file in pending.source.files)
    return replace(pending, path=pending.path.absolute(), source=replace(pending.source, files=files))


def results(batch: Batch) -> list[Result]:
    """Return what became of each video of a batch."""
    return [tuple(getattr(pending, name) for name in _RESULT) for pending in batch]


def fill_in(batch: Batch, outcomes: Sequence[Result]) -> Batch:
    """Fill what became of them elsewhere into the videos of a batch, and return it."""
    for pending, values in zip(batch, outcomes, strict=True):
        for name, value in zip(_RESULT, values, strict=True):
            setattr(pending, name, value)
    return batch
