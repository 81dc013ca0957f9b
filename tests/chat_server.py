"""A real HTTP server on loopback that speaks OpenAI's protocol, and fails as it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest

from tests.conftest import ANSWERS


@dataclass(frozen=True)
class Answer:
    """How one call is answered; `status` 200 with neither `cut` nor `late` is an answer that is paid for."""

    status: int = 200
    text: str | None = None
    finish_reason: str = "stop"
    message: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    seconds: float = 0.0
    cut: bool = False
    late: bool = False


Plan = Callable[[dict[str, Any]], Answer]


@dataclass
class ChatServer:
    """Its plan, and its log: what was asked, and the ids of the answers that were sent whole.

    Attributes:
        url: where it listens.
        plan: the next answers, each by status, text, or in full; then `otherwise` answers.
        busiest: the most calls that were in flight together.
    """

    url: str = ""
    plan: list[int | str | Answer] = field(default_factory=list)
    otherwise: Plan = field(default=lambda body: Answer())
    asked: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    paid: list[str] = field(default_factory=list)
    sent: list[Answer] = field(default_factory=list)
    in_flight: int = 0
    busiest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    ids: Iterator[int] = field(default_factory=count)

    def begin(self, body: dict[str, Any]) -> Answer:
        with self.lock:
            self.asked.append(body)
            self.times.append(time.monotonic())
            self.in_flight += 1
            self.busiest = max(self.busiest, self.in_flight)
            told = self.plan.pop(0) if self.plan else self.otherwise(body)
            answer = told if isinstance(told, Answer) else Answer(told) if isinstance(told, int) else Answer(text=told)
            self.sent.append(answer)
        return answer

    def end(self, name: str | None) -> None:
        with self.lock:
            self.in_flight -= 1
            if name:
                self.paid.append(name)


def valid_text(body: dict[str, Any]) -> str:
    """Return a reply of the kind that was asked for, told from the example in the conversation."""
    example = json.loads(body["messages"][2]["content"])
    return json.dumps({name: ANSWERS[name] for name in example})


def completion(name: str, answer: Answer, body: dict[str, Any]) -> str:
    text = valid_text(body) if answer.text is None else answer.text
    return json.dumps({
        "id": name, "object": "chat.completion", "created": 0, "model": f"{body['model']}-served",
        "choices": [{
            "index": 0, "finish_reason": answer.finish_reason,
            "message": {"role": "assistant", "content": text, **answer.message},
        }],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    })  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    chat: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer, name = self.chat.begin(body), f"chat-{next(self.chat.ids)}"
        paid = answer.status == 200 and not answer.cut and not answer.late
        time.sleep(answer.seconds)
        self.chat.end(name if paid else None)
        self.respond(answer, self.payload(name, answer, body).encode())

    def payload(self, name: str, answer: Answer, body: dict[str, Any]) -> str:
        if answer.body is not None:
            return answer.body
        if answer.status == 200:
            return completion(name, answer, body)
        return json.dumps({"error": {"message": f"planned {answer.status}", **answer.error}})

    def respond(self, answer: Answer, payload: bytes) -> None:
        try:
            self.send_response(answer.status)
            for header, value in {"Content-Type": "application/json", "Retry-After": "0", **answer.headers}.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload[: len(payload) // 2] if answer.cut else payload)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        self.close_connection |= answer.cut

    def log_message(self, *_: object) -> None: ...


@contextmanager
def listening(chat: ChatServer, handler: type[Handler]) -> Iterator[None]:
    """Let a server answer on this machine."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Told", (handler,), {"chat": chat}))
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    chat.url = f"http://127.0.0.1:{http.server_port}/v1"
    try:
        yield
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A chat server on this machine."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    chat = ChatServer()
    with listening(chat, Handler):
        yield chat
