"""How long a reviewer will take for what is left, by the pace of this sitting."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

_FEWEST = 5  # decisions before a time is told
_PAUSE = 120.0  # seconds: a longer gap between two decisions is a break
_RECENT = 50


class Pace:
    """The gaps between a reviewer's decisions; a decision about several texts counts for each of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: float | None = None
        self._seconds: deque[float] = deque(maxlen=_RECENT)

    def decided(self, texts: int) -> None:
        """Note a decision about so many texts, at least 1."""
        now = self._clock()
        if self._last is not None and now - self._last <= _PAUSE:
            self._seconds.append((now - self._last) / texts)
        self._last = now

    def left(self, texts: int) -> str:
        """Return how long so many texts take at the median pace, as `, about 12 minutes left`; empty if not known."""
        if len(self._seconds) < _FEWEST or not texts:
            return ""
        minutes = texts * median(self._seconds) / 60
        if minutes < 1:
            return ", less than a minute left"
        if minutes < 90:
            return f", about {minutes:.0f} minute{'s' if round(minutes) > 1 else ''} left"
        return f", about {minutes / 60:.1f} hours left"
