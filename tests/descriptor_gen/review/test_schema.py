"""The OpenAPI schema of the application is true: requests made from it get the answers that it declares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.app import create_app
from descriptor_gen.review.security import access_rules
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.commands import Run

FILTER = {"kind", "source", "status", "flag", "comments", "q", "order", "classes"}
OPERATIONS = 21
SEVERAL = st.dictionaries(st.sampled_from([*sorted(FILTER), "page", "left", "token", "x"]), st.text(max_size=20))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


class Fuzzed:
    """The application, and what is promised about each of its answers."""

    def __init__(self, session: ReviewSession, secret: str) -> None:
        rules = access_rules("127.0.0.1")
        self.app = create_app(session, rules)
        self.headers = {"X-CSRF-Token": rules.csrf}
        self._secret, self.sent = secret, 0

    def request(self, client: TestClient, case: Any, query: dict[str, str], body: Any) -> None:
        """Send a generated request, its query and fields partly replaced by values out of the schema."""
        from schemathesis.checks import CHECKS

        if isinstance(case.body, dict) and isinstance(body, dict):
            case.body = case.body | body
        case.query = {**(case.query or {}), **query}
        case.headers = {**(case.headers or {}), **self.headers}
        answer = case.call(session=client, base_url="http://localhost")
        self.sent += 1
        text = answer.content.decode()
        assert self._secret not in text
        assert "Traceback" not in text
        names = ("not_a_server_error", "status_code_conformance", "content_type_conformance")
        checks = CHECKS.get_by_names([*names, "response_schema_conformance"])
        case.validate_response(answer, checks=checks)


@pytest.fixture
def fuzzed(descgen: Run, llm: FakeLLM, store: Store, tmp_path: Path) -> Iterator[Fuzzed]:
    """The application over a database with two classes of one kind."""
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna", open_llm=lambda seed: llm)
    yield Fuzzed(session, str(tmp_path))
    session.close()


def test_the_schema_has_every_parameter(fuzzed: Fuzzed) -> None:
    paths = fuzzed.app.openapi()["paths"]
    assert sum(len(methods) for methods in paths.values()) == OPERATIONS
    queries = {
        path: {p["name"] for p in methods["get"].get("parameters", ()) if p["in"] == "query"}
        for path, methods in paths.items()
        if "get" in methods
    }
    assert queries["/class/{label}"] == queries["/class/{label}/panel"] == FILTER
    assert (queries["/"], queries["/log"]) == (FILTER | {"page", "at"}, {"page"})
    assert queries["/compare"] == FILTER | {"left", "right", "page"}
    assert queries["/download"] == FILTER | {"format"}
    assert queries["/replace"] == FILTER | {"old", "new", "whole", "case", "page"}
    assert paths["/decide"]["post"]["security"] == paths["/regenerate"]["post"]["security"] != []


def run(fuzzed: Fuzzed, each: int) -> None:
    """Send `each` requests to each operation of the schema."""
    schemathesis: Any = pytest.importorskip("schemathesis", reason="no schemathesis: pip install schemathesis")
    from schemathesis.python.asgi import get_client

    schema = schemathesis.openapi.from_dict(fuzzed.app.openapi())
    with get_client(fuzzed.app) as client:
        for result in schema.get_all_operations():
            body = st.none() | st.dictionaries(st.sampled_from(["label", "refs", "text", "kind", "query"]), VALUES)

            @settings(
                max_examples=each, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck]
            )
            @given(result.ok().as_strategy(), st.just({}) | SEVERAL, body)
            def is_declared(case: Any, query: dict[str, str], more: Any) -> None:
                fuzzed.request(client, case, query, more)

            is_declared()


def test_two_hundred_requests_get_declared_answers(fuzzed: Fuzzed) -> None:
    run(fuzzed, 20)
    assert fuzzed.sent >= 200 - OPERATIONS * 10  # hypothesis stops where it knows all values


@pytest.mark.slow
def test_two_thousand_requests_get_declared_answers(fuzzed: Fuzzed) -> None:
    run(fuzzed, 250)
    assert fuzzed.sent >= 2000
