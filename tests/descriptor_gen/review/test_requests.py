"""Requests that no page of ours sends: each is refused in words, none is a fault of the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.app import create_app
from descriptor_gen.review.security import MAX_BODY, access_rules
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.commands import Run
from tests.fixtures.databases import place_of

HUGE = "9" * 5000
ODD_VALUES = (
    "NaN", "Infinity", "-Infinity", "1e999", "-1", "0", "9223372036854775807", "9223372036854775808", HUGE, "null",
    "true", '"\\ud800"', '"\\u0000"', '"x"', "[]", "{}", "[[1, 9223372036854775808]]", "[[NaN, 1]]", "[[1]]",
    "[[9223372036854775807, 9223372036854775807]]", '"' + "x" * 5000 + '"',
)  # fmt: skip
FIELDS = {
    "/decide": ("decision", "refs", "text", "kind", "label", "query", "stamp"),
    "/regenerate": ("label", "kind"),
    "/replace": ("old", "new", "whole", "case", "query", "stamp"),
    "/comment": ("descriptor", "text"),
    "/guidelines": ("text", "replaces"),
}
USUAL = {"decision": "add", "text": "a text", "kind": "context", "label": 0, "refs": [[1, 1]], "query": "", "stamp": ""}
USUAL |= {"old": "field", "new": "lawn", "whole": False, "case": False, "descriptor": 1, "replaces": 0}


class Client:
    """A client with the secret of our pages, which holds every answer to what is promised."""

    def __init__(self, app: FastAPI, csrf: str, secret: str) -> None:
        self.app, self._secret = app, secret
        self._client = TestClient(app, base_url="http://localhost")  # an exception of the server is raised here
        self._csrf = {"X-CSRF-Token": csrf}

    def send(self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any) -> Any:
        answer = self._client.request(method, path, headers={**self._csrf, **(headers or {})}, **more)
        assert answer.status_code < 500, answer.text
        assert self._secret not in answer.text
        assert "Traceback" not in answer.text
        return answer


@pytest.fixture
def client(descgen: Run, llm: FakeLLM, store: Store, db_url: str) -> Iterator[Client]:
    """A client of a database with two classes of one kind."""
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna", open_llm=lambda seed: llm)
    rules = access_rules("127.0.0.1")
    yield Client(create_app(session, rules), rules.csrf, place_of(db_url))
    session.close()


@pytest.mark.parametrize("path", ["/history/", "/call/", "/jobs/", "/class/"])
@pytest.mark.parametrize(
    "number", ["2147483648", "9999999999999999999", HUGE, "-1", "0x1", "NaN", "%00", "%ed%a0%80", "1.5"]
)
def test_a_number_that_cannot_be_an_id_is_refused(client: Client, path: str, number: str) -> None:
    answer = client.send("GET", path + number)
    assert answer.status_code in (404, 422)
    assert answer.json()["message"]


@pytest.mark.parametrize("page", [HUGE, "-1", "%C2%B2", "%00", "9" * 8])
def test_a_page_that_does_not_exist_shows_one_that_does(client: Client, page: str) -> None:
    assert client.send("GET", f"/compare?page={page}").status_code == 200


@pytest.mark.parametrize("path", FIELDS)
def test_odd_values_in_any_field_are_refused_or_taken(client: Client, path: str) -> None:
    for field in FIELDS[path]:
        for value in ODD_VALUES:
            others = {name: content for name, content in USUAL.items() if name in FIELDS[path] and name != field}
            body = json.dumps(others)[:-1] + f', "{field}": {value}}}'
            answer = client.send("POST", path, content=body.encode(), headers={"Content-Type": "application/json"})
            assert answer.json()["message"], (field, value)


def test_a_refusal_names_the_field_and_does_not_repeat_what_was_sent(client: Client) -> None:
    answer = client.send("POST", "/decide", json=USUAL | {"refs": [[1, 2**63]]})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("The request is refused. refs.0.1: ")
    assert str(2**63) not in answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"label":' * 100_000, b"null", b"NaN", b"1" * 5000, b"\x00"],
    ids=range(9),
)
@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "multipart/form-data", "application/json; charset=nonsense", ""]
)
def test_a_body_that_is_no_request_is_refused(client: Client, body: bytes, kind: str) -> None:
    answer = client.send("POST", "/decide", content=body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 422)
    assert answer.json()["message"]


def test_a_body_needs_a_length_and_a_bearable_one(client: Client) -> None:
    assert client.send("POST", "/decide", content=iter([b"{}"])).status_code == 411
    assert client.send("POST", "/decide", content=b" " * (MAX_BODY + 1)).status_code == 413
    assert client.send("POST", "/decide", content=b" " * MAX_BODY).status_code == 422
    assert client.send("POST", "/decide", content=b"", headers={"Content-Length": HUGE}).status_code == 413


def test_a_kind_that_nobody_knows_is_not_stored(client: Client, store: Store) -> None:
    before = store.descriptors(store.dataset("hmdb51"))
    answer = client.send("POST", "/decide", json=USUAL | {"kind": "contxt"})
    assert answer.status_code == 400
    assert "Unknown kind 'contxt'. Did you mean context or contrast? Known: context, " in answer.json()["message"]
    assert store.descriptors(store.dataset("hmdb51")) == before


def test_any_query_has_a_page(client: Client) -> None:
    names = st.sampled_from(["kind", "source", "status", "flag", "comments", "q", "order", "left", "right", "page"])

    @settings(max_examples=40, derandomize=True, database=None)
    @given(st.sampled_from(["/", "/class/0", "/class/0/panel", "/compare"]), st.dictionaries(names, st.text()))
    def has_a_page(path: str, query: dict[str, str]) -> None:
        assert client.send("GET", path, params=query).status_code == 200

    has_a_page()
