"""A database that is lost or damaged while pages are open: pages do not say where it is."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from db.store import Store
from descriptor_gen.llms import LLM
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.app import create_app
from descriptor_gen.review.faults import UNAVAILABLE
from descriptor_gen.review.security import access_rules
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.commands import Run
from tests.fixtures.databases import engine_of

PATHS = (
    "/",
    "/class/0",
    "/class/0/panel",
    "/compare",
    "/log",
    "/history/1",
    "/call/1",
    "/replace?old=a",
    "/guidelines",
)
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


def test_a_page_does_not_say_on_which_server_a_lost_database_is(server: Server, store: Store, db_url: str) -> None:
    """The server of the database takes no more connections to it, and ends those that it has."""
    if "://" not in db_url:
        pytest.skip("about a database on a server: TEST_DATABASE=postgresql")
    name = db_url.rpartition("/")[2]
    with engine_of(os.environ["TEST_POSTGRESQL_URL"]).begin() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        ended = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(ended, {"name": name})
    answers = [server.client.post("/decide", json=DECISION, headers=server.csrf)]
    for path in PATHS:
        server.session.refresh()
        answers.append(server.client.get(path))
    for answer in answers:
        assert (answer.status_code, answer.json()) == (503, {"message": UNAVAILABLE}), str(answer.url)
    assert server.lines
    assert all(name in line for line in server.lines)


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


def test_while_another_process_writes_pages_are_read_and_decisions_refused(
    descgen: Run, llm: FakeLLM, database: Path
) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    store, rules, lines = Store.open(f"sqlite:///{database}?timeout=0.05"), access_rules("127.0.0.1"), list[str]()
    session = ReviewSession(
        store, store.dataset("hmdb51"), reviewer="anna", open_llm=lambda seed: llm, report=lines.append
    )
    client = TestClient(create_app(session, rules), base_url="http://localhost")
    csrf = {"X-CSRF-Token": rules.csrf}
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert [client.get(path).status_code for path in PATHS] == [200] * len(PATHS)
        refused = client.post("/decide", json=DECISION, headers=csrf)
        assert (refused.status_code, refused.json()) == (503, {"message": UNAVAILABLE})
        [line] = lines
        assert line.startswith(f"{database} is locked")
    assert client.post("/decide", json=DECISION, headers=csrf).status_code == 200
    session.close()
    store.close()


def asked(url: str, body: str | None = None, csrf: str = "") -> tuple[int, str]:
    """Return status and text of an answer of a server."""
    headers = {"Content-Type": "application/json", "X-CSRF-Token": csrf}
    try:
        with urlopen(Request(url, body.encode() if body else None, headers)) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_database_that_cannot_be_written_is_read_in_the_browser(descgen: Run, llm: FakeLLM, database: Path) -> None:
    as_user = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []  # root writes anywhere
    if as_user and not shutil.which(as_user[0]):
        pytest.skip("root may write everywhere, and there is no setpriv")
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    database.chmod(0o444)
    command = [*as_user, sys.executable, "-m", "descriptor_gen", "--db", str(database), "review", "-d", "hmdb51"]
    server = subprocess.Popen([*command, "--no-browser", "--reviewer", "anna"], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr
        found = re.search(r"http://\S+", server.stderr.readline())
        assert found
        pages = [asked(found.group() + path[1:]) for path in PATHS]
        assert [status for status, _ in pages] == [200] * len(PATHS)
        csrf = re.search(r'name="csrf-token" content="([^"]+)"', pages[0][1])
        assert csrf
        status, said = asked(f"{found.group()}decide", json.dumps(DECISION), csrf.group(1))
        assert (status, json.loads(said)) == (503, {"message": UNAVAILABLE})
        assert "cannot be written" in server.stderr.readline()
    finally:
        server.terminate()
        _, rest = server.communicate()
    assert server.returncode == 130
    assert "Traceback" not in rest
