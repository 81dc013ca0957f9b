"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal): the command says what is kept, and ends with exit code 130."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import click

_STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
INTERRUPTED = 128 + signal.SIGINT


class _Stopped(KeyboardInterrupt):
    """A signal has come.

    Where a plain KeyboardInterrupt passes through code that a library runs from C, as some do while they are imported,
    Python ends with the signal instead of our exit code, although it was caught.
    """


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


@contextmanager
def interrupts(kept: Callable[[], str], *, stop: Callable[[], None] | None = None, note: str = "") -> Iterator[None]:
    """Handle these signals during the block: the first one ends the command.

    Args:
        kept: gives the sentence that says what is kept.
        stop: called at the first signal; then the block goes on, and the second signal ends the command.
        note: printed at the first signal.
    """

    def first(_number: int, _frame: FrameType | None) -> None:
        _say(f"{note}\n")
        if stop is None:
            raise _Stopped
        for each in before:
            signal.signal(each, _end)
        stop()

    if threading.current_thread() is not threading.main_thread():  # only there can signals be handled
        yield
        return
    # nohup ignores SIGHUP, and that stays so
    before = {each: signal.getsignal(each) for each in _STOPS if signal.getsignal(each) is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, first)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        click.echo(f"Stopped. {kept()}; run the same command to continue", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from interrupt
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _say(note: str) -> None:
    """Write to standard error; what is printed to a terminal that is gone must not end the command."""
    for stream in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    with suppress(OSError):
        os.write(2, note.encode())  # not print: the signal may have come in the middle of one; print is not reentrant
