"""Keys and passwords planted in every place where a user may put one: afterwards they stand nowhere, in no encoding."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from starlette.testclient import TestClient

from db.addresses import hide, public_address, secrets_in
from db.errors import UserError
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM, registered
from descriptor_gen.review.app import create_app
from descriptor_gen.review.security import access_rules
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.api import open_tiny
from tests.fixtures.batch_server import BatchServer
from tests.fixtures.chat_server import Answer, ChatServer
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "encoder"]  # fixtures
KEY, USER, PASSWORD, PARAMETER = (
    "sk-planted-key-0123456789",
    "planted-user-7",
    'planted "p@ss/word?',
    "planted+param/8==",
)
QUOTED = f"{quote(USER)}:{quote(PASSWORD, safe='')}"
PLANTED = [KEY, USER, PASSWORD, PARAMETER, "planted"]
EVERY_FORM = [
    *PLANTED,
    *(quote(text, safe="") for text in PLANTED),
    *(json.dumps(text)[1:-1] for text in PLANTED),
    base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
]


def traces(*written: str | bytes | Path) -> list[str]:
    """Return the planted texts that stand in outputs, or in any file of folders."""
    found = []
    for where in written:
        contents = [path.read_bytes() for path in where.rglob("*") if path.is_file()] if isinstance(where, Path) else []
        contents += [where.encode() if isinstance(where, str) else where] if not isinstance(where, Path) else []
        found += [form for content in contents for form in EVERY_FORM if form.encode() in content]
    return found


@pytest.fixture
def planted(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the server with user, password and parameter, and a key in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with registered(open_tiny(clock=server.clock), "tiny"):
        yield secret(server.url)


def secret(url: str) -> str:
    return url.replace("http://", f"http://{QUOTED}@") + f"?api_key={quote(PARAMETER, safe='')}#planted"


def build(descgen: Run, address: str, *options: object) -> str:
    command = ("build", "-d", "hmdb51", "-k", "context", "--llm", "tiny", "--limit", 3)
    result = descgen(*command, "--base-url", address, *options)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return str(result.output + result.stderr)


ECHO = f"the key {KEY} of {USER} with {PASSWORD!s} and {PARAMETER} is wrong"
ECHOES = {
    "unknown key": Answer(401, error={"message": ECHO, "code": "invalid_api_key"}),
    "refused request": Answer(400, error={"message": ECHO, "param": ECHO}),
    "a text": Answer(404, body=ECHO),
    "a web page": Answer(502, body=f"<html>{QUOTED} {ECHO}</html>", headers={"Content-Type": "text/html"}),
    "too many": Answer(429, error={"message": ECHO}, headers={"Retry-After": "100000"}),
    "an error sent as a success": Answer(200, body=json.dumps({"error": {"message": ECHO, "code": 401}})),
    "no completion": Answer(200, body=json.dumps({"detail": ECHO})),
    "no JSON": Answer(200, body=ECHO),
    "in a reply": Answer(200, text=ECHO),
    "in a refusal": Answer(200, text="", message={"refusal": ECHO}, finish_reason="refusal"),
    "in a header": Answer(500, headers={"X-Request": f"Bearer {KEY}", "Retry-After": "100000"}),
}


@pytest.mark.parametrize("answer", ECHOES.values(), ids=list(ECHOES))
def test_a_server_that_repeats_them_is_not_repeated(
    descgen: Run, server: ChatServer, planted: str, answer: Answer, database: Path
) -> None:
    server.otherwise = lambda body: answer
    said = [build(descgen, planted), build(descgen, planted, "--json")]
    assert traces(*said, database.parent) == []
    assert any(said)


def test_a_build_uses_them_and_leaves_no_trace(
    descgen: Run, recognize: Run, server: ChatServer, planted: str, tmp_path: Path
) -> None:
    said = [build(descgen, planted)]
    assert len(server.bodies) == 3
    for form in ("json", "csv", "tear"):
        assert descgen("export", "-d", "hmdb51", "--format", form, "--output", tmp_path / f"x.{form}").exit_code == 0
    for command in (("stats",), ("stats", "--json"), ("show", "-d", "hmdb51"), ("config",), ("llms",)):
        result = descgen(*command)
        said.append(result.output + result.stderr)
    assert traces(*said, tmp_path) == []
    assert f"openai@{server.url}" in (tmp_path / "x.json").read_text()


def test_another_key_or_password_is_the_same_llm(
    descgen: Run, server: ChatServer, planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(descgen, planted)
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    build(descgen, planted.replace(USER, "somebody"))
    assert '"cached": 3' in build(descgen, server.url, "--json")
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    "server_address",
    [
        f"http://{QUOTED}@127.0.0.1:9/v1",
        f"http://{QUOTED}@127.0.0.1:{USER}/v1",
        f"http://{QUOTED}@no.such.host.invalid/v1?api_key={PARAMETER}",
        f"http://{USER}:{PASSWORD}@127.0.0.1:9/v1",
        f"http://{USER}:pl/anted/planted@127.0.0.1:9/v1",
        f"ftp://{QUOTED}@127.0.0.1/v1",
        f"{QUOTED}@127.0.0.1:9",
        f"http://[{QUOTED}@::/v1",
    ],
)
@pytest.mark.parametrize("more", [(), ("--batch-api",)])
def test_an_address_without_a_server_is_told_without_them(
    descgen: Run, planted: str, server_address: str, more: tuple[str, ...], database: Path
) -> None:
    said = build(descgen, server_address, *more)
    assert traces(said, database.parent) == []
    assert "Error" in said


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql+psycopg://alice:{quote(PASSWORD, safe='')}@127.0.0.1:9/x",
        f"postgresql+psycopg://alice:{PASSWORD}@127.0.0.1:9/x",
        f"postgresql+psycopg://alice:{PASSWORD}@127.0.0.1:badport/x",
        f"postgresql+psycopg://alice@127.0.0.1:9/x?password={quote(PASSWORD, safe='')}",
        f"postgresql+psycopg://alice@127.0.0.1:9/x?sslpassword={PARAMETER}&planted",
        f"nosuch://alice:{KEY}@127.0.0.1/x",
        f"mysql+nosuch://alice:{KEY}@127.0.0.1/x",
        f"://alice:{KEY}@127.0.0.1/x",
    ],
)
@pytest.mark.parametrize("program", ["descgen", "recognize"])
def test_the_password_of_a_database_is_not_repeated(address: str, program: str) -> None:
    from click.testing import CliRunner

    from descriptor_gen.cli import descgen
    from recognizer.cli import recognize

    command = {"descgen": (descgen, "stats"), "recognize": (recognize, "runs")}[program]
    result = CliRunner().invoke(command[0], ["--db", address, command[1]])
    assert result.exit_code in (1, 2), result.output
    hidden = [form for form in traces(result.output, result.stderr) if form != "planted"]
    assert hidden == []
    with pytest.raises(UserError) as error:
        Store.open(address)
    assert [form for form in traces(str(error.value)) if form != "planted"] == []


BATCH_ECHOES = {
    "in a reply": Answer(text=ECHO),
    "in an error of a call": Answer(404, error={"message": ECHO, "code": ECHO}),
    "in a result that is no object": Answer(200, body=ECHO),
}


@pytest.fixture
def planted_batches(batches: BatchServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server with a Batch API, with secrets as those of `planted`."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with registered(open_tiny(clock=batches.clock), "tiny"):
        yield secret(batches.url)


@pytest.mark.parametrize("answer", [Answer(), *BATCH_ECHOES.values()], ids=["good", *BATCH_ECHOES])
def test_results_of_batches_that_repeat_them(
    descgen: Run, batches: BatchServer, planted_batches: str, answer: Answer, database: Path
) -> None:
    batches.otherwise = lambda body: answer
    said = build(descgen, planted_batches, "--batch-api")
    assert [len(keys) for keys in batches.submitted][:1] == [3], said
    assert traces(said, database.parent) == []
    for path, authorization in batches.seen:  # the secrets of the address go with each request
        assert (parse_qs(urlsplit(path).query)["api_key"], authorization.partition(" ")[0]) == ([PARAMETER], "Basic")


@pytest.mark.parametrize("status", [400, 401, 404, 413])
@pytest.mark.parametrize("where", ["GET batches", "POST files", "POST batches", "GET batches/batch_0", "GET files/"])
def test_a_batch_server_that_repeats_them_is_not_repeated(
    descgen: Run, batches: BatchServer, planted_batches: str, where: str, status: int, database: Path
) -> None:
    answer = Answer(status, error={"message": ECHO, "code": ECHO})
    batches.at = lambda method, path: (
        answer if f"{method} {path}" == where or (where[-1] == "/" and f"{method} {path}".startswith(where)) else None
    )
    said = build(descgen, planted_batches, "--batch-api")
    assert any(request.startswith(where) for request in batches.requests), said
    assert traces(said, database.parent) == []


def test_a_batch_that_fails_with_them_is_told_without_them(
    descgen: Run, batches: BatchServer, planted_batches: str, database: Path
) -> None:
    batches.failing = [[{"code": ECHO, "message": ECHO, "line": 1}]]
    said = build(descgen, planted_batches, "--batch-api")
    assert "refused batch batch_0" in said
    assert traces(said, database.parent) == []


def test_a_profile_takes_none_and_shows_none(
    descgen: Run, planted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    descgen("config", "set", "llm", "openai:x")
    for name, value in (("base-url", planted), ("base-url", f"http://h/v1?api_key={KEY}"), ("db", f"x://u:{KEY}@h/x")):
        result = descgen("config", "set", name, value)
        assert "would hold a secret" in result.stderr
        assert traces(result.output, result.stderr) == []
    monkeypatch.setenv("OPENAI_BASE_URL", planted)
    shown = descgen("config", "--json")
    assert traces(shown.output) == []
    assert descgen("config", "set", "db", "postgresql+psycopg://alice@host/x?sslmode=require").exit_code == 0


def test_addresses_without_secrets_stay_as_they_are() -> None:
    for address in ("http://localhost:8000/v1", "https://api.x.ai/v1/", "descriptors.db", "sqlite:///a/b.db", "openai"):
        assert public_address(address) == address
        assert secrets_in(address) == ()
        assert hide(address, secrets_in(address)) == address
    assert hide("no model ollama here", secrets_in("http://ollama@localhost/v1")) == "no model ollama here"


TEXTS = json.dumps({"setting": f"a field {ECHO}", "objects": [KEY, USER, "a ball"]})


@pytest.fixture
def free(descgen: Run, tmp_path: Path) -> Path:
    """A template that lets any text pass."""
    file = tmp_path / "free.j2"
    file.write_text(re.sub(r", pattern: \".*\"", "", descgen("prompts", "show", "context").stdout))
    return file


def pages(client: TestClient, first: str = "/") -> dict[str, str]:
    """Return every page of the review that a link or a button leads to, by path, beginning with the first."""
    waiting, seen = [first], dict[str, str]()
    while waiting:
        path = waiting.pop()
        answer = client.get(path)
        assert answer.status_code == 200, path
        seen[path] = answer.text
        found = re.findall(r'(?:href|data-sheet|data-open)="(/[^"#]*)"', answer.text)
        found += [f"/history/{number}" for number in re.findall(r'data-id="(\d+)"', answer.text)]
        found += [f"/call/{number}" for number in re.findall(r'"/call/(\d+)"', answer.text)]
        links = dict.fromkeys(unescape(link) for link in found if not link.startswith("/static"))
        waiting += [link for link in links if link not in seen and link not in waiting]
    return seen


@pytest.mark.parametrize("answer", [Answer(), Answer(text=TEXTS), ECHOES["in a reply"]], ids=["good", "echo", "odd"])
def test_no_page_of_the_review_shows_them(
    descgen: Run, server: ChatServer, planted: str, answer: Answer, store: Store, free: Path
) -> None:
    build(descgen, server.url)  # so that there is something to review
    server.otherwise = lambda body: answer
    said = build(descgen, planted, "--template", free, "--refresh")
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna", open_llm=lambda seed: FakeLLM())
    seen = pages(TestClient(create_app(session, access_rules("127.0.0.1")), base_url="http://localhost"))
    session.close()
    assert {path.split("/")[1].partition("?")[0] for path in seen} >= {"", "class", "compare", "log", "history", "call"}
    assert traces(said, *seen.values()) == []


def test_no_result_of_recognize_shows_them(
    descgen: Run, recognize: Run, server: ChatServer, planted: str, balls: Path, tmp_path: Path, free: Path
) -> None:
    server.otherwise = lambda body: Answer(text=TEXTS)
    built = descgen("build", "-d", balls, "-t", free, "-k", "context", "--llm", "tiny", "--base-url", planted)
    assert built.exit_code == 0, built.output
    said = [built.output]
    results = tmp_path / "results"
    results.mkdir()
    clip = balls / "red_ball" / "a"
    for command in (
        ("eval", balls, "-e", "fake", "--csv", results / "tables", "--controls"),
        ("eval", balls, "-e", "fake", "--json"),
        ("report", 1, "-o", results / "run.html"),
        ("runs", 1, "--json"),
        ("impact", 1),
        ("controls", 1, "--json"),
        ("sweep", "-d", balls, "--root", balls, "-e", "fake", "--csv", results / "sweep.csv"),
        ("leaderboard", "-o", results / "board.html"),
        ("predict", clip, "-d", balls, "-e", "fake", "--json"),
        ("explain", clip, "-d", balls, "-e", "fake", "-o", results / "clip.html"),
    ):
        result = recognize(*command)
        assert result.exit_code == 0, (command, result.output)
        said.append(result.output + result.stderr)
    assert traces(*said, tmp_path) == []
