"""600 classes with 12 texts each: no page has more than 2,000 elements, and keys and buttons act on all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import pytest
from selenium.webdriver.common.keys import Keys

from db.records import STATUSES, PortableDescriptor
from db.store import Store
from descriptor_gen.review.session import ReviewSession
from tests.fixtures.browser import CHROMIUM, DRIVER, Browser, Open, open_browser, press, served, wait
from tests.fixtures.review_client import ReviewClient, data, shown

__all__ = ["open_browser"]  # fixture

KINDS = ("context", "decomposition", "description", "situation")
MOST = 2000
PAGES = (
    "/",
    "/?page=6",
    "/?flag=any&order=flags",
    "/?q=ball&kind=context",
    "/class/300",
    "/compare",
    "/compare?kind=*",
    "/compare?kind=*&page=9",
    "/log",
    "/replace?old=it&new=that&whole=1",
)


@pytest.fixture(scope="module")
def many(module_db_url: str) -> str:
    """The address of a database with 14,400 texts by two files; all texts of one are accepted."""
    store = Store.open(module_db_url)
    dataset = store.dataset("kinetics600")
    items = [
        PortableDescriptor(
            action=action.name,
            kind=kind,
            position=place,
            text=f"someone does it {place} like {action.phrase}, {writer}",
            source="import",
            origin=f"{writer}.json sha256:0",
        )
        for action, kind, place, writer in product(dataset.actions, KINDS, range(3), ("one", "two"))
    ]
    store.add_portable(dataset, items)
    ones = [d.ref for d in store.descriptors(dataset) if d.origin == "one.json sha256:0"]
    store.reviews().accept(ones, reviewer="ben")
    store.close()
    return module_db_url


@pytest.fixture
def client(many: str) -> Iterator[ReviewClient]:
    """A client of it."""
    store = Store.open(many)
    session = ReviewSession(store, store.dataset("kinetics600"), reviewer="anna")
    yield ReviewClient(session)
    session.close()
    store.close()


def elements(page: str) -> int:
    return len(re.findall(r"<[a-z]", page))


def test_no_page_has_more_than_2000_elements(client: ReviewClient) -> None:
    client.session.flags(wait=60)
    counts = {page: elements(client.get(page)) for page in PAGES}
    assert max(counts.values()) <= MOST, counts
    assert min(counts.values()) > 50, counts


def test_the_pages_hold_every_class_and_every_decision_once(client: ReviewClient) -> None:
    first = client.get("/")
    assert "600 of 600 classes, 14400 texts match" in shown(first)
    labels = [label for number in range(1, 7) for label in re.findall(r'id="c(\d+)"', client.get(f"/?page={number}"))]
    assert labels == [str(label) for label in range(600)]
    for odd in ("7", "0", "-1", "x", "9" * 30, "²"):
        assert client.get(f"/?page={odd}").count('<tr class="item"') == 100
    assert client.get("/log?page=72").count("<tr>") - 1 == 100
    assert "page 72 of 72" in shown(client.get("/log?page=99"))


def test_search_and_accept_all_go_over_all_pages(client: ReviewClient, many: str) -> None:
    page = client.get("/?q=zumba&kind=context")
    assert page.count('<tr class="item"') == 1
    page = client.get("/?source=two.json+sha256%3A0")
    assert data(page, "count") == "7200"
    made = client.post("/decide", decision="reject", query=data(page, "filter"), stamp=data(page, "stamp"))
    assert "Rejected 7200 texts; one undo restores them" in made["message"]
    undone = client.post("/decide", decision="undo")
    assert "7200 texts are as before" in undone["message"]
    store = Store.open(many)
    every = store.descriptors(store.dataset("kinetics600"), statuses=STATUSES)
    assert sum(d.status == "accepted" for d in every) == 7200

    store.close()


def focused(browser: Browser) -> str:
    return browser.execute_script("return document.activeElement.closest('.item')?.id || ''")


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")
def test_j_and_k_go_on_in_the_next_page(many: str, open_browser: Open) -> None:
    with served(many, "anna", dataset="kinetics600") as address:
        browser = open_browser()
        browser.get(address)
        assert focused(browser) == "c0"
        press(browser, "k")
        assert focused(browser) == "c0"  # there is none before
        browser.execute_script("document.querySelector('#c99 th a').focus()")
        press(browser, "j")
        wait(browser, lambda b: focused(b) == "c100")
        press(browser, "k")
        wait(browser, lambda b: focused(b) == "c99")
        press(browser, "]")
        wait(browser, lambda b: b.find_elements("id", "c150"))
        press(browser, Keys.ENTER)
        wait(browser, lambda b: "/class/100" in b.current_url)


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")
def test_undo_gives_the_focus_to_the_class_on_whatever_page_it_is(many: str, open_browser: Open) -> None:
    with served(many, "carl", dataset="kinetics600") as address:
        browser = open_browser()
        browser.get(f"{address}/class/350?kind=context")
        press(browser, "r")
        wait(browser, lambda b: "Rejected" in b.find_element("id", "message").text)
        press(browser, "o")
        wait(browser, lambda b: focused(b) == "c350")  # the table begins at the class that was left
        browser.get(f"{address}/?kind=context")
        wait(browser, lambda b: focused(b) == "c0")
        press(browser, "u")
        wait(browser, lambda b: focused(b) == "c350")
        assert "Undone" in browser.find_element("id", "message").text
