"""A database that is lost or damaged while pages are open: pages do not say where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from starlette.testclient import TestClient

from db.store import Store
from descriptor_gen.llms import LLM
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.app import create_app
from descriptor_gen.review.faults import UNAVAILABLE
from descriptor_gen.review.security import access_rules
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.commands import Run

PATHS = ("/", "/class/0", "/class/0/panel", "/compare", "/log", "/history/1", "/call/1")
DECISION = {"decision": "accept", "refs": [[1, 1]], "label": 0}


class Server(NamedTuple):
    """The application over a database, and the lines that its terminal shows."""

    session: ReviewSession
    client: TestClient
    csrf: dict[str, str]
    lines: list[str]


@pytest.fixture
def server(descgen: Run, llm: FakeLLM, store: Store) -> Iterator[Server]:
    """A server of a database with two classes of one kind."""
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    rules, lines = access_rules("127.0.0.1"), list[str]()
    session = ReviewSession(
        store, store.dataset("hmdb51"), reviewer="anna", open_llm=lambda seed: llm, report=lines.append
    )
    with TestClient(create_app(session, rules), base_url="http://localhost") as client:
        yield Server(session, client, {"X-CSRF-Token": rules.csrf}, lines)
    session.close()


def delete(database: Path) -> None:
    database.unlink()


def damage(database: Path) -> None:
    for end in ("-wal", "-shm"):
        database.with_name(database.name + end).unlink(missing_ok=True)
    with database.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(0)
        file.write(b"x" * size)


@pytest.mark.parametrize("harm", [delete, damage])
def test_a_page_does_not_say_where_a_lost_database_is(
    server: Server, store: Store, database: Path, harm: Callable[[Path], None]
) -> None:
    assert server.client.get("/").status_code == 200
    store.close()  # the next request opens the file again
    harm(database)
    server.session.refresh()
    answers = []
    for path in PATHS:
        server.session.refresh()
        answers.append(server.client.get(path))
    answers.append(server.client.post("/decide", json=DECISION, headers=server.csrf))
    for answer in answers:
        assert (answer.status_code, answer.json()) == (503, {"message": UNAVAILABLE}), str(answer.url)
        assert str(database.parent) not in answer.text
    assert server.lines
    assert all(str(database) in line for line in server.lines)
    assert len(server.lines) == len(set(server.lines))  # each line once


def test_a_job_does_not_say_where_a_lost_database_is(server: Server, database: Path) -> None:
    database.unlink()
    started = server.client.post("/regenerate", json={"label": 0, "kind": "context"}, headers=server.csrf)
    if started.status_code == 200:  # else the templates could not be read, and the page says so already
        server.session.close()
        started = server.client.get(f"/jobs/{started.json()['id']}")
    assert started.json()["message"] == UNAVAILABLE
    assert [line for line in server.lines if str(database) in line and "was deleted" in line] == server.lines != []


def test_a_model_that_is_not_there_does_not_show_its_folder(descgen: Run, llm: FakeLLM, store: Store) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "1")

    def open_llm(seed: int) -> LLM:
        raise FileNotFoundError(2, "No such file or directory", "/home/anna/models/secret.bin")

    rules = access_rules("127.0.0.1")
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna", open_llm=open_llm)
    client = TestClient(create_app(session, rules), base_url="http://localhost")
    job = client.post("/regenerate", json={"label": 0, "kind": "context"}, headers={"X-CSRF-Token": rules.csrf}).json()
    session.close()
    message = client.get(f"/jobs/{job['id']}").json()["message"]
    assert message.startswith("It failed: FileNotFoundError")
    assert "/home/anna" not in message
