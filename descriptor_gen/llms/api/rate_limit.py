"""Rate limits: one limiter decides when each call of a run may start."""

from __future__ import annotations

import random
import threading

from descriptor_gen.llms.api.clock import Clock
from descriptor_gen.llms.options import ApiOptions


class AbandonedError(Exception):
    """The run ended before this call or its next attempt was made."""


class TakenOverError(Exception):
    """Another builder has made this call meanwhile, or is making it."""


class LeakyBucket:
    """Spreads an amount per minute evenly, without bursts: no minute holds more than the amount."""

    def __init__(self, per_minute: float, clock: Clock) -> None:
        self._seconds_each = 60.0 / per_minute
        self._clock = clock
        self._free_at = clock.now()
        self._lock = threading.Lock()

    def take(self, amount: float) -> float:
        """Count an amount as used; return the seconds to wait before using it."""
        with self._lock:
            now = self._clock.now()
            start = max(now, self._free_at)
            self._free_at = start + amount * self._seconds_each
            return start - now

    def correct(self, amount: float) -> None:
        """Count more (or, if negative, less) as used."""
        with self._lock:
            self._free_at += amount * self._seconds_each


class RateLimiter:
    """Delays calls by the user's limits, and by pauses: when the server asks one call to wait, all calls wait."""

    def __init__(self, options: ApiOptions) -> None:
        self._clock = clock = options.clock
        self._requests = LeakyBucket(options.requests_per_minute, clock) if options.requests_per_minute else None
        self._tokens = LeakyBucket(options.tokens_per_minute, clock) if options.tokens_per_minute else None
        self._paused_until = clock.now()
        self._ended = threading.Event()

    def end(self) -> None:
        """Let no further call start; waiting ones raise `AbandonedError`."""
        self._ended.set()

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended.is_set()

    def pause(self, seconds: float) -> None:
        """Let no call start for some seconds."""
        self._paused_until = max(self._paused_until, self._clock.now() + seconds)

    def wait(self, tokens: float) -> None:
        """Wait until a call of a number of tokens may start.

        Raises:
            AbandonedError: the run ended first.
        """
        self._wait_for_pause()
        for bucket, amount in ((self._requests, 1.0), (self._tokens, tokens)):
            self.sleep(bucket.take(amount) if bucket else 0.0)
        self._wait_for_pause()

    def _wait_for_pause(self) -> None:
        while (remaining := self._paused_until - self._clock.now()) > 0:
            # Jitter, so that the waiting calls do not all start at the same time.
            self.sleep(remaining + random.uniform(0.0, min(remaining, 1.0)))

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            AbandonedError: the run ended first.
        """
        if self._clock.wait(self._ended, max(0.0, seconds)):
            raise AbandonedError

    def correct(self, expected: float, used: float) -> None:
        """Report the tokens that a call used instead of the expected number passed to `wait`."""
        if self._tokens:
            self._tokens.correct(used - expected)
