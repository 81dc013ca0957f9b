"""Time and threads of API calls. All waiting goes through a clock, which tests can replace."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Clock(Protocol):
    """The clock of a run."""

    def now(self) -> float:
        """Return the seconds since a fixed time; never decreases."""
        ...

    def unix_time(self) -> float:
        """Return the seconds since 1970, for comparison with dates that a server sends."""
        ...

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        """Wait until the event is set or the seconds have passed; return whether it is set."""
        ...

    def start(self, work: Callable[[], None]) -> None:
        """Run work in a daemon thread."""
        ...


class SystemClock:
    """The computer's clock."""

    def now(self) -> float:
        return time.monotonic()

    def unix_time(self) -> float:
        return time.time()

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        return event.wait(seconds)

    def start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()


class CallsInFlight(Generic[Item, Result]):
    """Applies a function to items, each in a daemon thread.

    Not a pool of concurrent.futures: the interpreter joins its threads at exit, so a second Ctrl-C would have to wait
    for a slow server.
    """

    def __init__(self, function: Callable[[Item], Result], clock: Clock) -> None:
        self._function, self._clock = function, clock
        self._results: deque[tuple[Item, Result | BaseException]] = deque()
        self._any_finished = threading.Event()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def start(self, item: Item) -> None:
        """Apply the function to one more item."""
        self._count += 1
        self._clock.start(lambda: self._run(item))

    def _run(self, item: Item) -> None:
        try:
            result: Result | BaseException = self._function(item)
        except BaseException as error:  # any error is passed on to the caller of `finished`
            result = error
        self._results.append((item, result))
        self._any_finished.set()

    def finished(self) -> list[tuple[Item, Result | BaseException]]:
        """Wait until a call has finished; return all that have, each item with its result or exception."""
        while not self._results:
            self._clock.wait(self._any_finished)
            self._any_finished.clear()
        results = [self._results.popleft() for _ in range(len(self._results))]
        self._count -= len(results)
        return results
