"""A worker process: it calls functions for the process that started it, and ends with it. `pool` is the other side.

Calls come in through a pipe and outcomes go out through another one. A message is a pickle whose arrays follow as they
are: copied once, and nothing is left in shared memory when a process is killed.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from recognizer.video.worker import serve; serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))"
)  # with the paths that the starting process imports from, and what `serve` takes


@dataclass(frozen=True)
class Call:
    """A function of a module, with its arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a call returned or raised, and its warnings."""

    value: Any = None
    error: Exception | None = None
    warned: tuple[tuple[type[Warning], str], ...] = ()


def send(stream: BinaryIO, message: Any) -> None:
    """Write a message: the sizes of its parts, the pickle, the arrays."""
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(head), *(array.raw() for array in arrays)]
    stream.write(struct.pack(f"<Q{len(parts)}Q", len(parts), *(part.nbytes for part in parts)))
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read a message.

    Raises:
        EOFError: the other side has ended.
    """
    (count,) = struct.unpack("<Q", _exactly(stream, 8))
    sizes = struct.unpack(f"<{count}Q", _exactly(stream, 8 * count))
    head, *arrays = [_exactly(stream, size) for size in sizes]
    return pickle.loads(head, buffers=arrays)  # noqa: S301 - from a process of this program


def _exactly(stream: BinaryIO, size: int) -> bytearray:
    part = bytearray(size)
    if stream.readinto(part) < size:  # type: ignore[attr-defined]
        raise EOFError
    return part


def widen(pipe: BinaryIO) -> None:
    """Let a pipe hold 1 MB instead of 64 kB, where the system allows it: frames pass with fewer process switches."""
    if sys.platform == "linux":
        from fcntl import F_SETPIPE_SZ, fcntl

        with suppress(OSError):  # the pipes of a user have a limit together
            fcntl(pipe, F_SETPIPE_SZ, 2**20)


def serve(library: str, memory: int, nice: int = 0) -> None:
    """Answer the calls that come by standard input until it ends.

    Args:
        library: what it imports first: decord comes after torch if both are used.
        memory: bytes that this process may allocate; 0 is no limit.
        nice: how far it stands back behind the process that started it, where the system knows that.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one decides
    calls, outcomes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)  # what a decoder prints is no message
    _limit_memory(memory)
    if hasattr(os, "nice"):
        os.nice(nice)
    with suppress(ImportError, OSError):
        import_module(library)
    waiting = SimpleQueue[bytes]()
    Thread(target=_listen, args=(calls, waiting), daemon=True).start()
    send(outcomes, "ready")
    while True:
        send(outcomes, _outcome(waiting.get()))


def _listen(calls: BinaryIO, waiting: SimpleQueue[bytes]) -> None:
    """Put calls into a queue; end this process with the one that started it, even while a decoder hangs."""
    try:
        while True:
            waiting.put(receive(calls))
    finally:
        os._exit(0)


def _outcome(call: bytes) -> Outcome:
    """Run a call; every error is an outcome."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            asked: Call = pickle.loads(call)  # noqa: S301 - here, so that an error of an import is an outcome too
            outcome = Outcome(asked.function(*asked.arguments, **asked.options))
        except Exception as error:
            error.add_note("".join(traceback.format_exception(error)))
            outcome = Outcome(error=error)
    return Outcome(outcome.value, outcome.error, tuple((w.category, str(w.message)) for w in caught))


_stream: Iterator[Any] = iter(())


def begin(function: Callable[..., Iterator[Any]], *arguments: Any) -> None:
    """Begin a stream, the items of a generator function; `go_on` returns one after the other."""
    global _stream
    _stream = function(*arguments)


def go_on() -> tuple[Any, ...]:
    """Return the next item of the stream as a tuple of one; () at its end."""
    return tuple(islice(_stream, 1))


def _limit_memory(size: int) -> None:
    """Limit what this process allocates: the files that it maps do not count. It writes no core dump when it dies."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit or hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def half_of_memory() -> int:
    """Return half of the machine's memory in bytes, or of the container's if that has less; 0 if it is unknown."""
    try:
        sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):
        return 0
    group = Path("/sys/fs/cgroup/memory.max")
    limit = group.read_text().strip() if group.exists() else ""
    return min([*sizes, *([int(limit)] if limit.isdecimal() else [])]) // 2
