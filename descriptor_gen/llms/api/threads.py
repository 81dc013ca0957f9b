"""Calls in flight, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Flights(Generic[Item, Result]):
    """Runs a function on items in daemon threads, so that a second Ctrl-C need not wait for a slow server.

    A pool of concurrent.futures is joined when the program ends, whatever its threads wait for.
    """

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self._function = function
        self._landed: SimpleQueue[tuple[Item, Result | BaseException]] = SimpleQueue()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def start(self, item: Item) -> None:
        """Run the function on one more item."""
        self._count += 1
        threading.Thread(target=self._fly, args=(item,), daemon=True).start()

    def _fly(self, item: Item) -> None:
        try:
            self._landed.put((item, self._function(item)))
        except BaseException as error:  # whatever it is, the caller of `landed` has to know
            self._landed.put((item, error))

    def landed(self) -> list[tuple[Item, Result | BaseException]]:
        """Wait for one result at least; return all that are there, each with its item; an error is a result."""
        results = [self._landed.get()]
        while True:
            try:
                results.append(self._landed.get_nowait())
            except Empty:
                self._count -= len(results)
                return results
