"""Words replaced in all texts of a filter: on the page, in a browser, in a shell."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from db.records import STATUSES
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.replacing import LONGEST_TEXT, Words
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.browser import CHROMIUM, DRIVER, Open, open_browser, served, wait
from tests.fixtures.commands import Run
from tests.fixtures.review_client import ReviewClient, data, shown
from tests.fixtures.reviewed import filled

__all__ = ["filled", "open_browser"]  # fixtures


@pytest.fixture
def client(descgen: Run, llm: FakeLLM, store: Store, tmp_path: Path) -> Iterator[ReviewClient]:
    """A client of a database with texts of two kinds about three classes."""
    file = tmp_path / "decomposition.json"
    names = ("brush_hair", "cartwheel", "catch")
    file.write_text(
        json.dumps({name: [f"a Hand is up {name}", "the handle", f"a hand falls {name}"] for name in names})
    )
    descgen("import", file, "-d", "hmdb51")
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "3")
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna")
    yield ReviewClient(session)
    session.close()


def texts(store: Store, kind: str = "decomposition") -> list[tuple[str, str]]:
    every = store.descriptors(store.dataset("hmdb51"), kinds=[kind], statuses=STATUSES)
    return [(d.text, d.status) for d in every]


def body(page: str, **more: object) -> dict[str, Any]:
    names = {"old": "old", "new": "new", "query": "filter", "stamp": "stamp"}
    attributes = {name: data(page, attribute).replace("&amp;", "&") for name, attribute in names.items()}
    flags = {name: bool(data(page, name)) for name in ("whole", "case")}
    return {**attributes, **flags, **more}


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (Words("hand", "arm"), "An arm, the arm: armle, arm? sarm"),
        (Words("hand", "arm", whole=True), "An arm, the arm: handle, arm? shand"),
        (Words("hand", "arm", case=True), "An Hand, the arm: armle, HAND? sarm"),
        (Words("hand", "arm", whole=True, case=True), "An Hand, the arm: handle, HAND? shand"),
        (Words("hand", r"\1\n", whole=True, case=True), r"An Hand, the \1\n: handle, HAND? shand"),
        (Words(", the hand", ""), "An Hand: handle, HAND? shand"),
        (Words("?", "!", whole=True), "An Hand, the hand: handle, HAND? shand"),  # a word goes before it
        (Words("?", "!"), "An Hand, the hand: handle, HAND! shand"),
    ],
)
def test_words(words: Words, after: str) -> None:
    assert words.applied("An Hand, the hand: handle, HAND? shand") == after


def test_what_the_preview_shows_is_done_as_one_decision_and_undone_as_one(client: ReviewClient, store: Store) -> None:
    before = texts(store)
    first = store.descriptors(store.dataset("hmdb51"), kinds=["decomposition"])[0]
    store.reviews().reject([first.ref], reviewer="ben")
    client.session.refresh()
    page = client.get("/replace?old=hand&new=arm&whole=1&kind=decomposition")
    assert "6 of 9 texts would change" in shown(page)
    assert page.count("<del>") == page.count("<ins>") == 6
    assert "<del>Hand</del>" in page
    made = client.post("/replace", **body(page))
    assert made["message"] == "Replaced words in 6 texts; one undo restores them"
    now = texts(store)
    assert [text for text, _ in now] == [re.sub(r"\b[Hh]and\b", "arm", text) for text, _ in before]
    assert [status for _, status in now] == ["rejected", *["pending"] * 8]
    assert texts(store, "context") == [
        (text, "pending") for text in ("a wide green field", "a ball", "a wooden bat") * 3
    ]
    assert "replace" in client.get("/log")
    client.post("/decide", decision="undo")
    assert [text for text, _ in texts(store)] == [text for text, _ in before]


def test_a_preview_that_is_out_of_date_changes_nothing(client: ReviewClient, store: Store) -> None:
    page = client.get("/replace?old=hand&new=arm")
    [first, *_] = store.descriptors(store.dataset("hmdb51"), kinds=["decomposition"])
    store.reviews().edit(first.ref, "a hand is up high", reviewer="ben")
    before = texts(store)
    refusal = client.post("/replace", expected=400, **body(page))
    assert "have changed meanwhile, and nothing was replaced" in refusal["message"]
    assert texts(store) == before
    client.post("/replace", **body(client.get("/replace?old=hand&new=arm")))
    assert texts(store)[0] == ("a arm is up high", "accepted")


def test_texts_that_would_be_empty_too_long_or_repeated_are_named_and_left_out(
    client: ReviewClient, store: Store, descgen: Run
) -> None:
    before = texts(store, "context")
    page = client.get("/replace?old=a+ball&new=&kind=context")
    assert "0 of 9 texts would change, 3 are left out" in shown(page)
    assert page.count("would be empty") == 3
    assert 'id="replace"' not in page
    page = client.get("/replace?old=a+ball&new=a+wooden+bat&kind=context&q=cartwheel")
    assert "0 of 3 texts would change, 1 is left out" in shown(page)
    assert "would be the same as another text" in page
    page = client.get(f"/replace?old=ball&new={'x' * LONGEST_TEXT}&kind=context&q=cartwheel")
    assert "would be too long" in page
    page = client.get("/replace?old=a+&new=&kind=context&q=cartwheel")
    assert "3 of 3 texts would change" in shown(page)
    store.reviews().add(store.dataset("hmdb51"), "cartwheel", "context", "ball", reviewer="ben")
    client.session.refresh()
    page = client.get("/replace?old=a+&new=&kind=context&q=cartwheel")
    assert "2 of 4 texts would change, 1 is left out" in shown(page)
    client.post("/replace", **body(page))
    changed = {text for text, _ in texts(store, "context")} - {text for text, _ in before}
    assert changed == {"wide green field", "wooden bat", "ball"}


def test_the_preview_shows_what_lint_would_find(client: ReviewClient) -> None:
    page = client.get("/replace?old=a+wide+green+field&new=a+green+fields&kind=context&q=cartwheel")
    assert "lint would flag" not in page
    page = client.get(f"/replace?old=green&new={'+'.join(['green'] * 90)}&kind=context&q=cartwheel")
    assert "lint would flag 1 of the new texts" in shown(page)
    assert "tokens, 77 are read" in page


def test_many_texts_are_shown_page_by_page_and_replaced_together(client: ReviewClient, store: Store) -> None:
    dataset, reviews = store.dataset("hmdb51"), store.reviews()
    for number in range(105):
        reviews.add(dataset, "wave", "context", f"a crowd {number}", reviewer="ben")
    client.session.refresh()
    first = client.get("/replace?old=crowd&new=few&whole=1")
    second = client.get("/replace?old=crowd&new=few&whole=1&page=2")
    assert (first.count("<ins>"), second.count("<ins>")) == (100, 5)
    assert "page 1 of 2" in shown(first)
    assert 'href="?old=crowd&amp;new=few&amp;whole=1&amp;page=2"' in first
    assert client.post("/replace", **body(second))["message"].startswith("Replaced words in 105 texts")


def test_who_reviews_blind_replaces_nothing(client: ReviewClient, store: Store) -> None:
    blind = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna", blind=True)
    page, before = client.get("/replace?old=hand&new=arm"), texts(store)
    other = ReviewClient(blind)
    assert "changes no text" in other.get("/replace?old=hand&new=arm", expected=400)
    assert "changes no text" in other.post("/replace", expected=400, **body(page))["message"]
    assert texts(store) == before
    blind.close()


def test_words_are_asked_for(client: ReviewClient) -> None:
    assert "<ins>" not in client.get("/replace?old=+")
    assert "at least one character" in client.post("/replace", old=" ", stamp="", expected=400)["message"]
    assert (
        "The request is refused" in client.post("/replace", old="a", new="x" * 2001, stamp="", expected=422)["message"]
    )
    odd = client.get("/replace?old=%3Cb%3E&new=%22%3E%3Cscript%3E")
    assert "<script>" not in odd.split("<main")[1]
    assert "at most 2000 characters; these have 2001" in client.get(f"/replace?old={'x' * 2001}", expected=400)
    assert "3 of 9 texts would change" not in shown(client.get("/replace?old=a+ball&new=a++ball"))  # spaces alone
    assert client.get("/replace?old=a+ball&new=%1B%5B0m&kind=context").count("would be empty") == 3
    assert "cannot hold the character" in client.get("/replace?old=ball&new=%00", expected=400)


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")
def test_words_are_replaced_in_a_browser(filled: str, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/?kind=decomposition")
        browser.find_element(By.LINK_TEXT, "Replace words").click()
        wait(browser, lambda b: b.find_elements(By.NAME, "old"))
        browser.find_element(By.NAME, "old").send_keys("hand")
        browser.find_element(By.NAME, "new").send_keys("arm", Keys.ENTER)
        wait(browser, lambda b: b.find_elements(By.ID, "replace"))
        assert [e.text for e in browser.find_elements(By.CSS_SELECTOR, "ins")] == ["arm"] * 6
        browser.find_element(By.ID, "replace").click()
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#confirm[open]"))
        assert "Replace “hand” by “arm” in 6 texts?" in browser.find_element(By.ID, "confirm-text").text
        browser.find_element(By.CSS_SELECTOR, "#confirm button[value=yes]").click()
        wait(browser, lambda b: "Replaced words in 6 texts" in b.find_element(By.ID, "message").text)
        assert browser.current_url == f"{address}/?kind=decomposition"
        browser.find_element(By.CSS_SELECTOR, "[data-do=undo]").click()
        wait(browser, lambda b: "Undone: 6 texts are as before" in b.find_element(By.ID, "message").text)
    store = Store.open(filled, create=False)
    assert {text for text, _ in texts(store) if "hand" in text} == {
        f"{words} {n}" for words in ("a hand is raised", "the hand falls") for n in range(3)
    }
    store.close()


def test_words_are_replaced_in_a_shell(client: ReviewClient, descgen: Run, store: Store) -> None:
    before = texts(store)
    words = ("replace", "hand", "arm", "-d", "hmdb51", "-k", "decomposition", "--whole-words", "--match-case")
    dry = json.loads(descgen(*words, "--dry-run", "--json").stdout)
    assert (dry["searched"], len(dry["replaced"]), dry["left_out"], dry["decision"]) == (9, 3, [], None)
    assert "To replace: leave --dry-run out" in descgen(*words, "--dry-run").stdout
    assert texts(store) == before
    made = descgen(*words, "--reviewer", "anna")
    assert "a hand falls brush_hair -> a arm falls brush_hair  [pending]" in made.stdout
    assert "3 reworded by anna (before: 3 pending)" in made.stdout
    assert [text for text, _ in texts(store)] == [text.replace("hand falls", "arm falls") for text, _ in before]
    assert descgen("undo", "--reviewer", "anna").exit_code == 0
    assert texts(store) == before
    only = json.loads(descgen(*words, "-a", "catch", "--json").stdout)
    assert [item["action"] for item in only["replaced"]] == ["catch"]
    assert descgen("replace", "no such", "arm", "-d", "hmdb51").exit_code == 1
    refused = descgen("replace", "a ball", "a wooden bat", "-d", "hmdb51", "-k", "context")
    assert refused.exit_code == 1
    assert refused.stderr.count("would be the same as another text") == 3
    assert descgen("replace", " ", "arm", "-d", "hmdb51").exit_code == 2
