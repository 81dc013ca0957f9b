"""End a worker process that takes too long over a video, and not one that a busy machine does not let run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Self

_LONGEST_STEP, _SHORTEST_STEP = 1.0, 0.05  # seconds between two looks at a process

Times = Mapping[str, tuple[float, float]]  # of each thread: the seconds that it ran, and that it waited for a processor


def thread_times(process: int) -> Times:
    """Return the times of a process's threads since they began; empty where the system does not say them (Linux does).

    The source is the file schedstat of each thread: nanoseconds on a processor and in the queue for one.
    """
    times = {}
    with suppress(OSError, ValueError):  # the process has ended; or no numbers
        for task in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):  # the thread has ended
                ran, waited, _ = (task / "schedstat").read_text().split()
                times[task.name] = int(ran) / 1e9, int(waited) / 1e9
    return times


def time_without_processor(before: Times, after: Times, seconds: float) -> float:
    """Return how many of the `seconds` between two looks a process lost because its threads waited for a processor.

    That is the share that waiting has in the time in which they wanted one, and at most what they waited: a process
    that got half of a core lost half, and one that slept lost nothing.
    """
    pairs = [(before.get(thread, (0.0, 0.0)), times) for thread, times in after.items()]
    ran = sum(max(0.0, new[0] - old[0]) for old, new in pairs)  # less: another thread got the number of one that ended
    waited = sum(max(0.0, new[1] - old[1]) for old, new in pairs)
    return waited * seconds / max(seconds, ran + waited)


class TimeLimit:
    """Ends a process after some seconds; a context manager.

    Those in which this process stands still (Ctrl-Z) do not count, nor those that the other one lost by waiting for a
    processor; see `time_without_processor`.

    Attributes:
        is_over: whether it ended the process.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], seconds: float, *, times: Callable[[int], Times] = thread_times
    ) -> None:
        self.is_over = False
        self._process, self._left, self._times = process, seconds, times
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        before = self._times(self._process.pid)
        while self._left > 0:
            step = min(_LONGEST_STEP, max(_SHORTEST_STEP, self._left))
            if self._done.wait(step):
                return
            after = self._times(self._process.pid)
            self._left -= step - time_without_processor(before, after, step)
            before = after
        self.is_over = True
        self._process.kill()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
