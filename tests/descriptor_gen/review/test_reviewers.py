"""Several reviewers of one server: who is who, whatever is sent; classes, progress, and what others did meanwhile."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.responses import Response

from db.errors import UsageError
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.assignment import assign, classes_of
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.reviewers import Panel
from descriptor_gen.review.security import CSRF_HEADER
from tests.fixtures.browser import BIN
from tests.fixtures.commands import Run
from tests.fixtures.several import Client, Open, Several, several

NAMES = [f"class {n}" for n in range(400)]


@pytest.fixture
def opened(descgen: Run, llm: FakeLLM, store: Store) -> Iterator[Open]:
    """Open applications over a database with six classes of one kind."""
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "6")
    with several(store) as another:
        yield another


def log(store: Store) -> list[tuple[str, str]]:
    return [(event.reviewer, event.what) for event in store.reviews().events(store.dataset("hmdb51"))]


def first_ids(page: str, count: int) -> list[int]:
    return [int(number) for number in re.findall(r'data-id="(\d+)"', page)][:count]


# Assignment


def test_each_class_goes_to_one_reviewer_whatever_the_order_of_names() -> None:
    assigned = assign(NAMES, ["anna", "bob", "carl"])
    assert assigned == assign(NAMES[::-1], ["carl", "anna", "bob"])
    assert {len(who) for who in assigned.values()} == {1}
    shares = [len(classes_of(name, assigned)) for name in ("anna", "bob", "carl")]
    assert sum(shares) == 400
    assert all(100 < share < 170 for share in shares)  # 133 each on average, with a deviation of 9


def test_the_formula_is_that_of_the_document() -> None:
    def number(text: str) -> int:
        return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)

    for name, who in assign(NAMES[:50], ["anna", "bob"], overlap=0.3).items():
        order = sorted(["anna", "bob"], key=lambda reviewer: number(f"{name}\n{reviewer}"))
        assert who == tuple(order if number(name) < 0.3 * 2**64 else order[:1])


def test_a_share_of_the_classes_goes_to_two_and_the_rest_stays_where_it_is() -> None:
    without, names = assign(NAMES, ["anna", "bob", "carl"]), ["anna", "bob", "carl"]
    some = assign(NAMES, names, overlap=0.2)
    assert 50 < sum(len(who) == 2 for who in some.values()) < 110  # 80 on average, with a deviation of 8
    assert all(who[:1] == without[name] for name, who in some.items())
    assert {len(who) for who in assign(NAMES, names, overlap=1.0).values()} == {2}
    more = assign(NAMES, [*names, "dora"])
    assert {who for name, who in more.items() if who != without[name]} == {("dora",)}  # nobody else gets another class


# Who is who


def test_each_address_decides_under_its_own_name(opened: Open, store: Store) -> None:
    server = opened("anna", "bob")
    anna, bob = server.client("anna"), server.client("bob")
    one, two = first_ids(anna.get("/class/0?classes=all"), 2)
    anna.decide("accept", one)
    bob.decide("reject", two, reviewer="anna", name="anna")  # what the body says does not matter
    assert log(store) == [("anna", "accept"), ("bob", "reject")]
    assert "anna" in anna.get("/")
    assert re.search(r'class="who"[^>]*>bob<', bob.get("/"))
    assert "no decision to undo" not in bob.decide("undo")["message"]
    assert log(store)[-1] == ("bob", "undo")  # of the own decision, though anna's is older


def test_nobody_comes_in_without_an_address_or_as_somebody_else(opened: Open, store: Store) -> None:
    server = opened("anna", "bob")
    anna, bob, stranger = server.client("anna"), server.client("bob"), Client(server.app)
    [one] = first_ids(anna.get("/class/0?classes=all"), 1)
    body = {"decision": "accept", "refs": [[one, 1]]}
    secret = server.reviewers.secrets["anna"]
    for path in ("/", "/class/0", "/reviewers", "/?token=guess", "/?token=", "/static/descriptor_gen.review/review.js"):
        stranger.get(path, expected=401)
    stranger.get("/", expected=401, X_Forwarded_User="anna", X_Reviewer="anna", Authorization="anna")
    stranger.get("/", expected=401, Cookie="review_token=anna")
    assert stranger.http.post("/decide", json=body, headers={CSRF_HEADER: anna.csrf}).status_code == 401
    assert stranger.http.post(f"/decide?token={secret}", json=body, headers={CSRF_HEADER: anna.csrf}).status_code == 401
    assert stranger.http.request("OPTIONS", "/decide").status_code == 401
    assert anna.csrf != bob.csrf
    for wrong in (bob.csrf, server.rules.csrf, "", "guess"):  # a page of bob, opened with the cookie of anna
        assert "Reload the page" in anna.post("/decide", expected=403, csrf=wrong, **body)["message"]
    anna.get("/", expected=421, Host="evil.example")
    assert log(store) == []


def test_a_second_address_in_the_same_browser_replaces_the_first(opened: Open, store: Store) -> None:
    server = opened("anna", "bob")
    client = server.client("anna")
    stale = client.csrf
    [one] = first_ids(client.get("/class/0?classes=all"), 1)
    client.get(f"/?token={server.reviewers.secrets['bob']}")
    client.post("/decide", decision="accept", refs=[[one, 1]], csrf=stale, expected=403)  # a tab that says anna
    client.decide("accept", one)
    assert log(store) == [("bob", "accept")]


def test_a_proxy_names_the_reviewer(opened: Open, store: Store) -> None:
    server = opened(header="X-Forwarded-User")
    client = Client(server.app)
    page = client.get("/class/0", X_Forwarded_User="  Zoë  Müller ".encode().decode("latin-1"))
    assert re.search(r'class="who"[^>]*>Zoë Müller<', page)
    [one] = first_ids(page, 1)
    body = {"decision": "accept", "refs": [[one, 1]]}
    headers = {"X-Forwarded-User": "bob", CSRF_HEADER: client.csrf}
    assert client.http.post("/decide", json=body, headers=headers).status_code == 403  # the page is not one of bob's
    client.get("/", X_Forwarded_User="bob")
    assert client.http.post("/decide", json=body, headers=headers | {CSRF_HEADER: client.csrf}).status_code == 200
    assert log(store) == [("bob", "accept")]


def test_a_header_is_refused_where_it_cannot_be_believed(opened: Open) -> None:
    local = opened(header="X-Forwarded-User")
    near, far = Client(local.app), Client(local.app, "192.168.0.7")
    assert "takes requests from its proxy only" in far.get("/", expected=403, X_Forwarded_User="anna")
    far.get("/", expected=403, X_Forwarded_User="anna", X_Forwarded_For="127.0.0.1", Forwarded="for=127.0.0.1")
    assert "x-forwarded-user, by which the proxy says who you are, is missing" in near.get("/", expected=403)
    for odd in ("", " ", "anna, bob", "a" * 201, "anna\x7f"):
        assert "does not hold one name" in near.get("/", expected=403, X_Forwarded_User=odd)
    twice = near.http.get("/", headers=[("X-Forwarded-User", "anna"), ("x-forwarded-user", "bob")])
    assert (twice.status_code, "sent several times" in twice.text) == (403, True)
    rules, loopback = local.rules.identities, {"method": "GET", "path": "/", "query_string": b"", "client": ("::1", 1)}
    assert rules is not None
    assert isinstance(rules.identify(loopback, Headers(raw=[(b"x-forwarded-user", b"\xff")])), Response)  # no UTF-8
    named = opened("anna", "bob", header="X-Forwarded-User", proxies=("10.0.0.0/24", "fd00::1"), host="0.0.0.0")
    Client(named.app, "10.0.0.9", "evil.example").get("/", expected=421, X_Forwarded_User="anna")
    for address in ("10.0.0.9", "fd00::1", "::ffff:10.0.0.9"):
        Client(named.app, address).get("/", X_Forwarded_User="anna")
    for address in ("127.0.0.1", "10.0.1.9", "fd00::2", "testclient"):
        Client(named.app, address).get("/", expected=403, X_Forwarded_User="anna")
    refused = Client(named.app, "10.0.0.9").get("/", expected=403, X_Forwarded_User="eve")
    assert "eve is not among the reviewers" in refused


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"names": ("anna", "")}, "has a name of at most 200"),
        ({"names": ("anna", "Anna")}, "names somebody twice: anna, Anna"),
        ({"proxies": ("10.0.0.1",)}, "--trust-proxy needs --reviewer-header"),
        ({"names": ("anna",), "overlap": 0.2}, "--overlap needs at least two names"),
    ],
)
def test_a_panel_that_makes_no_sense_is_refused(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        Panel(**options)


def test_a_proxy_needs_an_address_where_others_can_connect(opened: Open) -> None:
    with pytest.raises(UsageError, match="--trust-proxy ADDRESS"):
        opened(header="X-Forwarded-User", host="192.168.0.9")
    with pytest.raises(UsageError, match="--allow-host NAME"):  # else any name would do, also one that leads here
        opened(header="X-Forwarded-User", host="0.0.0.0", proxies=("10.0.0.5",), allowed=())
    with pytest.raises(UsageError, match=r"--trust-proxy proxy\.example: .* Give an address such as 10\.0\.0\.5"):
        opened(header="X-Forwarded-User", proxies=("proxy.example",))


def test_a_real_server_does_not_believe_what_a_client_says_about_its_address(
    descgen: Run, llm: FakeLLM, db_url: str
) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "1")
    command = [BIN / "descgen", "--db", db_url, "review", "-d", "hmdb51", "--no-browser"]
    options = ["--reviewer-header", "X-Forwarded-User", "--trust-proxy", "10.9.9.9"]
    server = subprocess.Popen([*map(str, command), *options], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        line = server.stderr.readline()
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", line)[1])  # type: ignore[index]
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            lines = ("GET / HTTP/1.1", "Host: localhost", "X-Forwarded-User: anna", "X-Forwarded-For: 10.9.9.9")
            connection.sendall("\r\n".join((*lines, "Connection: close", "", "")).encode())
            answer = connection.makefile().read()
    finally:
        server.terminate()
        server.wait(120)
    assert " 403 " in answer.splitlines()[0]
    assert "takes requests from its proxy only" in answer


# Own classes, progress, presence


def test_a_reviewer_sees_own_classes_and_by_a_link_all(opened: Open) -> None:
    server = opened("anna", "bob")
    anna, assigned = server.client("anna"), server.reviewers.assigned
    built = {action.name for action in server.starter.dataset.actions[:6]}
    own = {name for name in built if assigned[name] == ("anna",)}
    assert 0 < len(own) < 6

    def shown(page: str) -> set[str]:
        return {name for name in built if f"<small>{name}</small>" in page}

    assert shown(anna.get("/")) == own
    assert shown(server.client("bob").get("/")) == built - own
    assert 'href="/?classes=all"' in anna.get("/")
    assert shown(anna.get("/?classes=all")) == built
    other = next(action for action in server.starter.dataset.actions if action.name in built - own)
    page = anna.get(f"/class/{other.label}")  # a link to a class of bob
    assert 'class="folded"' not in page
    assert f"of {3 * len(own)} decided" in page
    ids = first_ids(page, 3)
    answer = anna.decide("accept", *ids, label=other.label)
    assert answer["label"] in {action.label for action in server.starter.dataset.actions if action.name in own}


def test_the_queue_ends_with_the_own_classes(opened: Open, store: Store) -> None:
    server = opened("anna", "bob")
    anna = server.client("anna")
    page = anna.get("/")
    stamp = re.search(r'data-all="accept" data-filter="" data-stamp="(\w+)" data-count="(\d+)"', page)
    assert stamp is not None
    anna.post("/decide", decision="accept", stamp=stamp[1])
    decided = {d.action for d in store.descriptors(store.dataset("hmdb51"), statuses=("accepted",))}
    assert decided == {name for name in decided if server.reviewers.assigned[name] == ("anna",)}
    assert len(decided) == int(stamp[2]) / 3
    assert ">0</strong> texts match" not in anna.get("/?status=pending&classes=all")
    assert ">0</strong> texts match" in anna.get("/?status=pending")


def test_progress_and_agreement_of_each_person(opened: Open, store: Store) -> None:
    server = opened("anna", "bob", overlap=1.0)
    anna, bob = server.client("anna"), server.client("bob")
    ids = first_ids(anna.get("/class/0"), 3) + first_ids(anna.get("/class/1"), 1)
    for one in ids:
        anna.decide("accept", one)
    for one, verdict in zip(ids, ("accept", "accept", "reject", "reject"), strict=True):
        bob.decide(verdict, one, version=2)
    page = anna.get("/reviewers")
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr><th scope=\"row\">.*?</tr>", page, re.S)]
    assert rows[0][:9] == ["anna", "51", "4", "of", "18", "decided", "4", "0", rows[0][8]]
    assert rows[1][:8] == ["bob", "51", "4", "of", "18", "decided", "2", "2"]
    # both accepted 2, anna alone 2: p_o = 1/2 and p_e = 1 * 1/2, so kappa is 0
    assert rows[2][:6] == ["anna,", "bob", "all", "4", "50.0%", "0.000"]
    assert bob.get("/reviewers").count("<progress") == page.count("<progress")


def test_what_others_did_since_the_page_came_is_told(opened: Open, store: Store) -> None:
    server = opened("anna", "bob", "carl", overlap=0.0)
    anna, bob, carl = (server.client(name) for name in ("anna", "bob", "carl"))
    page = anna.get("/class/0?classes=all")
    event = re.search(r'data-event="(\d+)"', page)
    assert event is not None

    def told(since: str = event[1], label: int = 0) -> str:
        return str(json.loads(anna.get(f"/class/{label}/changes?since={since}"))["message"])

    one, two, three = first_ids(page, 3)
    assert told() == ""
    bob.decide("edit", one, text="another text")
    bob.decide("reject", two)
    edited = max(d.id for d in store.descriptors(store.dataset("hmdb51")))
    bob.decide("edit", edited, text="yet another text")  # the same text again
    assert told() == "bob changed 2 texts here"
    carl.decide("accept", three)
    assert told() == "bob changed 2 texts here; carl changed 1 text here"
    assert told(label=1) == ""
    now = re.search(r'data-event="(\d+)"', anna.get("/class/0/panel"))
    assert now is not None
    assert told(since=now[1]) == ""
    anna.get("/")
    anna.decide("restore", three, version=2)
    assert told(since=now[1]) == ""  # one's own decisions are no news
    anna.get("/class/0/changes?since=-1", expected=422)


def test_sessions_share_the_linter_and_the_jobs(opened: Open) -> None:
    server: Several = opened("anna", "bob")
    anna, bob = (server.reviewers.session(name) for name in ("anna", "bob"))
    anna.matching(Filter(), wait=60)
    bob.snapshot()
    assert bob.flags()[1] is False  # nothing is linted again for bob
    assert anna.jobs is bob.jobs is server.starter.jobs
