"""Serving the review application at an address."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from db.errors import UserError
from descriptor_gen.review.deadline import SECONDS, with_deadline

PORT = 8642
_MAX_PORTS = 20


def bind(host: str, port: int | None) -> socket.socket:
    """Return a listening socket; without a port, on the first free one from 8642.

    Raises:
        UserError: the address does not belong to this machine, or the port is in use.
    """
    ports = [port] if port is not None else [*range(PORT, PORT + _MAX_PORTS), 0]
    for number in ports:
        try:
            family = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, number), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or number == ports[-1]:
                raise UserError(
                    f"Cannot serve at {host}:{number}: {error.strerror or error}. Try another --port"
                ) from error
    raise AssertionError


def address(host: str, listener: socket.socket, token: str | None, *, page: str = "/") -> str:
    """Return the URL to open in a browser; `page` is the path of the page."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - not bound here
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{listener.getsockname()[1]}{page}" + (f"?token={token}" if token else "")


def config(app: ASGIApp, *, deadline: float = SECONDS) -> uvicorn.Config:
    """Return how the application is served; `deadline`: seconds that a connection may take to send a request."""
    return uvicorn.Config(
        app,
        http=with_deadline(deadline),
        ws="none",
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=2,
        proxy_headers=False,  # else X-Forwarded-For, which anybody can send, would replace the client's address
    )


def serve(app: FastAPI, listener: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C."""

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

    Server(config(app)).run(sockets=[listener])
