"""Connections that wait for the other side end after a time: half a request must not hold a connection for ever."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 30.0


class DeadlineProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose client sends no whole request, or reads no response, in `seconds`.

    The time runs from the connection, from the end of each response, and from the moment when the client stops
    reading. Once a request has arrived whole, its answer may take any time.
    """

    seconds: ClassVar[float] = SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time."""
        super().connection_made(transport)
        self._start()

    def on_response_complete(self) -> None:
        """Start the time of the next request."""
        super().on_response_complete()
        self._start()

    def pause_writing(self) -> None:
        """Start the time of a client that reads no further."""
        super().pause_writing()
        self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the time."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        self._stop()
        self._deadline = self.loop.call_later(self.seconds, self._end_if_waiting)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end_if_waiting(self) -> None:
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) or self.transport.get_write_buffer_size():
            self.transport.abort()


def with_deadline(seconds: float) -> type[DeadlineProtocol]:
    """Return the protocol with another number of seconds."""
    return type("DeadlineProtocol", (DeadlineProtocol,), {"seconds": seconds})
