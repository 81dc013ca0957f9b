"""Embed on several devices of this machine: a process for each decodes and encodes its share of the batches.

Only this process writes the feature store; the others read in it which contents need not be decoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from db.errors import UserError
from recognizer.features.decode import ThreadPool
from recognizer.features.elsewhere import NamedEncoder, Result, fill_in, results
from recognizer.features.engines import Batch, Work, on_this_machine
from recognizer.video.pool import Decoding, DiedError, Start, Worker, cores, value_of
from recognizer.video.sampling import Sampling
from recognizer.video.worker import Call, begin, go_on

CPU = "cpu"


@dataclass(frozen=True)
class Device:
    """A GPU of this machine, or its CPU.

    Attributes:
        name: the number of the GPU, or `cpu`.
        visible: `CUDA_VISIBLE_DEVICES` of a process that uses it.
    """

    name: str
    visible: str


def on_devices(
    batches: Sequence[Batch], work: Work, *, encoder: NamedEncoder, devices: Sequence[Device]
) -> Generator[Batch]:
    """Embed every n-th batch on each of n devices; an engine.

    Args:
        batches: the same as in one process, so that the embeddings are the same to the last bit.
        work: the processes share `decoding.workers`; each has one at least, unless it is 0.
        encoder: what the processes open; each loads the weights.
        devices: a process for each, also if one is named twice.

    Raises:
        UserError: the encoder fails, or a process cannot be started or ends.
    """
    with ThreadPool(len(devices)) as threads, ExitStack() as processes:
        streams = []
        for number, (device, decoding) in enumerate(zip(devices, _parts(work.decoding, len(devices)), strict=True)):
            if share := batches[number :: len(devices)]:
                process = _Process(device)
                processes.callback(process.end)
                task = _Task(encoder, work.sampling, decoding, work.is_stored)
                streams.append(process.embed(share, task))
        yield from _as_they_come(streams, threads)


def _as_they_come(streams: Sequence[Iterator[Batch]], threads: ThreadPool) -> Iterator[Batch]:
    """Yield the items of several iterators; the next one of each is waited for in a thread."""
    asked = {threads.submit(next, stream, None): stream for stream in streams}
    while asked:
        for answer in wait(asked, return_when=FIRST_COMPLETED).done:
            stream, batch = asked.pop(answer), answer.result()
            if batch is not None:
                asked[threads.submit(next, stream, None)] = stream
                yield batch


def _parts(decoding: Decoding, count: int) -> list[Decoding]:
    """Share the worker processes among so many; without workers, nobody has one."""
    workers = cores() if decoding.workers is None else decoding.workers
    shares = [workers // count + (number < workers % count) for number in range(count)]
    return [replace(decoding, workers=max(share, min(1, workers))) for share in shares]


@dataclass(frozen=True)
class _Task:
    """What each process does with its share."""

    encoder: NamedEncoder
    sampling: Sampling
    decoding: Decoding
    is_stored: Callable[[str], bool]

    def results(self, share: Sequence[Batch]) -> Iterator[list[Result]]:
        """Yield what became of each batch, in order."""
        work = Work(self.encoder.open(), self.sampling, self.decoding, self.is_stored)
        for batch in on_this_machine(share, work):
            yield results(batch)


class _Process:
    """A process that sees one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._worker = Worker(
            Start(
                purpose=f"device {device.name}",
                instead="Embed in this process: without --devices",
                library="torch",
                memory=0,
                environment={"CUDA_VISIBLE_DEVICES": device.visible},
            )
        )

    def embed(self, share: Sequence[Batch], task: _Task) -> Iterator[Batch]:
        """Yield the batches of a share as they are embedded, in order."""
        self._call(begin, task.results, share)
        for batch in share:
            [outcomes] = self._call(go_on)
            yield fill_in(batch, outcomes)

    def end(self) -> None:
        """End it, whatever it does; its decoders end with it."""
        self._worker.end()

    def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        try:
            return value_of(self._worker.ask(Call(function, arguments, {}), math.inf))
        except DiedError as error:
            raise UserError(
                f"The process for device {self._device.name} ended ({error.cause or 'for an unknown reason'}). "
                "What was embedded is stored: run the command again"
            ) from error
