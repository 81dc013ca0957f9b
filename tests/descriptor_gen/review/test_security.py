"""Requests that the review application refuses: names, tokens, changes; and its security headers."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from descriptor_gen.review.security import CSRF_HEADER, AccessRules, Guard, access_rules


def client(rules: AccessRules, host: str = "localhost:8000") -> TestClient:
    """Return a client of an application that answers every request."""

    def yes(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"yes {request.url.path}?{request.url.query}")

    app = Starlette(routes=[Route("/{path:path}", yes, methods=["GET", "POST"])])
    return TestClient(Guard(app, rules), base_url=f"http://{host}", follow_redirects=False)


@pytest.mark.parametrize("host", ["localhost", "localhost:8642", "127.0.0.1:8642", "[::1]:8642", "LOCALHOST"])
def test_loopback_answers_to_its_own_names_without_a_token(host: str) -> None:
    assert client(access_rules("127.0.0.1"), host).get("/").text == "yes /?"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8642", "0.0.0.0"])
def test_a_foreign_name_is_refused(host: str) -> None:
    answer = client(access_rules("127.0.0.1")).get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert "--allow-host" in answer.text


def test_a_change_needs_the_secret_of_our_own_pages() -> None:
    rules = access_rules("127.0.0.1")
    browser = client(rules)
    assert browser.post("/decide").status_code == 403
    assert browser.post("/decide", headers={CSRF_HEADER: "guess"}).status_code == 403
    assert browser.post("/decide", headers={CSRF_HEADER: rules.csrf}).status_code == 200


def test_on_other_addresses_a_token_is_needed_once_and_removed_from_the_address() -> None:
    rules = access_rules("192.168.0.9")
    assert rules.token
    stranger = client(rules, "192.168.0.9:8000")
    assert stranger.get("/").status_code == 401
    assert stranger.get("/?token=guess").status_code == 401
    assert stranger.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert stranger.post(f"/decide?token={rules.token}", headers={CSRF_HEADER: rules.csrf}).status_code == 401
    first = stranger.get(f"/class/3?kind=context&token={rules.token}")
    assert (first.status_code, first.headers["location"]) == (303, "/class/3?kind=context")
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=strict" in first.headers["set-cookie"]
    assert stranger.get("/class/3").text == "yes /class/3?"  # the cookie is enough now
    assert stranger.post("/decide").status_code == 403
    away = client(rules, "192.168.0.9:8000").get(f"http://192.168.0.9:8000//evil.example/?token={rules.token}")
    assert away.headers["location"] == "/evil.example/"


def test_every_interface_takes_any_name_but_not_without_the_token() -> None:
    assert client(access_rules("0.0.0.0"), "box.example").get("/").status_code == 401
    named = access_rules("0.0.0.0", ["box.example"])
    assert client(named, "box.example").get("/").status_code == 401
    assert client(named, "evil.example").get("/").status_code == 421


def test_a_page_loads_nothing_from_other_sites_and_in_no_frame() -> None:
    for path, host in (("/", "localhost"), ("/", "evil.example")):
        headers = client(access_rules("127.0.0.1")).get(path, headers={"Host": host}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
