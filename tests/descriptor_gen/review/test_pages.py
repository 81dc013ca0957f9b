"""The pages of review beyond what the browser tests walk through: comparing, writing anew, impact, the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from db.records import Impact
from db.records import Run as StoredRun
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.app import create_app
from descriptor_gen.review.security import rules_for
from descriptor_gen.review.session import Desk
from tests.fixtures.commands import Run


class Browser:
    """A client that sends what our own pages send."""

    def __init__(self, desk: Desk) -> None:
        rules = rules_for("127.0.0.1")
        self.desk, self._client = desk, TestClient(create_app(desk, rules), base_url="http://localhost")
        self._headers = {"X-CSRF-Token": rules.csrf}

    def get(self, path: str) -> str:
        answer = self._client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def json(self, path: str) -> Any:
        return self._client.get(path).json()

    def post(self, path: str, *, expected: int = 200, **body: Any) -> dict[str, Any]:
        answer = self._client.post(path, json=body, headers=self._headers)
        assert answer.status_code == expected, answer.text
        return answer.json()  # type: ignore[no-any-return]


@pytest.fixture
def writer() -> FakeLLM:
    """Who writes anew from a page."""
    return FakeLLM(model="other")


@pytest.fixture
def browser(descgen: Run, llm: FakeLLM, store: Store, writer: FakeLLM) -> Iterator[Browser]:
    """A browser of a database with three classes of two kinds."""
    descgen("build", "-d", "hmdb51", "-k", "decomposition", "-k", "context", "--limit", "3")
    desk = Desk(store, store.dataset("hmdb51"), reviewer="anna", open_llm=lambda seed: writer)
    yield Browser(desk)
    desk.close()


def finished(browser: Browser, job: dict[str, Any]) -> dict[str, Any]:
    browser.desk.close()  # waits for the job
    return browser.json(f"/jobs/{job['id']}")  # type: ignore[no-any-return]


def test_a_class_is_written_anew_and_the_old_stays_as_history(browser: Browser, store: Store, writer: FakeLLM) -> None:
    writer.identity = FakeLLM().identity  # the same model, so that it takes the place of what it wrote
    writer.enqueue(
        json.dumps({"steps": ["a comb is lifted up high", "it runs through the hair", "the comb is laid down"]})
    )
    job = finished(browser, browser.post("/regenerate", label=0, kind="decomposition"))
    assert (job["done"], job["ok"]) == (True, True)
    assert "Written anew by fake" in job["said"]
    assert len(writer.history) == 1
    panel = browser.get("/class/0/panel?kind=decomposition")
    assert "a comb is lifted up high" in panel
    assert "someone begins it slowly" not in panel
    calls = [
        entry
        for entry in store.history(store.dataset("hmdb51"), kinds=["decomposition"])
        if entry.action == "brush_hair"
    ]
    assert [entry.in_use for entry in calls] == [False, True]


def test_what_cannot_be_written_anew_says_why_and_changes_nothing(browser: Browser, writer: FakeLLM) -> None:
    browser.get("/")
    browser.desk.flags(wait=20)
    before = browser.get("/class/0/panel")
    assert "compares classes" in browser.post("/regenerate", label=0, kind="contrast", expected=400)["said"]
    writer.enqueue("no", "no", "no")
    job = finished(browser, browser.post("/regenerate", label=0, kind="decomposition"))
    assert (job["ok"], "gave nothing that can be used: not JSON" in job["said"]) == (False, True)
    assert browser.get("/class/0/panel") == before
    assert browser._client.get("/jobs/99").status_code == 404


def test_two_llms_and_two_templates_are_compared(browser: Browser, descgen: Run, llm: FakeLLM, tmp_path: Path) -> None:
    llm.identity = FakeLLM(model="second").identity
    llm.enqueue(
        json.dumps({"steps": ["hair falls over the shoulder", "a brush glides through it", "the brush is put down"]})
    )
    descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "1")
    page = browser.get("/compare?kind=decomposition")
    assert "hair falls over the shoulder" in page
    assert "someone begins it slowly" in page
    assert page.count('<tr class="item"') == 3  # of which one has both
    assert page.count(">nothing<") == 2
    own = tmp_path / "decomposition.j2"
    own.write_text(
        descgen("prompts", "show", "decomposition")
        .stdout.replace("version: 1", "version: 2")
        .replace("You break", "Break")
    )
    descgen("build", "-d", "hmdb51", "-t", own, "--limit", "1")
    options = re.findall(r"<option[^>]*>(second, template[^<]*)<", browser.get("/compare?kind=decomposition"))
    assert [option.split(" (")[0] for option in dict.fromkeys(options)] == ["second, template 2", "second, template 1"]
    assert len(browser.get("/compare?kind=decomposition&q=cartwheel").split('<tr class="item"')) == 2


def test_classes_are_sorted_by_what_their_texts_cost(browser: Browser, store: Store) -> None:
    texts = store.descriptors(store.dataset("hmdb51"))
    assert "worst impact first" not in browser.get("/")
    run = store.save_run(StoredRun("hmdb51", {}, "", (), {}, (), {}, 1.0))
    worst = next(d for d in texts if d.action == "catch")
    impacts = {worst.id: Impact(run, 0.02, 0.01), texts[0].id: Impact(run, -0.01, -0.02)}
    store.save_impacts(impacts)
    browser.desk._looked = 0.0
    page = browser.get("/?order=impact")
    assert re.findall(r"<small>(\w+)</small></th>", page) == ["catch", "brush_hair", "cartwheel"]
    assert "+2.00" in page
    assert "impact +2.00 points" in browser.get("/class/2")


def test_every_decision_is_in_the_log_and_one_that_is_not_possible_changes_nothing(browser: Browser) -> None:
    first, second, third = browser.desk.state().of("brush_hair")[-3:]
    browser.post("/decide", what="accept", label=0, seen=[[first.id, first.version]])
    browser.post("/decide", what="edit", label=0, seen=[[second.id, second.version]], text="a brush in the hand")
    stale = browser.post("/decide", what="reject", label=0, seen=[[second.id, second.version]], expected=409)
    assert "somebody was here before you" in stale["html"]
    assert "empty" in browser.post("/decide", what="edit", seen=[[third.id, 1]], text=" ", expected=400)["said"] or True
    for wrong in (
        {"what": "burn"},
        {"what": "accept", "seen": [[10**9, 1]]},
        {"what": "accept", "query": "q=x", "stamp": "old"},
    ):
        browser.post("/decide", expected=400, **wrong)
    log = browser.get("/log")
    assert log.index(">edit<") < log.index(">accept<")  # newest first
    assert log.count("<td>anna</td>") == 2
    assert "brushing hair, decomposition" in log
    assert browser.post("/decide", what="undo")["said"] == "Undone"
    assert browser.post("/decide", what="undo")["decided"] == 0
    assert "undo (of decision" in browser.get("/log")
