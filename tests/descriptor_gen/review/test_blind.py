"""Blind review: two reviewers see nothing of each other, whatever they open; kappa; and the settling of it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import select

from db.records import Descriptor, Impact, PortableDescriptor
from db.schema import BlindVerdictRow
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.identity import SETTLER
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.terminal import Terminal
from tests.fixtures.commands import Run
from tests.fixtures.runs import with_controls
from tests.fixtures.several import Client, Open, Several, several

NAME, EDIT, ADDED = "Bartholomew", "a text that he changed", "a text that he added"
SAID = "what he says about it"
CLASSES = 4


@pytest.fixture
def opened(descgen: Run, llm: FakeLLM, store: Store) -> Iterator[Open]:
    """Open applications over a database with four classes of two kinds."""
    descgen("build", "-d", "hmdb51", "-k", "context", "-k", "decomposition", "--limit", str(CLASSES))
    with several(store) as another:
        yield another


def texts(store: Store) -> list[Descriptor]:
    return store.descriptors(store.dataset("hmdb51"), statuses=("pending", "accepted", "rejected"))


def every_address(server: Several, ids: list[int], calls: list[int]) -> list[str]:
    """Return the addresses of all routes that are read, with every value of their parameters."""
    values = {"label": range(CLASSES + 1), "descriptor": ids, "generation": calls, "job": [1]}
    addresses = []
    for path, methods in server.app.openapi()["paths"].items():
        if "get" not in methods:
            continue
        names = re.findall(r"{(\w+)}", path)
        assert len(names) < 2
        filled = [path.replace(f"{{{name}}}", str(value)) for name in names for value in values[name]] or [path]
        addresses += [f"{address}{query}" for address in filled for query in ("", "?status=rejected", "?since=0")]
    return [*addresses, "/?classes=all", "/?order=flags", "/?flag=any", "/compare?kind=context", "/?q=changed"]


def look_at_everything(server: Several, client: Client, ids: list[int], calls: list[int]) -> str:
    """Open everything, and try every kind of decision on every text; return all that came back."""
    client.answers.clear()
    for address in every_address(server, ids, calls):
        client.http.get(address)
        client.keep(client.http.get(address))
    for id_ in ids:
        for decision in ("edit", "reorder", "add"):
            body = {"decision": decision, "refs": [[id_, 1]], "text": "mine", "kind": "context", "label": 0}
            client.keep(client.http.post("/decide", json=body, headers={"X-CSRF-Token": client.csrf}))
    for body in ({"which": which, "decision": "accept", "stamp": ""} for which in ("agreed", "single")):
        client.keep(client.http.post("/settle", json=body, headers={"X-CSRF-Token": client.csrf}))
    refused = {"/regenerate": {"label": 0, "kind": "context"}, "/guidelines": {"text": "longer", "replaces": 99},
               "/replace": {"old": "a", "new": "b", "stamp": ""}}  # fmt: skip
    for path, body in refused.items():
        client.keep(client.http.post(path, json=body, headers={"X-CSRF-Token": client.csrf}))
    return "\n".join(client.answers)


def test_nothing_that_one_can_reach_holds_what_others_decided(opened: Open, store: Store, descgen: Run) -> None:
    store.comments().set_guidelines(store.dataset("hmdb51"), "short and visible", reviewer=NAME)
    server = opened("anna", NAME, blind=True, overlap=1.0)
    before = texts(store)
    ids, calls = [text.id for text in before], sorted({text.generation for text in before if text.generation})
    hidden = [*ids, *range(max(ids) + 1, max(ids) + 10)]
    anna = server.client("anna")
    anna.decide("accept", ids[0], label=0)
    anna.get("/")
    server.reviewers.session("anna").flags(wait=60)
    clean = look_at_everything(server, anna, hidden, calls)
    # He judges blind in this server; and outside of it he edits, adds, moves, accepts, rejects, and measures a run.
    bart = server.client(NAME)
    for id_, verdict in zip(ids[1:10], ("accept", "reject", "reject") * 3, strict=True):
        bart.decide(verdict, id_, label=0)
    by = ("--reviewer", NAME)
    [first, second, third] = [text for text in before if text.action == "brush_hair" and text.kind == "context"]
    assert descgen("edit", first.id, EDIT, *by).exit_code == 0
    assert descgen("reject", second.id, *by).exit_code == 0
    assert descgen("add", ADDED, "-d", "hmdb51", "-a", "cartwheel", "-k", "context", *by).exit_code == 0
    moved = [str(text.id) for text in before if text.action == "cartwheel" and text.kind == "decomposition"]
    assert descgen("reorder", *moved[::-1], *by).exit_code == 0
    assert descgen("accept", "-d", "hmdb51", "-a", "catch", *by).exit_code == 0
    for text in (*(text.id for text in before[:4]), max(text.id for text in texts(store))):
        store.comments().add(text, SAID, reviewer=NAME, in_use=False)
    with_controls(store, {"brush_hair": [third.id]})
    store.save_impacts({text.id: Impact(1, 0.01, 0.02) for text in texts(store) if text.status == "accepted"})
    server.reviewers.session("anna").refresh()
    anna.get("/")
    server.reviewers.session(NAME).refresh()
    bart.get("/")
    server.reviewers.session("anna").flags(wait=60)
    answers = look_at_everything(server, anna, hidden, calls)
    for trace in (NAME, EDIT, ADDED, SAID, "edited", "Controls of run"):
        assert trace not in answers, answers[answers.index(trace) - 300 :][:600]
    assert answers == clean  # to the last letter
    assert NAME in server.settler.get("/disagreements")  # where it may be seen, it is


def test_a_decision_is_answered_as_if_nobody_else_had_decided(opened: Open, store: Store, descgen: Run) -> None:
    server = opened("anna", NAME, blind=True, overlap=1.0)
    anna, bart = server.client("anna"), server.client(NAME)
    one, two, three, *_ = [text.id for text in texts(store) if text.action == "brush_hair"]
    bart.decide("reject", one, label=0)
    descgen("edit", two, EDIT, "--reviewer", NAME)
    descgen("reject", three, "--reviewer", NAME)
    for id_ in (one, two, three):  # in the version that anna's page shows; no conflict tells of the others
        answer = anna.decide("accept", id_, label=0)
        assert answer["message"] == "Accepted"
        assert NAME not in json.dumps(answer)
        assert EDIT not in json.dumps(answer)
    assert anna.decide("accept", one, label=0)["message"].startswith("Nothing changed: you made the same decision")
    assert "'" + texts(store)[2].text + "' is pending" in anna.decide("undo", label=0)["message"]
    edited = next(text.id for text in texts(store) if text.text == EDIT)
    assert "Not among your texts" in anna.decide("accept", edited, expected=400)["message"]
    assert [(event.reviewer, event.what) for event in store.reviews().events(store.dataset("hmdb51"))] == [
        (NAME, "edit"), (NAME, "reject"),
    ]  # fmt: skip


def test_flags_do_not_tell_what_another_rejected(opened: Open, store: Store) -> None:
    twins = [PortableDescriptor("wave", "context", n, "a raised hand", "import", origin="two.json") for n in range(2)]
    store.add_portable(store.dataset("hmdb51"), twins)
    server = opened("anna", "bob", blind=True, overlap=1.0)
    anna, bob = server.client("anna"), server.client("bob")
    wave = next(action for action in server.starter.dataset.actions if action.name == "wave")
    session = server.reviewers.session("anna")
    anna.get("/")
    session.flags(wait=60)
    assert "<strong>repeat</strong>" in anna.get(f"/class/{wave.label}")
    bob.decide("reject", next(text.id for text in texts(store) if text.action == "wave"), label=wave.label)
    session.flags(wait=60)
    assert "<strong>repeat</strong>" in anna.get(f"/class/{wave.label}")


def test_a_blind_reviewer_comments_on_a_text_that_others_edited(opened: Open, store: Store, descgen: Run) -> None:
    server = opened("anna", NAME, blind=True, overlap=1.0)
    anna, first = server.client("anna"), texts(store)[0]
    descgen("edit", first.id, EDIT, "--reviewer", NAME)
    assert anna.post("/comment", descriptor=first.id, text="say where it is")["message"] == "Comment added"
    assert "say where it is" in anna.get(f"/comments/{first.id}")
    edit = max(text.id for text in texts(store))
    assert "No descriptor" in anna.post("/comment", descriptor=edit, text="a", expected=400)["message"]
    assert "say where it is" not in server.client(NAME).get(f"/comments/{first.id}")
    assert "say where it is" in server.settler.get("/class/0")


def test_changes_of_texts_are_refused_in_a_plain_sentence(opened: Open, store: Store) -> None:
    server = opened("anna", "bob", blind=True, overlap=1.0)
    anna = server.client("anna")
    page = anna.get("/class/0?kind=context")
    [one, *_] = [text.id for text in texts(store)]
    for body in ({"decision": "edit", "text": "x"}, {"decision": "add", "text": "x", "kind": "context", "label": 0},
                 {"decision": "reorder"}):  # fmt: skip
        refused = anna.post("/decide", refs=[[one, 1]], expected=400, **body)
        assert "A blind review changes no text" in refused["message"]
    assert "changes no text" in anna.post("/regenerate", label=0, kind="context", expected=400)["message"]
    for control in ('class="add"', 'data-do="edit"', 'data-do="up"', "data-regenerate", "<kbd>e</kbd>", 'id="event"'):
        assert control not in page, control
    assert "Only the person who started the server settles a blind review" in anna.get("/disagreements", expected=400)


def test_a_blind_reviewer_has_own_classes_only(opened: Open, store: Store) -> None:
    server = opened("anna", "bob", blind=True)
    anna = server.client("anna")
    given = server.reviewers.assigned
    own = [text.id for text in texts(store) if given[text.action] == ("anna",)]
    other = [text.id for text in texts(store) if given[text.action] == ("bob",)]
    assert own
    assert other
    assert f"of {len(own)} decided" in anna.get("/?classes=all")
    assert "Not among your texts" in anna.decide("accept", own[0], other[0], expected=400)["message"]
    anna.decide("accept", *own)
    assert f'<strong id="decided">{len(own)}</strong>' in anna.get("/")


def rows(page: str, table: str) -> list[list[str]]:
    body = re.search(rf'<table class="{table}">.*?</table>', page, re.S)
    assert body is not None
    return [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr.*?</tr>", body[0], re.S)[1:]]


def judged(opened: Open, store: Store) -> tuple[Several, list[int]]:
    """Two reviewers judge 20 texts: both accept 8, anna alone 2, bob alone 4, both reject 6."""
    server = opened("anna", "bob", blind=True, overlap=1.0)
    anna, bob = server.client("anna"), server.client("bob")
    ids = [text.id for text in texts(store)]
    anna.decide("accept", *ids[:10])
    anna.decide("reject", *ids[10:20])
    bob.decide("accept", *ids[:8], *ids[10:14])
    bob.decide("reject", *ids[8:10], *ids[14:20])
    return server, ids


def test_kappa_of_two_reviewers_is_that_by_hand(opened: Open, store: Store, descgen: Run) -> None:
    server, _ = judged(opened, store)
    # p_o = 14/20; p_e = 10/20 12/20 + 10/20 8/20 = 0.5; kappa = 0.2/0.5 = 0.4. Its error, with 1 - kappa = 0.6:
    # ((0.4 (1 - 1.1 0.6)^2 + 0.3 (1 - 0.9 0.6)^2 + 0.36 (0.1 1.1^2 + 0.2 0.9^2) - 0.1^2) / (20 0.25))^0.5 = 0.2008
    page = server.settler.get("/disagreements")
    assert rows(page, "events agreement")[0] == [
        "anna,", "bob", "all", "20", "70.0%", "0.400", "0.01", "to", "0.79", "8", "2", "4", "6",
    ]  # fmt: skip
    stats = json.loads(descgen("stats", "--json").stdout)
    whole, *kinds = stats["blind_agreement"]
    assert (whole["n"], whole["kind"], round(whole["kappa"], 9)) == (20, "", 0.4)
    assert sum(pair["n"] for pair in kinds) == 20
    assert {pair["kind"] for pair in kinds} == {"context", "decomposition"}
    assert stats["agreement"] == []
    assert "Agreement of blind reviewers" in descgen("stats").stdout


def test_disagreements_are_settled_in_the_log(opened: Open, store: Store) -> None:
    server, ids = judged(opened, store)
    settler = server.settler
    page = settler.get("/disagreements")
    listed = rows(page, "events differing")
    assert len(listed) == 6
    assert {tuple(word for word in row if word in ("anna", "bob")) for row in listed} == {
        ("anna", "bob"),
        ("bob", "anna"),
    }
    assert "6 of 6 pending" in page
    settler.decide("accept", ids[8])
    page = settler.get("/disagreements")
    assert "5 of 6 pending" in page
    assert "accepted" in rows(page, "events differing")[-1]  # what is open comes first
    assert [(event.reviewer, event.what) for event in store.reviews().events(store.dataset("hmdb51"))] == [
        ("host", "accept")
    ]


def groups(page: str) -> dict[tuple[str, str], tuple[str, int]]:
    """Return (group, verdict) -> (stamp, number of texts)."""
    pattern = r'data-settle="(\w+)" data-which="(\w+)" data-stamp="(\w+)" data-count="(\d+)"'
    return {(which, verdict): (stamp, int(count)) for verdict, which, stamp, count in re.findall(pattern, page)}


def test_all_on_which_all_agree_is_one_decision_that_one_undo_restores(opened: Open, store: Store) -> None:
    server, ids = judged(opened, store)
    settler = server.settler
    shown = groups(settler.get("/disagreements"))
    assert {key: count for key, (_, count) in shown.items()} == {("agreed", "accept"): 8, ("agreed", "reject"): 6}
    stamp, _ = shown["agreed", "accept"]
    made = settler.post("/settle", which="agreed", decision="accept", stamp=stamp)
    assert made["message"] == "Accepted 8 texts; one undo restores them"
    assert {text.id for text in texts(store) if text.status == "accepted"} == set(ids[:8])
    settler.decide("undo")
    assert {text.status for text in texts(store)} == {"pending"}
    again = settler.post("/settle", which="agreed", decision="accept", stamp=stamp, expected=400)
    assert "have changed" in again["message"]  # the versions have
    settler.post("/settle", which="differing", decision="accept", stamp="", expected=422)
    server.client("anna").decide("reject", ids[0])  # one who agreed does so no more
    shown = groups(settler.get("/disagreements"))
    assert shown["agreed", "accept"][1] == 7


def test_what_one_reviewer_judged_alone_is_taken_over_too_but_not_edits(
    opened: Open, store: Store, descgen: Run
) -> None:
    server, ids = judged(opened, store)
    server.client("anna").decide("reject", *ids[20:24])
    descgen("edit", ids[20], "another text", "--reviewer", "dora")
    descgen("restore", max(text.id for text in texts(store)), "--reviewer", "dora")
    descgen("add", "one more", "-d", "hmdb51", "-a", "wave", "-k", "context", "--reviewer", "dora")
    settler = server.settler
    page = settler.get("/disagreements")
    stamp, count = groups(page)["single", "reject"]
    assert count == 3
    assert "1 more is decided, edited or replaced already" in page
    assert "1 text that people added is not judged blind" in page
    settler.post("/settle", which="single", decision="reject", stamp=stamp)
    assert {text.id for text in texts(store) if text.status == "rejected"} == set(ids[21:24])


def test_progress_is_that_of_each_for_the_settler_and_ones_own_for_the_blind(opened: Open, store: Store) -> None:
    server, _ = judged(opened, store)
    people = rows(server.settler.get("/reviewers"), "events people")
    assert [row[0] for row in people] == ["anna", "bob"]
    assert [row[row.index("decided") - 3 :][:1] for row in people] == [["20"], ["20"]]
    own = rows(server.client("anna").get("/reviewers"), "events people")
    assert [row[0] for row in own] == ["anna"]


def test_the_settler_has_an_address_that_no_reviewer_has(opened: Open) -> None:
    server = opened("anna", blind=True)
    printed = server.reviewers.announced(lambda secret: f"http://here/?token={secret}")
    assert re.findall(r"^  (anna|to settle).*?: http", printed, re.M) == ["anna", "to settle"]
    assert server.reviewers.secrets[SETTLER] not in "".join(server.client("anna").answers)
    by_proxy = opened(header="X-Forwarded-User", blind=True)
    Client(by_proxy.app).get("/disagreements", expected=400, X_Forwarded_User="to settle")
    Client(by_proxy.app).get("/disagreements", expected=400, X_Forwarded_User=SETTLER)
    settler = Client(by_proxy.app)
    settler.get(f"/?token={by_proxy.reviewers.secrets[SETTLER]}")
    settler.get("/disagreements")


def test_reviewers_of_a_later_server_that_is_not_blind_do_not_see_the_verdicts(opened: Open, store: Store) -> None:
    judged(opened, store)
    later = opened("anna", "bob", overlap=1.0).client("anna")
    assert "Settle the blind review" not in later.get("/reviewers")
    later.get("/disagreements", expected=400)
    later.post("/settle", which="agreed", decision="accept", stamp="", expected=400)


def test_the_terminal_is_blind_too(opened: Open, descgen: Run, store: Store) -> None:
    first = texts(store)[0]
    descgen("edit", first.id, EDIT, "--reviewer", NAME)
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna", blind=True)
    shown, keys = io.StringIO(), iter("hrhuaenA<q")

    def asked(question: str, text: str) -> str:
        raise AssertionError("it asks for a text that it would refuse")

    Terminal(session, Filter(), Console(file=shown, width=140), lambda: next(keys), asked).run()
    session.close()
    output = shown.getvalue()
    assert f"> {first.text}  [pending]" in output
    assert "No decision on it yet" in output
    assert f"Undone: '{first.text}' is pending" in output
    assert output.count("A blind review changes no text") == 3
    for trace in (EDIT, NAME, "edited"):
        assert trace not in output
    with store._read() as database:
        kept = [(row.reviewer, row.verdict) for row in database.scalars(select(BlindVerdictRow)).all()]
    assert kept[:3] == [("anna", "rejected"), ("anna", "undone"), ("anna", "accepted")]


def test_the_command_is_blind_for_one_or_says_why_not(descgen: Run, llm: FakeLLM) -> None:
    descgen("add", "a text", "-d", "hmdb51", "-a", "wave", "-k", "context", "--reviewer", "bob")
    refused: Any = descgen("review", "-d", "hmdb51", "--blind", "--reviewer", "anna", "--no-browser")
    assert (refused.exit_code, "hmdb51 has no text for anna to judge blind" in refused.stderr) == (1, True)
    piped = descgen("review", "-d", "hmdb51", "--tui", "--reviewers", "anna,bob", "--reviewer", "eve")
    assert (piped.exit_code, "eve is not among --reviewers anna,bob" in piped.stderr) == (2, True)
