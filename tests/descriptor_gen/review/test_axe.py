"""axe-core finds no fault in any page of the review: light, dark, on a phone, with each dialog open."""

from __future__ import annotations

import pytest

from db.store import Store
from tests.fixtures.axe import faults, look, needs_axe
from tests.fixtures.browser import CHROMIUM, DRIVER, Open, open_browser, press, served, wait
from tests.fixtures.reviewed import filled

__all__ = ["filled", "open_browser"]  # fixtures

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")
PAGES = (
    "/",
    "/?status=pending&q=hand",
    "/class/0",
    "/class/0?q=raised",
    "/compare",
    "/compare?kind=decomposition",
    "/compare?kind=*",
    "/log",
    "/reviewers",
    "/disagreements",
    "/replace?old=hand&new=arm",
    "/replace?old=the+hand+falls+0&new=a+hand+is+raised+0",
)


def judge_blind(database: str) -> None:
    """Have two reviewers judge three texts blind, and differ on one."""
    store = Store.open(database, create=False)
    dataset = store.dataset("hmdb51")
    for name, rejected in (("anna", 1), ("ben", 2)):
        own = store.blind_reviews(dataset, name)
        first = [text.ref for text in own.texts(dataset)[:3]]
        own.accept(first[rejected:], reviewer=name)
        own.reject(first[:rejected], reviewer=name)
    store.close()


@needs_axe
def test_axe_finds_nothing(filled: str, open_browser: Open) -> None:
    judge_blind(filled)
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=context")
        press(browser, "a", "r")  # texts of each status, and decisions in the log
        for name in ("light", "dark", "phone"):
            look(browser, name)
            for page in PAGES:
                browser.get(address + page)
                assert faults(browser) == [], (name, page)


@needs_axe
def test_axe_finds_nothing_in_dialogs_editors_and_conflicts(filled: str, open_browser: Open) -> None:
    with served(filled, "anna") as annas, served(filled, "ben") as bens:
        anna, ben = open_browser(), open_browser()
        anna.get(f"{annas}/class/0?kind=decomposition")
        ben.get(f"{bens}/class/0?kind=decomposition")
        press(anna, "a")
        wait(anna, lambda b: "Accepted" in b.find_element("id", "message").text)
        press(ben, "r")
        wait(ben, lambda b: b.find_elements("css selector", ".conflict"))
        assert faults(ben) == []
        press(ben, "e")
        assert faults(ben) == []
        opened = ("help", "history", "comment", "guidelines")
        for button in ("[data-sheet]", *(f"[data-do={name}]" for name in opened)):
            anna.find_element("css selector", button).click()
            wait(anna, lambda b: b.find_elements("css selector", "dialog[open]"))
            assert faults(anna) == [], button
            anna.execute_script("document.querySelector('dialog[open]').close()")
        anna.get(annas)
        anna.find_element("css selector", "button[data-all=accept]").click()
        assert faults(anna) == []
