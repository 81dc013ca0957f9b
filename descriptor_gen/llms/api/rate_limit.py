"""When the next call may start: one pace for all calls of a run."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass


class AbandonedError(Exception):
    """This call is not made (again): the run ends."""


@dataclass(frozen=True)
class Patience:
    """How long a call that fails in passing is tried again, in seconds.

    Attributes:
        total: from the first failure of a call to its last attempt.
        unreached: the same, for a server that never answered anything; most likely its address is wrong.
        first: pause after the first failure; it doubles with each.
        longest: pause that is not exceeded, unless the server asks for more.
    """

    total: float = 600.0
    unreached: float = 15.0
    first: float = 0.5
    longest: float = 30.0

    def backoff(self, failures: int) -> float:
        """Return the seconds to wait after so many failures: between half and all of the exponential pause."""
        pause = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, so that callers do not come back as one


class Bucket:
    """Spreads an amount a minute evenly, without bursts, so that no minute, wherever it begins, holds more."""

    def __init__(self, per_minute: float) -> None:
        self._seconds_each = 60.0 / per_minute
        self._free_at = 0.0
        self._lock = threading.Lock()

    def take(self, amount: float) -> float:
        """Return the seconds to wait before using an amount; it counts as used."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._free_at)
            self._free_at = start + amount * self._seconds_each
            return start - now

    def correct(self, amount: float) -> None:
        """Count so much more (or, negative, less) as used."""
        with self._lock:
            self._free_at += amount * self._seconds_each


class Pace:
    """Holds calls back: by the limits that were given, and by a pause that one call was told and all then keep."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        self._requests = Bucket(requests_per_minute) if requests_per_minute else None
        self._tokens = Bucket(tokens_per_minute) if tokens_per_minute else None
        self._paused_until = 0.0
        self._ended = threading.Event()

    def end(self) -> None:
        """Let nobody start any more; who waits is woken."""
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether nobody may start any more."""
        return self._ended.is_set()

    def pause(self, seconds: float) -> None:
        """Let nobody start for so long."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def wait(self, tokens: float) -> None:
        """Return when a call of so many tokens may start.

        Raises:
            AbandonedError: the run ended first.
        """
        self._sit_out()
        for bucket, amount in ((self._requests, 1.0), (self._tokens, tokens)):
            self.sleep(bucket.take(amount) if bucket else 0.0)
        self._sit_out()

    def _sit_out(self) -> None:
        while (left := self._paused_until - time.monotonic()) > 0:
            self.sleep(left + random.uniform(0.0, min(left, 1.0)))  # noqa: S311 - jitter again

    def sleep(self, seconds: float) -> None:
        """Wait, unless the run ends first.

        Raises:
            AbandonedError: it did.
        """
        if self._ended.wait(max(0.0, seconds)):
            raise AbandonedError

    def used(self, tokens: float, expected: float) -> None:
        """Tell what a call took, where `wait` was told what it was expected to take."""
        if self._tokens:
            self._tokens.correct(tokens - expected)
