"""The pages about runs in a real Chromium: changes in place, deletion, comparison, the confusion matrix, axe-core."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from selenium.webdriver.common.keys import Keys

from db.runs import RunChange
from db.store import Store
from tests.fixtures.axe import faults, look, needs_axe
from tests.fixtures.browser import BIN, CHROMIUM, DRIVER, Browser, Open, open_browser, press, wait
from tests.fixtures.runs import by_hand

__all__ = ["open_browser"]  # a fixture

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")


@contextmanager
def serving(address: str, open_browser: Open) -> Iterator[tuple[Browser, str]]:
    """Run `recognize serve` as a process of its own; give a browser and the address of the application.

    The browser leaves its page before the server ends: pages ask whether the videos are loaded.
    """
    command = [BIN / "recognize", "--db", address, "serve", "--no-browser", "--reviewer", "anna"]
    server = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.search(r"http://\S+/runs", line)
        assert found, line + server.stderr.read()
        browser = open_browser()
        yield browser, found.group().removesuffix("/runs")
        browser.get("about:blank")
    finally:
        server.terminate()
        server.wait(120)


@pytest.fixture
def runs(store: Store) -> Store:
    """Two runs of hmdb51 by hand; the second one got one more video right."""
    by_hand(store)
    run = store.run(1)
    better = tuple(replace(p, rank=1) if p.video == "a/2" else p for p in run.predictions)
    store.save_run(replace(run, id=None, predictions=better))
    return store


def text(browser: Browser) -> str:
    return browser.find_element("css selector", "main").text


def message(browser: Browser) -> str:
    return browser.find_element("id", "message").text


def test_name_note_and_tags_are_changed_in_place(runs: Store, db_url: str, open_browser: Open) -> None:
    with serving(db_url, open_browser) as (browser, address):
        browser.get(f"{address}/runs")
        browser.find_element("css selector", "#run1 [data-edit-run]").click()
        assert browser.switch_to.active_element.get_attribute("name") == "name"
        press(browser, "best so far", Keys.TAB, "paper, May", Keys.TAB, "a note")
        browser.find_element("css selector", ".labels-form button").click()
        wait(browser, lambda b: "Saved: run 1 (best so far)" in message(b))
        row = browser.find_element("id", "run1")
        assert "1 · best so far" in row.text
        assert "May" in row.text
        assert browser.switch_to.active_element == row.find_element("css selector", "a"), "the focus stays at the run"
        assert runs.run("best so far").note == "a note"


def test_words_are_kept_if_they_cannot_be_saved(runs: Store, db_url: str, open_browser: Open) -> None:
    with serving(db_url, open_browser) as (browser, address):
        browser.get(f"{address}/runs")
        browser.find_element("css selector", "#run2 [data-edit-run]").click()
        runs.run_changes().change([2], RunChange(note="hers"))
        press(browser, "mine")
        browser.find_element("css selector", ".labels-form button").click()
        wait(browser, lambda b: "run 2 has been changed meanwhile" in message(b))
        assert "its note is: hers" in message(browser)
        assert browser.find_element("css selector", ".labels-form [name=name]").get_attribute("value") == "mine"
        assert runs.run(2).name is None
        browser.get_log("browser")  # the refusal was meant


def test_a_run_is_deleted_once_confirmed(runs: Store, db_url: str, open_browser: Open) -> None:
    with serving(db_url, open_browser) as (browser, address):
        browser.get(f"{address}/runs/1")
        browser.find_element("xpath", "//summary[starts-with(., 'Change name')]").click()
        for answer, left in (("no", [1, 2]), ("yes", [2])):
            browser.find_element("css selector", "[data-delete-run]").click()
            wait(browser, lambda b: b.find_elements("css selector", "#confirm[open]"))
            asked = browser.find_element("id", "confirm-text").text
            assert asked == (
                "Delete run 1 on hmdb51 with its 5 predictions and 0 impacts of texts? This cannot be undone."
            )
            browser.find_element("css selector", f"#confirm button[value={answer}]").click()
            wait(browser, lambda b, left=left: [run.id for run in runs.runs()] == left)
        wait(browser, lambda b: "Deleted run 1" in message(b))
        assert "1 of 1 runs" in text(browser)


def test_two_runs_are_chosen_and_compared(runs: Store, db_url: str, open_browser: Open) -> None:
    with serving(db_url, open_browser) as (browser, address):
        browser.get(f"{address}/runs")
        browser.find_element("css selector", "#compare button").click()
        assert browser.current_url.endswith("/runs"), "the browser asks for a run first"
        browser.find_element("css selector", "#run1 [name=a]").click()
        browser.find_element("css selector", "#run2 [name=b]").click()
        browser.find_element("css selector", "#compare button").click()
        wait(browser, lambda b: "Run 1 → run 2" in text(b))
        rows = [row.text.split() for row in browser.find_elements("css selector", ".videos tbody tr")]
        assert rows == [["a/2", "brush_hair", "gained", "2", "1"]]


def test_cells_of_the_matrix_lead_to_their_videos_by_keys_and_by_pointer(
    runs: Store, db_url: str, open_browser: Open
) -> None:
    with serving(db_url, open_browser) as (browser, address):
        browser.get(f"{address}/runs/1/confusion")
        cells = browser.execute_script("return JSON.parse(document.getElementById('matrix').dataset.cells)")
        down, right = cells["rows"].index("catch"), cells["columns"].index("cartwheel")
        browser.execute_script("document.getElementById('matrix').focus()")
        press(browser, Keys.ARROW_DOWN, *[Keys.ARROW_DOWN] * down, *[Keys.ARROW_RIGHT] * right)
        cell = browser.find_element("id", "cell")
        assert cell.text == "catch predicted as cartwheel: 1 of 1 videos"
        press(browser, Keys.ENTER)
        wait(browser, lambda b: "true=catch&predicted=cartwheel" in b.current_url)
        wait(browser, lambda b: "1 of 5 videos match" in text(b))
        browser.get(f"{address}/runs/1/confusion")
        for label in (0, 1, 2):  # the middle of a cell on the diagonal
            name = cells["rows"][label]
            column = cells["columns"].index(name)
            browser.execute_script(
                "const [y, x] = arguments, m = document.getElementById('matrix'), box = m.querySelector('svg')"
                ".getBoundingClientRect(), side = Number(m.dataset.side);"
                "m.dispatchEvent(new PointerEvent('pointermove', {bubbles: true,"
                "clientX: box.left + Number(m.dataset.left) + (x + .5) * side,"
                "clientY: box.top + Number(m.dataset.top) + (y + .5) * side}))",
                label, column,
            )  # fmt: skip
            videos = len([1 for p in runs.run(1).predictions if p.rank <= 1 and name == _names(runs)[p.label]])
            assert browser.find_element("id", "cell").text.startswith(f"{name} predicted as {name}: {videos} of ")


def _names(store: Store) -> list[str]:
    return [action.name for action in store.dataset("hmdb51").actions]


def test_class_names_are_offered_while_one_is_typed(runs: Store, db_url: str, open_browser: Open) -> None:
    with serving(db_url, open_browser) as (browser, address):
        browser.get(f"{address}/runs/1")
        assert not browser.find_elements("css selector", "#classes option")
        browser.find_element("css selector", "[name=true]").click()
        wait(browser, lambda b: len(b.find_elements("css selector", "#classes option")) == 51)


def test_serve_without_texts_says_so(runs: Store, db_url: str, open_browser: Open) -> None:
    with serving(db_url, open_browser) as (browser, address):
        browser.get(f"{address}/runs")
        assert "2 of 2 runs" in text(browser)
        browser.find_element("css selector", ".top .home").click()
        wait(browser, lambda b: "No descriptors of hmdb51 yet" in text(b))


PAGES = (
    "/runs",
    "/runs?of=all&q=nothing",
    "/runs/1",
    "/runs/1?true=nope",
    "/runs/1/confusion",
    "/runs/compare?a=1&b=2",
)


@needs_axe
def test_axe_finds_nothing(runs: Store, db_url: str, open_browser: Open) -> None:
    runs.run_changes().change([1], RunChange(name="best", note="a note", tag=("paper",)))
    with serving(db_url, open_browser) as (browser, address):
        for name in ("light", "dark", "phone"):
            look(browser, name)
            for page in PAGES:
                browser.get(address + page)
                for summary in browser.find_elements("css selector", "main details:not([open]) > summary"):
                    browser.execute_script("arguments[0].parentElement.open = true", summary)
                assert faults(browser) == [], (name, page)
                width = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
                assert width[0] <= width[1], (name, page)
            browser.get(f"{address}/runs")
            browser.find_element("css selector", "#run1 [data-edit-run]").click()
            assert faults(browser) == [], name
            browser.find_element("css selector", "[data-delete-run]").click()
            wait(browser, lambda b: b.find_elements("css selector", "#confirm[open]"))
            assert faults(browser) == [], name
