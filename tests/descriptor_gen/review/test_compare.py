"""Two writers side by side: which ones, which words differ, and decisions in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from db.records import STATUSES
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.wording import differences, lacking, marked
from tests.fixtures.browser import CHROMIUM, DRIVER, Browser, Open, open_browser, press, served, wait
from tests.fixtures.commands import Run
from tests.fixtures.review_client import ReviewClient, shown

__all__ = ["open_browser"]  # fixture

OTHER = ["someone begins it quickly", "a brush glides through it", "someone ends it at last"]


@pytest.fixture
def written(descgen: Run, llm: FakeLLM, db_url: str, tmp_path: Path) -> str:
    """A database with texts about two classes by two models, a file and a person."""
    descgen("build", "-d", "hmdb51", "-k", "decomposition", "-k", "context", "--limit", "2")
    llm.identity = FakeLLM(model="second").identity
    llm.enqueue(json.dumps({"steps": OTHER}))
    descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "1")
    file = tmp_path / "mine_decomposition.json"
    file.write_text(json.dumps({"cartwheel": ["hands on the floor", "legs in the <b>air</b>"]}))
    descgen("import", file, "-d", "hmdb51")
    descgen("add", "a gym", "-d", "hmdb51", "-a", "cartwheel", "-k", "context", "--reviewer", "ben")
    return db_url


@pytest.fixture
def client(written: str, store: Store) -> Iterator[ReviewClient]:
    """A client of it."""
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna")
    yield ReviewClient(session)
    session.close()


def writers(page: str) -> list[str]:
    return re.findall(r'<option value="([^"]*)"', page.split('name="left"')[1].split("</select>")[0])


def sides(page: str) -> list[list[str]]:
    """Return the texts of each cell of the table, row by row."""
    cells = re.findall(r"<td>(.*?)</td>", page.split('<table class="compare"')[1], re.DOTALL)
    return [[shown(words) for words in re.findall(r'class="words"[^>]*>(.*?)</p>', cell, re.DOTALL)] for cell in cells]


@pytest.mark.parametrize(
    ("first", "second", "marks"),
    [
        ("a hand is up", "a hand is down", ("a hand is <mark>up</mark>", "a hand is <mark>down</mark>")),
        ("a hand", "a left hand", ("a hand", "a <mark>left</mark> hand")),
        ("same", "same", ("same", "same")),
        ("<b>", "<i>", ("&lt;<mark>b</mark>&gt;", "&lt;<mark>i</mark>&gt;")),
        ("", "a", ("", "<mark>a</mark>")),
    ],
)
def test_differing_words_are_marked_and_escaped(first: str, second: str, marks: tuple[str, str]) -> None:
    parts = differences(first, second)
    assert tuple(marked(part, "mark") for part in parts) == marks
    assert ["".join(piece for piece, _ in part) for part in parts] == [first, second]
    assert [lacking(part) for part in parts] == [
        [word.strip() for word in re.findall("<mark>(.*?)</mark>", side)] for side in marks
    ]


def test_all_who_wrote_can_be_compared(client: ReviewClient) -> None:
    page = client.get("/compare?kind=decomposition")
    names = writers(page)
    assert [name.split("@")[0].split(" ")[0] for name in names] == ["fake", "second", "file:mine_decomposition.json"]
    assert sides(page)[:2] == [
        ["someone begins it slowly", "someone moves on with it", "someone ends it at last"],
        OTHER,
    ]
    assert sides(page)[3] == []  # the second wrote about one class only
    assert page.count(">nothing<") == 1
    assert "<mark>slowly</mark>" in page
    assert "The other text lacks: quickly" in page
    by_file = client.get(f"/compare?kind=decomposition&left=file%3A{quote(names[2][5:])}&right={quote(names[0])}")
    assert sides(by_file)[2][:2] == ["hands on the floor", "legs in the &lt;b&gt;air&lt;/b&gt;"]
    assert "<b>" not in by_file
    by_hand = client.get("/compare?kind=context&left=hand%3Ahand")
    assert sides(by_hand) == [[], ["a wide green field", "a ball", "a wooden bat"], ["a gym"], sides(by_hand)[1]]


def test_all_kinds_are_compared_at_once(client: ReviewClient) -> None:
    page = client.get("/compare?kind=*&left=fake&right=hand%3Ahand")
    assert writers(page) == ["fake", "second", writers(page)[2], "hand:hand"]
    assert page.count("<tr>") - 1 == 4  # two classes of two kinds
    assert len(sides(client.get("/compare?kind=*&q=cartwheel"))) == 4
    assert "no class matches the search" in client.get("/compare?kind=*&q=nothing")
    assert sides(client.get("/compare?kind=*&left=fake&right=fake"))[0]  # one writer alone


def test_the_links_of_all_kinds_lead_to_pages_that_exist(client: ReviewClient) -> None:
    page = client.get("/compare?kind=*")
    home = re.search(r'class="home" href="([^"]*)"', page)
    assert home
    assert "2 of 51 classes" in shown(client.get(home[1]))


def test_a_template_that_was_replaced_is_shown_and_cannot_be_decided_on(
    client: ReviewClient, descgen: Run, llm: FakeLLM, tmp_path: Path
) -> None:
    llm.identity = FakeLLM().identity
    own = tmp_path / "decomposition.j2"
    source = descgen("prompts", "show", "decomposition").stdout
    own.write_text(source.replace("version: 1", "version: 2").replace("You break", "Break"))
    llm.enqueue(json.dumps({"steps": OTHER}))
    descgen("build", "-d", "hmdb51", "-t", own, "-a", "brush_hair")
    page = client.get("/compare?kind=decomposition&q=brush")
    names = writers(page)
    assert [name.split("@")[0] for name in names] == ["fake", "fake", "second", names[3]]
    page = client.get(f"/compare?kind=decomposition&left={names[0]}&right={names[1]}&q=brush")
    left, right = re.findall(r"<td>(.*?)</td>", page.split('<table class="compare"')[1], re.DOTALL)
    assert (left.count('class="item text'), left.count("not in use")) == (3, 0)
    assert (right.count('class="item text'), right.count("not in use: a newer reply has replaced it")) == (0, 3)
    assert "and 3 not in use" in shown(page)


def test_who_reviews_blind_sees_the_statuses_of_the_session_only(client: ReviewClient, store: Store) -> None:
    session = ReviewSession(store, store.dataset("hmdb51"), reviewer="anna", blind=True)
    page = ReviewClient(session).get("/compare?kind=*")
    statuses = {str(d.id): d.status for d in session.snapshot().descriptors}
    on_page = re.findall(r'data-id="(\d+)" data-version="\d+" data-status="(\w+)"', page)
    assert on_page
    assert all(statuses[number] == status for number, status in on_page)
    session.close()


def test_many_texts_of_a_class_fill_a_page_of_their_own(client: ReviewClient, descgen: Run, tmp_path: Path) -> None:
    file = tmp_path / "many_context.json"
    names = ("brush_hair", "cartwheel", "catch", "chew")
    file.write_text(json.dumps({name: [f"{name} {n}" for n in range(70)] for name in names}))
    descgen("import", file, "-d", "hmdb51")
    texts: list[str] = []
    first = client.get("/compare?kind=context&left=fake")
    pages = int(re.search(r"page 1 of (\d+)", first)[1])  # type: ignore[index]
    many = next(name for name in writers(first) if name.startswith("file:many"))
    for number in range(1, pages + 2):
        page = client.get(f"/compare?kind=context&left={quote(many)}&right=hand%3Ahand&page={number}")
        assert page.count('class="words"') <= 120
        texts += [text for side in sides(page)[::2] for text in side] if number <= pages else []
    assert sorted(texts) == sorted(f"{name} {n}" for name in names for n in range(70))


def items(browser: Browser) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('.item.text')].map(e => e.dataset.status)")


def message(browser: Browser) -> str:
    return browser.find_element(By.ID, "message").text


def statuses(address: str) -> dict[str, str]:
    store = Store.open(address, create=False)
    every = store.descriptors(store.dataset("hmdb51"), kinds=["decomposition"], statuses=STATUSES)
    store.close()
    return {d.text: d.status for d in every if d.action == "brush_hair"}


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")
def test_texts_are_decided_on_in_place(written: str, open_browser: Open) -> None:
    with served(written, "anna") as address, served(written, "ben") as bens:
        browser = open_browser()
        browser.get(f"{address}/compare?kind=decomposition&q=brush")
        assert items(browser) == ["pending"] * 6
        press(browser, "a")
        wait(browser, lambda b: items(b) == ["accepted", *["pending"] * 5])
        press(browser, "r")
        wait(browser, lambda b: items(b)[:3] == ["accepted", "rejected", "pending"])
        press(browser, "j", "e")
        wait(browser, lambda b: b.switch_to.active_element.tag_name == "textarea")
        box = browser.switch_to.active_element
        assert box.get_attribute("value") == OTHER[0]  # without the marks
        box.clear()
        box.send_keys("someone begins it with care", Keys.CONTROL, Keys.ENTER)
        wait(browser, lambda b: "Edited, and accepted" in message(b))
        assert "/compare" in browser.current_url
        wait(browser, lambda b: items(b) == ["accepted", "rejected", "pending", "accepted", "pending", "pending"])
        assert "<mark>with care</mark>" in browser.page_source
        assert browser.switch_to.active_element.text.startswith(OTHER[1])
        press(browser, "u", "u")
        wait(browser, lambda b: items(b) == ["accepted", *["pending"] * 5])
        assert browser.switch_to.active_element.text.startswith("someone moves on with it")
        press(browser, "A", "<", "n", "c")  # what makes no sense here does nothing; c opens the comments
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "#sheet[open]"))
        browser.switch_to.active_element.send_keys("not seen", Keys.CONTROL, Keys.ENTER)
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".compare .comments"))
        assert items(browser) == ["accepted", *["pending"] * 5]
        other = open_browser()
        other.get(f"{bens}/compare?kind=decomposition&q=brush")
        press(browser, "r")
        wait(browser, lambda b: items(b)[1] == "rejected")
        press(other, "a")
        wait(other, lambda b: b.find_elements(By.CSS_SELECTOR, ".compare .conflict"))
        assert "anna rejected this text before you" in other.find_element(By.CSS_SELECTOR, ".conflict").text
        other.find_element(By.CSS_SELECTOR, "[data-do=use-mine]").click()
        wait(other, lambda b: items(b)[:2] == ["accepted", "accepted"])
        press(other, "a", "a", "a", "a", "a")
        wait(other, lambda b: "Everything on this page is decided" in message(b))
        assert items(other) == ["accepted"] * 6
    assert statuses(written)["someone moves on with it"] == "accepted"
