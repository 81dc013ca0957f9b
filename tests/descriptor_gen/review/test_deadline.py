"""Connections that send half a request are closed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from descriptor_gen.review.server import bind, config

SECONDS = 0.2
LIMIT = 120  # only ends a test that hangs


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server that closes a connection after `SECONDS` without a whole request."""

    async def yes(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{len(await request.body())} bytes")

    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(config(Starlette(routes=[Route("/", yes, methods=["GET", "POST"])]), deadline=SECONDS))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(LIMIT)


def received(port: int, sent: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
        connection.sendall(sent)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET / HTT",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf",
    ],
)
def test_half_a_request_ends_without_an_answer(port: int, half: bytes) -> None:
    assert received(port, half) == b""


def test_a_second_half_request_on_the_same_connection_ends_too(port: int) -> None:
    answer = received(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost:")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"0 bytes")
