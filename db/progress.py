"""How core code reports progress, without knowing about terminals."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Progress = Callable[[int, int], None]  # called with (done, total)
ProgressBars = Callable[[str, str], AbstractContextManager[Progress]]  # (title, unit) opens a bar


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


def no_bars(title: str, unit: str) -> AbstractContextManager[Progress]:
    """Show nothing."""
    return nullcontext(no_progress)
