"""The chat server with files and batches, under the rules of OpenAI's Batch API: a file that breaks one fails."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from tests.chat_server import Answer, ChatServer, Handler, completion, listening

MOST_CALLS, MOST_BYTES, LONGEST_ID, LONGEST_VALUE = 50_000, 200_000_000, 64, 512
ENDPOINT = "/v1/chat/completions"
COURSE = ["in_progress", "finalizing", "completed"]
EXPIRED = Answer(
    0, error={"code": "batch_expired", "message": "This request could not be executed before the window expired."}
)
NOT_THERE = Answer(404)
Row = dict[str, Any]


@dataclass
class BatchServer(ChatServer):
    """Files and batches beside single calls. A batch runs when it is handed in, and is shown as its course says.

    Attributes:
        course: the states that the looks at a batch will see, one after the other; the last one stays.
        files: content by id.
        batches: as they are sent, the newest first.
        handed_in: keys of each batch, in order.
        calls_paid: how often each key was answered.
        failing: the errors that the next batches fail with, at the first look; None lets one pass.
        at: called with the method and path of each request, before it is answered; an answer replaces the own one.
        page: batches on one page of the list.
        pages: whether the list has pages; without, each asks for all of it.
    """

    course: list[str] = field(default_factory=lambda: list(COURSE))
    files: dict[str, bytes] = field(default_factory=dict)
    batches: list[dict[str, Any]] = field(default_factory=list)
    courses: dict[str, list[str]] = field(default_factory=dict)
    handed_in: list[list[str]] = field(default_factory=list)
    calls_paid: Counter[str] = field(default_factory=Counter)
    failing: list[list[dict[str, Any]] | None] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    at: Callable[[str, str], Answer | None] = field(default=lambda method, path: None)
    page: int = 100
    pages: bool = True
    door: threading.RLock = field(default_factory=threading.RLock)

    def look(self, batch: dict[str, Any]) -> None:
        """Take a batch one step further."""
        course = self.courses[batch["id"]]
        batch["status"] = course.pop(0) if len(course) > 1 else course[0]

    def view(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch as it is shown: results only when it has ended, half of the counts before."""
        if batch["status"] in ("completed", "expired", "cancelled"):
            return batch
        counts = batch["request_counts"]
        halfway = {"total": counts["total"], "completed": counts["completed"] // 2, "failed": 0}
        hidden = ("output_file_id", "error_file_id", "completed_at")
        return {name: value for name, value in batch.items() if name not in hidden} | {"request_counts": halfway}

    def hand_in(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["completion_window"] == "24h"
        assert len(asked["metadata"]) <= 16
        assert all(isinstance(value, str) and len(value) <= LONGEST_VALUE for value in asked["metadata"].values())
        number, content = len(self.batches), self.files[asked["input_file_id"]]
        rows = [json.loads(line) for line in content.splitlines()]
        faults = self.failing.pop(0) if self.failing else None
        faults = faults or _faults(content, rows, asked["endpoint"])
        batch = {
            **asked, "id": f"batch_{number}", "object": "batch", "created_at": int(time.time()) - 600 + number,
            "status": "validating", "request_counts": {"total": len(rows), "completed": 0, "failed": 0},
        }  # fmt: skip
        self.courses[batch["id"]] = ["failed"] if faults else list(self.course)
        self.batches.insert(0, batch)
        self.handed_in.append([row["custom_id"] for row in rows])
        if faults:
            batch["errors"] = {"object": "list", "data": faults}
        else:
            self.run(batch, rows)
        return batch

    def run(self, batch: dict[str, Any], rows: list[Row]) -> None:
        """Answer every call, last one first."""
        out, err = [], []
        for row in reversed(rows):
            answer, name = self.begin(row["body"]), f"chat-{next(self.ids)}"
            paid = answer.status == 200 and not answer.cut
            self.end(name if paid else None)
            self.calls_paid[row["custom_id"]] += paid
            if not answer.cut:
                (out if paid else err).append(_result(row, name, answer))
        for kind, results in (("output", out), ("error", err)):
            if results:
                batch[f"{kind}_file_id"] = self.keep("\n".join(map(json.dumps, results)).encode() + b"\n")
        batch["request_counts"] |= {"completed": len(out), "failed": len(err)}
        batch["completed_at"] = batch["created_at"] + 300

    def keep(self, content: bytes) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name


def _faults(content: bytes, rows: list[Row], endpoint: str) -> list[dict[str, Any]]:
    ids = [row.get("custom_id") for row in rows]
    broken = {
        "too_many_requests": not 0 < len(rows) <= MOST_CALLS,
        "file_too_large": len(content) > MOST_BYTES,
        "duplicate_custom_id": len(set(ids)) < len(ids),
        "invalid_custom_id": not all(isinstance(name, str) and 0 < len(name) <= LONGEST_ID for name in ids),
        "mismatched_endpoint": any((row["method"], row["url"]) != ("POST", endpoint) for row in rows),
        "mismatched_model": len({row["body"]["model"] for row in rows}) > 1,
        "invalid_json_line": any(row.keys() != {"custom_id", "method", "url", "body"} for row in rows),
    }
    return [{"code": code, "message": f"{code} in the file", "line": 1} for code, is_so in broken.items() if is_so]


def _result(row: Row, name: str, answer: Answer) -> Row:
    body: Any = {"error": {"message": f"planned {answer.status}", **answer.error}}
    if answer.status == 200:
        body = json.loads(completion(name, answer, row["body"])) if answer.body is None else answer.body
    response = {"status_code": answer.status, "request_id": f"req-{name}", "body": body}
    return {
        "id": f"batch_req_{name}",
        "custom_id": row["custom_id"],
        "response": response if answer.status else None,
        "error": None if answer.status else answer.error,
    }


class BatchHandler(Handler):
    chat: BatchServer

    def do_POST(self) -> None:  # noqa: N802
        path = urlparse(self.path).path.removeprefix("/v1/")
        if path == "chat/completions":
            super().do_POST()
        else:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            self.answer("POST", path, lambda: self.made(path, content))

    def do_GET(self) -> None:  # noqa: N802
        url = urlparse(self.path)
        path = url.path.removeprefix("/v1/")
        self.answer("GET", path, lambda: self.shown(path.split("/"), parse_qs(url.query)))

    def answer(self, method: str, path: str, make: Callable[[], bytes | None]) -> None:
        with self.chat.door:
            self.chat.requests.append(f"{method} {path}")
            planned = self.chat.at(method, path)
            made = make() if planned is None or planned.cut else None  # cut: it was done, and the answer is lost
        answer = planned or (Answer() if made is not None else NOT_THERE)
        self.respond(answer, made if made is not None else self.payload("", answer, {}).encode())

    def made(self, path: str, content: bytes) -> bytes:
        if path == "batches":
            return json.dumps(self.chat.view(self.chat.hand_in(json.loads(content)))).encode()
        form = message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\n\n" + content)
        parts = {part.get_param("name", header="Content-Disposition"): part for part in form.get_payload()}
        assert parts["purpose"].get_payload() == "batch"
        assert str(parts["file"].get_filename()).endswith(".jsonl")
        kept = self.chat.keep(parts["file"].get_payload(decode=True))
        return json.dumps({"id": kept, "object": "file", "purpose": "batch", "bytes": len(content)}).encode()

    def shown(self, path: list[str], query: dict[str, list[str]]) -> bytes | None:
        chat = self.chat
        if path[0] == "files":
            return chat.files.get(path[1])
        if len(path) == 1 and not chat.pages:
            return json.dumps({"object": "list", "data": [chat.view(batch) for batch in chat.batches]}).encode()
        if len(path) == 1:
            begin = [batch["id"] for batch in chat.batches].index(query["after"][0]) + 1 if "after" in query else 0
            size = min(chat.page, int(query["limit"][0]))
            data = [chat.view(batch) for batch in chat.batches[begin : begin + size]]
            more = begin + size < len(chat.batches)
            return json.dumps({"object": "list", "data": data, "has_more": more}).encode()
        for batch in chat.batches:
            if batch["id"] == path[1]:
                chat.look(batch)
                return json.dumps(chat.view(batch)).encode()
        return None


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    """A server with a Batch API on this machine."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    chat = BatchServer()
    with listening(chat, BatchHandler):
        yield chat
