"""The page of a run in a real Chromium: its policy lets its own script run, and nothing else is asked for."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By

from db.store import Store
from tests.fixtures.commands import Run
from tests.fixtures.runs import large

pytest.importorskip("selenium", reason="no selenium: pip install -e '.[dev]'")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")


@pytest.fixture
def browser(recognize: Run, store: Store, tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A browser on the page of a run of 51 classes."""
    large(store, "hmdb51", each=4)
    result = recognize("report", 1, "-o", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    window = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    window.get((tmp_path / "page.html").as_uri())
    yield window
    window.quit()


def column(browser: webdriver.Chrome, number: int) -> list[str]:
    script = (
        "return [...document.querySelectorAll('.classes tbody tr')].map(row => row.cells[arguments[0]].textContent)"
    )
    return browser.execute_script(script, number)  # type: ignore[no-any-return]


def test_the_page_works_and_asks_for_nothing(browser: webdriver.Chrome) -> None:
    sent = [entry for entry in browser.get_log("performance") if '"Network.requestWillBeSent"' in entry["message"]]
    assert not [
        entry for entry in sent if '"url":"file:' not in entry["message"] and '"url":"data:' not in entry["message"]
    ]
    as_made = column(browser, 0)
    header = browser.find_element(By.CSS_SELECTOR, ".classes thead th")
    header.find_element(By.TAG_NAME, "button").click()
    assert column(browser, 0) == sorted(as_made, key=str.lower)
    assert header.get_attribute("aria-sort") == "ascending"
    shares = browser.find_elements(By.CSS_SELECTOR, ".classes thead button")[2]
    assert shares.text == "label only"
    shares.click()
    rates = [float(text.split()[0]) for text in column(browser, 3)]
    assert rates == sorted(rates, reverse=True)
    assert not browser.get_log("browser"), "the policy refused something, or the script failed"


def test_pointing_at_a_cell_says_what_it_is(browser: webdriver.Chrome) -> None:
    matrix = browser.find_element(By.ID, "matrix")
    browser.execute_script("arguments[0].scrollIntoView()", matrix)
    left, top, side = (float(str(matrix.get_attribute(f"data-{name}"))) for name in ("left", "top", "side"))
    box = browser.execute_script("return arguments[0].getBoundingClientRect()", matrix)
    actions = ActionBuilder(browser)
    actions.pointer_action.move_to_location(round(box["x"] + left + side / 2), round(box["y"] + top + side / 2))
    actions.perform()
    first = browser.find_element(By.CSS_SELECTOR, "#matrix text").text
    assert browser.find_element(By.CLASS_NAME, "pointed").text.startswith(f"{first} → {first}: ")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_part_is_wider_than_the_screen(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(251, 251, 250)", "dark": "rgb(20, 23, 28)"}[scheme]


def test_on_paper_no_class_is_cut_off(browser: webdriver.Chrome) -> None:
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert printed.startswith(b"%PDF")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    box = browser.find_element(By.CSS_SELECTOR, ".tall")
    assert box.size["height"] >= browser.find_element(By.CSS_SELECTOR, ".classes").size["height"] > 1000
