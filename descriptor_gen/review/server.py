"""The review application behind an address."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from db.errors import UserError

PORT = 8642
_TRIED = 20


def bind(host: str, port: int | None) -> socket.socket:
    """Return a socket on a port; where none is asked for, on the first free one from 8642.

    Raises:
        UserError: the address is not one of this machine's, or the port is taken.
    """
    wanted = [port] if port is not None else [*range(PORT, PORT + _TRIED), 0]
    for number in wanted:
        try:
            return _bound(host, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or number == wanted[-1]:
                raise UserError(
                    f"Cannot serve at {host}:{number}: {error.strerror or error}. Try another --port"
                ) from error
    raise AssertionError


def _bound(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def address(host: str, bound: socket.socket, token: str | None) -> str:
    """Return what to type into a browser."""
    name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - not bound here
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{bound.getsockname()[1]}/" + (f"?token={token}" if token else "")


def serve(app: FastAPI, bound: socket.socket, *, on_ready: Callable[[], None]) -> None:
    """Serve until Ctrl-C."""

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2)
    Server(config).run(sockets=[bound])
