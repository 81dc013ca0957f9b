"""axe-core finds no fault in any page of the review: light, dark, on a phone, with each dialog open."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from tests.fixtures.browser import CHROMIUM, DRIVER, Browser, Open, open_browser, press, served, wait
from tests.fixtures.reviewed import filled

__all__ = ["filled", "open_browser"]  # fixtures

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")
PACKAGE = importlib.util.find_spec("axe_playwright_python")  # its file axe.min.js is read, its code never runs
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
PHONE = {"width": 390, "height": 780, "deviceScaleFactor": 2, "mobile": True}


def faults(browser: Browser) -> list[str]:
    """Return what axe-core finds on the page as it is now, a line for each fault."""
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    browser.execute_script(Path(PACKAGE.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    result: dict[str, Any] = browser.execute_async_script(
        "const done = arguments[0]; axe.run(document).then(done, (error) => done({ error: String(error) }))"
    )
    assert "error" not in result, result
    assert len(result["passes"]) > 10  # it did look
    return [f"{rule['id']}: {node['html'][:120]}" for rule in result["violations"] for node in rule["nodes"]]


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


@pytest.mark.skipif(PACKAGE is None, reason="no axe-core: pip install --no-deps axe-playwright-python")
def test_axe_finds_nothing(filled: str, open_browser: Open) -> None:
    judge_blind(filled)
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=context")
        press(browser, "a", "r")  # texts of each status, and decisions in the log
        for look in ("light", "dark", "phone"):
            scheme = "dark" if look == "dark" else "light"
            features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
            if look == "phone":
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
            for page in PAGES:
                browser.get(address + page)
                assert faults(browser) == [], (look, page)


@pytest.mark.skipif(PACKAGE is None, reason="no axe-core: pip install --no-deps axe-playwright-python")
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
