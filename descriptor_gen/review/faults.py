"""Faults of the database: the terminal says where the database is; pages do not, since others may see them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from db.errors import DatabaseError

UNAVAILABLE = "The database cannot be read or changed now; see the terminal of the server"


class Faults:
    """Reports each fault once in the terminal."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._reported: set[str] = set()
        self._lock = threading.Lock()

    def tell(self, error: DatabaseError) -> str:
        """Report a fault if it is new; return what a page says about it."""
        line = str(error)
        with self._lock:
            is_new = line not in self._reported
            self._reported.add(line)
        if is_new:
            self._report(line)
        return UNAVAILABLE
