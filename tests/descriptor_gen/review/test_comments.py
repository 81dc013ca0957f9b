"""Comments on texts and guidelines of a dataset: on the pages, in a browser, in a shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from db.records import Descriptor
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.prose import prose
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.browser import CHROMIUM, DRIVER, Browser, Open, open_browser, press, served, wait
from tests.fixtures.commands import Run
from tests.fixtures.review_client import ReviewClient, shown
from tests.fixtures.reviewed import filled

__all__ = ["filled", "open_browser"]  # fixtures

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver"
)


@pytest.fixture
def client(descgen: Run, llm: FakeLLM, store: Store) -> Iterator[ReviewClient]:
    """A client of a database with texts of one kind about three classes."""
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "3")
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna")
    yield ReviewClient(session)
    session.close()


def first(store: Store) -> Descriptor:
    return store.descriptors(store.dataset("hmdb51"))[0]


def test_a_comment_is_in_the_card_and_counted(client: ReviewClient, store: Store) -> None:
    one = first(store)
    assert "comments</th>" not in client.get("/")
    made = client.post("/comment", descriptor=one.id, text="two <b>places</b>\nin one")
    assert made["message"] == "Comment added"
    store.comments().add(one.id, "I see one", reviewer="ben")
    page = client.get("/class/0")
    assert "two &lt;b&gt;places&lt;/b&gt;\nin one" in page
    assert "ben" in page.split("I see one")[0]
    assert '<td class="number">2</td>' in client.get("/")
    commented = client.get("/?comments=any")
    assert "1 of 51 classes, 1 texts match" in shown(commented)
    sheet = client.get(f"/comments/{one.id}")
    assert "I see one" in sheet
    assert one.text in sheet
    store.reviews().edit(one.ref, "a green field", reviewer="ben")
    client.session.refresh()
    assert shown(client.get("/class/0")).count("on another wording") == 2


def test_who_reviews_blind_sees_own_comments_only(client: ReviewClient, store: Store) -> None:
    one, two = store.descriptors(store.dataset("hmdb51"))[:2]
    for reviewer in ("anna", "ben"):
        store.comments().add(one.id, f"by {reviewer}", reviewer=reviewer)
    store.comments().add(two.id, "by ben too", reviewer="ben")
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna", blind=True)
    blind = ReviewClient(session)
    for page in ("/class/0", f"/comments/{one.id}", "/", "/?comments=any"):
        source = blind.get(page)
        assert "by ben" not in source, page
        assert "by anna" in source or page.startswith("/?") or page == "/"
    assert "1 texts match" in shown(blind.get("/?comments=any"))
    assert "by ben" not in blind.get(f"/comments/{two.id}")
    session.close()


def test_odd_comments_are_refused_in_words(client: ReviewClient, store: Store) -> None:
    assert "comment is empty" in client.post("/comment", descriptor=1, text=" ", expected=400)["message"]
    assert "No descriptor 999" in client.post("/comment", descriptor=999, text="a", expected=400)["message"]
    too_long = client.post("/comment", descriptor=1, text="x" * 2001, expected=422)
    assert "The request is refused. text" in too_long["message"]
    assert "No descriptor 999" in client.get("/comments/999", expected=400)


def test_guidelines_are_shown_and_a_change_of_others_is_not_lost(client: ReviewClient, store: Store) -> None:
    assert "There are none yet" in client.get("/guidelines")
    client.post("/guidelines", text="Reject names.\n\n- <i>short</i>\n- seen", replaces=0)
    for page in ("/", "/guidelines"):
        assert "<p>Reject names.</p>\n<ul><li>&lt;i&gt;short&lt;/i&gt;</li><li>seen</li></ul>" in client.get(page)
    now = store.comments().guidelines(client.session.dataset)
    assert now is not None
    store.comments().set_guidelines(client.session.dataset, "Accept all.", reviewer="ben")
    refused = client.post("/guidelines", text="Reject all.", replaces=now.id, expected=409)
    assert "ben changed the guidelines of hmdb51 after you read them" in refused["message"]
    assert "Accept all." in client.get("/")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo\n\nthree", "<p>one<br>two</p>\n<p>three</p>"),
        ("a:\n- b\n* c\nd", "<p>a:</p>\n<ul><li>b</li><li>c</li></ul>\n<p>d</p>"),
        ("1. a\n2) b & c", "<ol><li>a</li><li>b &amp; c</li></ol>"),
        ("-5 degrees", "<p>-5 degrees</p>"),
        ("<script>", "<p>&lt;script&gt;</p>"),
        ("", ""),
    ],
)
def test_plain_text_becomes_paragraphs_and_lists(text: str, html: str) -> None:
    assert prose(text) == html


def sheet_is_open(browser: Browser) -> object:
    return browser.find_elements(By.CSS_SELECTOR, "#sheet[open] textarea")


def message(browser: Browser) -> str:
    return browser.find_element(By.ID, "message").text


@needs_chromium
def test_a_comment_is_written_with_a_key_and_kept_while_it_is_not_saved(filled: str, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=decomposition")
        press(browser, "j", "c")
        wait(browser, sheet_is_open)
        assert browser.switch_to.active_element.tag_name == "textarea"
        press(browser, "no hand is seen", Keys.ESCAPE)
        wait(browser, lambda b: "Your words are kept" in message(b))
        wait(browser, lambda b: b.switch_to.active_element.get_attribute("class").startswith("item text"))
        press(browser, "c")
        wait(browser, sheet_is_open)
        assert browser.switch_to.active_element.get_attribute("value") == "no hand is seen"
        browser.switch_to.active_element.send_keys(" here", Keys.CONTROL, Keys.ENTER)
        wait(browser, lambda b: "Comment added" in message(b))
        cards = browser.find_elements(By.CSS_SELECTOR, ".item.text")
        assert [bool(card.find_elements(By.CSS_SELECTOR, ".comments")) for card in cards] == [False, True, False]
        assert "no hand is seen here" in cards[1].text
        assert "anna" in cards[1].text
        focused = browser.switch_to.active_element
        assert focused.get_attribute("id") == cards[1].get_attribute("id")
        press(browser, "c")
        wait(browser, sheet_is_open)
        assert browser.switch_to.active_element.get_attribute("value") == ""


@needs_chromium
def test_guidelines_are_read_and_changed_on_the_page_of_a_class(filled: str, open_browser: Open) -> None:
    store = Store.open(filled)
    dataset = store.dataset("hmdb51")
    store.comments().set_guidelines(dataset, "Only what a camera sees.", reviewer="ben")
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0")
        press(browser, "g")
        wait(browser, lambda b: "Only what a camera sees." in b.find_element(By.ID, "sheet-body").text)
        store.comments().set_guidelines(dataset, "Nothing.", reviewer="ben")
        browser.find_element(By.CSS_SELECTOR, "#sheet summary").click()
        box = browser.find_element(By.CSS_SELECTOR, "#sheet textarea")
        box.send_keys(" No names.")
        browser.find_element(By.CSS_SELECTOR, "#sheet .note button").click()
        wait(
            browser,
            lambda b: "ben changed the guidelines" in b.find_element(By.CSS_SELECTOR, ".note [role=alert]").text,
        )
        browser.find_element(By.CSS_SELECTOR, "#sheet .close button").click()
        press(browser, "g")
        wait(browser, sheet_is_open)
        wait(browser, lambda b: b.find_element(By.CSS_SELECTOR, "#sheet .prose").text == "Nothing.")
        box = browser.find_element(By.CSS_SELECTOR, "#sheet textarea")
        assert box.get_attribute("value") == "Only what a camera sees. No names."
        browser.find_element(By.CSS_SELECTOR, "#sheet .note button").click()
        wait(browser, lambda b: "Guidelines saved" in message(b))
        browser.get(address)
        browser.find_element(By.CSS_SELECTOR, ".guidelines summary").click()
        wait(browser, lambda b: b.find_element(By.CSS_SELECTOR, ".prose").text == "Only what a camera sees. No names.")
    now = store.comments().guidelines(dataset)
    assert now is not None
    assert (now.text, now.reviewer) == ("Only what a camera sees. No names.", "anna")
    store.close()


def test_comments_and_guidelines_in_a_shell(client: ReviewClient, descgen: Run, store: Store, tmp_path: Path) -> None:
    one = first(store)
    made = descgen("comment", one.id, "not outside", "--reviewer", "anna", "--json")
    assert json.loads(made.stdout)["text"] == "not outside"
    assert "anna: not outside" in descgen("show", "-d", "hmdb51", "-a", one.action).stdout
    listed = json.loads(descgen("show", "-d", "hmdb51", "--json").stdout)
    assert [[comment["text"] for comment in row["comments"]] for row in listed[:2]] == [["not outside"], []]
    assert "not outside" in descgen("history", one.id).stdout
    assert json.loads(descgen("history", one.id, "--json").stdout)["comments"][0]["reviewer"] == "anna"
    assert descgen("comment", one.id, " ").exit_code == 2
    nothing = descgen("guidelines", "-d", "hmdb51")
    assert "No guidelines for hmdb51. Write some: descgen guidelines --dataset hmdb51 --set FILE" in nothing.stdout
    assert descgen("guidelines", "-d", "hmdb51", "--json").stdout == "null\n"
    file = tmp_path / "guidelines.txt"
    file.write_text("Only what is seen.\n- no names\n")
    assert descgen("guidelines", "-d", "hmdb51", "--set", file, "--reviewer", "ben").exit_code == 0
    now = json.loads(descgen("guidelines", "-d", "hmdb51", "--json").stdout)
    assert (now["text"], now["reviewer"]) == ("Only what is seen.\n- no names", "ben")
    file.write_bytes(b"\xff\xfe\x00")
    odd = descgen("guidelines", "-d", "hmdb51", "--set", file)
    assert (odd.exit_code, "as text in UTF-8" in odd.stderr) == (1, True)
