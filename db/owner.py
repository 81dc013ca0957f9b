"""Who holds a claim: one process, told apart from every other one on this and on other machines.

A process number alone is not enough: it is used again after a process has ended, and containers count from 1, often
under the same host name. With the boot id, the PID namespace and the time the process started, it is unique.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self
from uuid import uuid4

_BOOT_ID, _NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
_UNKNOWN = "-"  # systems without /proc: whether the process of a claim has ended cannot be seen
_STATE, _START = 0, 19  # fields of /proc/PID/stat after the name of the program
_ENDED = ("Z", "X")  # states of a process that has ended, and whose parent has not asked for its exit status


@dataclass(frozen=True)
class Owner:
    """A holder of claims: `place` is the machine since its last start, and the PID namespace; `start` is in ticks."""

    place: str
    process: int
    start: str
    token: str

    @classmethod
    def new(cls) -> Self:
        """Return a new holder in this process."""
        _, start = _state(os.getpid())
        return cls(_place(), os.getpid(), start, uuid4().hex)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the holder that a claim names; None if an earlier version of the program wrote it."""
        parts = text.split(" ")
        if len(parts) != 4 or not parts[1].isdecimal():
            return None
        return cls(parts[0], int(parts[1]), parts[2], parts[3])

    def __str__(self) -> str:
        return f"{self.place} {self.process} {self.start} {self.token}"

    def has_ended(self) -> bool:
        """Return whether its process is known to have ended; False if that cannot be seen from here."""
        if self.place != _place() or _UNKNOWN in (self.place, self.start):
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # alive, owned by another user
        state, start = _state(self.process)
        return state in _ENDED or start not in (self.start, _UNKNOWN)


@cache
def _place() -> str:
    try:
        return f"{_BOOT_ID.read_text().strip()}/{_NAMESPACE.readlink()}"
    except OSError:
        return _UNKNOWN


def _state(process: int) -> tuple[str, str]:
    """Return state and start time of a process."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return fields[_STATE], fields[_START]
    except (OSError, IndexError):
        return _UNKNOWN, _UNKNOWN
