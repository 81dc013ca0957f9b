"""Read videos in worker processes: a decoder that hangs or dies takes only its own video with it.

A worker is a new Python interpreter that imports no torch: it starts in half a second. It is no fork, since the threads
of torch do not survive one, and none of `multiprocessing`, which would run the user's script again. Workers start when
they are first needed; one is kept for the next videos of this process.

No worker is a sandbox: it protects from faults of decoders, not from code that uses one to get in.
"""

from __future__ import annotations

import atexit
import json
import os
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any, BinaryIO, Self, TypeVar, cast

from db.errors import UsageError, UserError
from recognizer.video.container import InaccessibleVideo, UnreadableVideo
from recognizer.video.extracted import read_video
from recognizer.video.frames import Frames
from recognizer.video.time_limit import TimeLimit
from recognizer.video.worker import START, Call, Outcome, begin, go_on, half_of_memory, receive, send, widen

DIED = "the decoder died"
TOO_LONG = "the decoder took too long"

_SECONDS = 60.0  # of the default time limit, and this many more for each MB of the file: films need minutes
_SECONDS_PER_MB = 10.0
_FROM_OUTSIDE = {"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"}  # a process gets these from others

Result = TypeVar("Result")


@dataclass(frozen=True)
class Decoding:
    """How videos are read.

    Attributes:
        workers: processes; None is one for each core. 0 reads in this process, without any limit: a decoder that hangs
            or dies takes all with it.
        timeout: seconds for one video; None is 60, and 10 more for each MB of it.
        read: `read_video`, or a function of your own with the same arguments, in a module that workers can import.

    Raises:
        UsageError: a number is out of range, or there is a time limit and no worker.
    """

    workers: int | None = None
    timeout: float | None = None
    read: Callable[..., Frames] = read_video

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise UsageError(f"The number of workers is at least 0, not {self.workers}")
        if self.timeout is not None and not self.timeout > 0:
            raise UsageError(f"The time limit of a video is above 0 seconds, not {self.timeout:g}")
        if self.timeout is not None and self.workers == 0:
            raise UsageError("Without worker processes no time limit can be kept: give one of the two options")

    def seconds(self, size: int) -> float:
        """Return the time limit of a video of `size` bytes."""
        return self.timeout or _SECONDS + _SECONDS_PER_MB * size / 1_000_000


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """Workers that threads of this process call; a context manager.

    Attributes:
        count: how many calls run at once; 0: calls are made in this process.
    """

    def __init__(self, decoding: Decoding) -> None:
        self.count = cores() if decoding.workers is None else decoding.workers
        self._decoding = decoding
        self._free = BoundedSemaphore(max(1, self.count))
        self._busy: set[Worker] = set()
        self._interrupted = False

    def read(self, path: Path, frames: int, *, size: int, allow_truncated: bool = False) -> Frames:
        """Read a video of `size` bytes as `Decoding.read` does; see `call`."""
        return self.call(self._decoding.read, path.absolute(), frames, size=size, allow_truncated=allow_truncated)

    def call(self, function: Callable[..., Result], *arguments: Any, size: int, **options: Any) -> Result:
        """Return what a function of a module returns for a video of `size` bytes; its errors are raised here.

        Raises:
            InaccessibleVideo: it took too long, or its worker was ended from outside.
            UnreadableVideo: its worker died, and so did a new one that got nothing else.
            UserError: workers cannot be started.
        """
        if not self.count:
            return function(*arguments, **options)
        call, seconds = Call(function, arguments, options), self._decoding.seconds(size)
        with self._free:
            result: Result = self._ask_twice(call, seconds)
        return result

    def stream(self, function: Callable[..., Iterator[Result]], *arguments: Any, size: int) -> Iterator[Result]:
        """Yield what a generator function of a module yields for a video of `size` bytes; its errors are raised here.

        A new worker makes the items, each within the time limit of a video.

        Raises:
            InaccessibleVideo, UnreadableVideo, UserError: as in `call`.
        """
        if not self.count:
            yield from function(*arguments)
            return
        seconds = self._decoding.seconds(size)
        try:
            with self._free, self._worker(fresh=True) as worker:
                value_of(worker.ask(Call(begin, (function, *arguments), {}), seconds))
                while item := value_of(worker.ask(Call(go_on, (), {}), seconds)):
                    yield item[0]
        except DiedError as error:
            raise _died(error) from None

    def _ask_twice(self, call: Call, seconds: float) -> Any:
        """Call again in a new worker if one dies: an earlier video may have spoiled its memory."""
        with suppress(DiedError):
            return self._ask(call, seconds, fresh=False)
        try:
            return self._ask(call, seconds, fresh=True)
        except DiedError as error:
            raise _died(error) from None

    def _ask(self, call: Call, seconds: float, *, fresh: bool) -> Any:
        with self._worker(fresh=fresh) as worker:
            outcome = worker.ask(call, seconds)
        return value_of(outcome)

    @contextmanager
    def _worker(self, *, fresh: bool) -> Iterator[Worker]:
        """Take a worker, one that rests or a new one, and let it rest again unless it failed."""
        worker = _resting.take(fresh=fresh) or Worker(_for_decoding())
        self._busy.add(worker)
        try:
            self._refuse_after_interruption()
            yield worker
        except BaseException:
            worker.end()
            raise
        finally:
            self._busy.discard(worker)
        _resting.put(worker)

    def _refuse_after_interruption(self) -> None:
        if self._interrupted:
            raise InaccessibleVideo(DIED, "interrupted")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Let the workers rest; after an error, such as Ctrl-C, end what they do."""
        self._interrupted = error is not None
        for worker in tuple(self._busy):
            worker.end()
        _resting.keep(1)


class DiedError(Exception):
    """A worker process has ended."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause  # a signal's name, or `exit code 3`; empty if it is not known


def _died(error: DiedError) -> UnreadableVideo:
    """Return the reason: the content of the video, unless what ended the process came from outside."""
    surroundings = error.cause in _FROM_OUTSIDE or not error.cause
    return (InaccessibleVideo if surroundings else UnreadableVideo)(DIED, error.cause)


def value_of(outcome: Outcome) -> Any:
    """Return what a call returned, or raise what it raised; repeat its warnings."""
    for category, message in outcome.warned:
        warnings.warn(message, category, stacklevel=3)
    if outcome.error:
        raise outcome.error
    return outcome.value


@dataclass(frozen=True)
class Start:
    """How a worker process starts.

    Attributes:
        purpose: what it does, for a message.
        instead: what to do if it cannot be started.
        library: what it imports first.
        memory: bytes that it may allocate; 0 is no limit.
        environment: variables that differ from those of this process.
        nice: how far it stands back behind this process for the processor, 0 to 19.
    """

    purpose: str
    instead: str
    library: str
    memory: int
    environment: Mapping[str, str]
    nice: int = 0


def _for_decoding() -> Start:
    return Start(
        purpose="decoding",
        instead="Decode in this process: --workers 0, in Python workers=0",
        library="decord",  # without torch, which takes seconds
        memory=half_of_memory(),
        environment={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # it has one of the cores
        # The threads of an encoder on all cores wait for the slowest of them: they go first, and decoding takes what is
        # left. Not 19, with which a busy machine would let decoding stand still until its time limit.
        nice=10,
    )


class Worker:
    """One worker process."""

    def __init__(self, start: Start) -> None:
        self._start = start
        paths = json.dumps([path for path in sys.path if isinstance(path, str)])
        command = [sys.executable, "-P", "-c", START, paths, start.library, str(start.memory), str(start.nice)]
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **start.environment},
            )
        except OSError as error:
            raise self._cannot_start(error) from error
        self._calls = cast(BinaryIO, self._process.stdin)
        self._outcomes = cast(BinaryIO, self._process.stdout)
        widen(self._outcomes)
        self._is_ready = False

    def ask(self, call: Call, seconds: float) -> Outcome:
        """Return the outcome of a call; the start of the process does not count as its time.

        Raises:
            InaccessibleVideo: it took too long.
            DiedError: the process ended.
            UserError: the process could not start.
        """
        try:
            send(self._calls, pickle.dumps(call))
        except OSError as error:  # it ended while it rested, or before it was ready
            self._refuse_no_start(error)
            raise DiedError("") from error
        self._await_start()
        with TimeLimit(self._process, seconds) as limit:
            try:
                outcome: Outcome = receive(self._outcomes)
            except Exception as error:  # whatever a dying process sends
                if limit.is_over:
                    raise _too_long(seconds) from error
                raise DiedError(self._cause()) from error
        return outcome

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._calls, self._outcomes):
            with suppress(OSError):  # what was to be written to a process that has ended
                stream.close()

    def _await_start(self) -> None:
        if self._is_ready:
            return
        try:
            self._is_ready = receive(self._outcomes) == "ready"
        except EOFError as error:
            self._refuse_no_start(error)

    def _refuse_no_start(self, error: Exception) -> None:
        if not self._is_ready:
            raise self._cannot_start(self._cause() or error) from error

    def _cannot_start(self, reason: object) -> UserError:
        return UserError(
            f"A worker process for {self._start.purpose} cannot be started with {sys.executable} ({reason}). "
            f"{self._start.instead}"
        )

    def _cause(self) -> str:
        """Return what ended the process: `SIGSEGV`, `exit code 3`; empty if it just ended."""
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return ""
        if code < 0:
            return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"exit code {code}" if code else ""


def _too_long(seconds: float) -> InaccessibleVideo:
    return InaccessibleVideo(TOO_LONG, f"more than {seconds:.3g} seconds; --decode-timeout allows more")


class _Resting:
    """The workers of this process that have nothing to do."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin without any: the workers of a process do not belong to its forks."""
        self._lock = Lock()
        self._workers: list[Worker] = []

    def take(self, *, fresh: bool) -> Worker | None:
        """Return one of them, or None: a new one is wanted, in whose place one of them ends."""
        with self._lock:
            worker = self._workers.pop() if self._workers else None
        if worker and fresh:
            worker.end()
        return None if fresh else worker

    def put(self, worker: Worker) -> None:
        with self._lock:
            self._workers.append(worker)

    def keep(self, count: int) -> None:
        """End all but `count`."""
        with self._lock:
            surplus, self._workers = self._workers[count:], self._workers[:count]
        for worker in surplus:
            worker.end()


_resting = _Resting()
atexit.register(_resting.keep, 0)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_resting.forget)
