"""A real HTTP server on loopback that gives files, by ranges, and breaks off as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class FileServer:
    """Its files by name, and its log.

    Attributes:
        url: where it listens.
        files: what it has.
        breaks: by name, after how many bytes of each of the next answers the connection ends.
        ranges: whether it gives parts of files.
        kind: the type that it says files have.
        asked: (name, Range header) of every request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    kind: str = "application/octet-stream"
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def names(self) -> list[str]:
        """Return the names that were asked for, in order."""
        return [name for name, _ in self.asked]


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    """A server without files."""
    served = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, asked = self.path.rpartition("/")[2], self.headers.get("Range")
            served.asked.append((name, asked))
            content = served.files.get(name)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and served.ranges else 0
            if content is None:
                self.send_error(404)
            elif start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._give(name, content, start)

        def _give(self, name: str, content: bytes, start: int) -> None:
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Type", served.kind)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            waiting = served.breaks.get(name)
            end = start + waiting.pop(0) if waiting else len(content)
            self.wfile.write(content[start:end])

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    yield served
    server.shutdown()
    server.server_close()
