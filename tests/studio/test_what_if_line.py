"""The line under an editor that says what an edit does, in a real Chromium."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from db.store import Store
from encoders.testing import FakeEncoder
from tests.fixtures.axe import faults, look, needs_axe
from tests.fixtures.browser import CHROMIUM, DRIVER, Browser, Open, open_browser, press, wait
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run
from tests.fixtures.studio import evaluated, many, of_benchmark, serving

__all__ = ["balls", "encoder", "open_browser"]  # fixtures

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")


@contextmanager
def opened(store: Store, features: Path, open_browser: Open, **more: Any) -> Iterator[tuple[Browser, str]]:
    """Serve the application; give a browser and the address. The browser leaves before the server ends."""
    with serving(store, features, **more) as address:
        browser = open_browser()
        yield browser, address
        browser.execute_script("document.querySelectorAll('textarea, .add input').forEach(box => { box.value = ''; })")
        browser.get("about:blank")


def editor(browser: Browser, address: str) -> WebElement:
    """Open the page of the green balls and the editor of its first text; return its box."""
    browser.get(f"{address}/class/1")
    press(browser, "e")
    wait(browser, lambda b: b.switch_to.active_element.tag_name == "textarea")
    return browser.switch_to.active_element


def line(browser: Browser) -> str:
    return str(browser.execute_script("return document.querySelector('.what-if .effect')?.textContent || ''"))


def state(browser: Browser) -> str:
    return str(browser.execute_script("return document.querySelector('.what-if .effect')?.dataset.state || ''"))


def requests(browser: Browser) -> int:
    script = "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/what-if')).length"
    return int(browser.execute_script(script))


def put(browser: Browser, box: WebElement, text: str, *, keys: int = 1) -> None:
    """Put words into a box as if they were typed, with some keys at once."""
    script = "const [box, text, keys] = arguments; box.value = text; for (let n = 0; n < keys; n++) box.dispatchEvent(new Event('input', { bubbles: true }))"  # noqa: E501
    browser.execute_script(script, box, text, keys)


def test_it_says_what_the_words_do_and_goes_with_the_editor(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls), "--method", "max")
    before = store.descriptors(store.dataset("balls"))
    with opened(store, features, open_browser) as (browser, address):
        box = editor(browser, address)
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys("a blue thing")
        wait(browser, lambda b: state(b) == "known")
        assert line(browser) == (
            "top-1 66.67 → 33.33 % (+0, -5 of 15 videos, 1 left out; labels alone 100.00); nearest class: blue ball"
        )
        effect = browser.find_element(By.CSS_SELECTOR, ".what-if .effect")
        assert effect.get_attribute("aria-live") == "polite"
        assert browser.switch_to.active_element == box
        assert browser.find_element(By.ID, "message").text == "", "it is no toast"
        browser.find_element(By.CSS_SELECTOR, ".what-if summary").click()
        assert "protocol default, method max" in browser.find_element(By.CSS_SELECTOR, ".what-if ul").text
        put(browser, box, "a green  thing ")
        wait(browser, lambda b: line(b) == "")  # the words that it has
        put(browser, box, "")
        wait(browser, lambda b: line(b) == "")
        put(browser, box, "a green meadow")
        wait(browser, lambda b: "66.67 → 66.67" in line(b))
        box.send_keys(Keys.ESCAPE)
        wait(browser, lambda b: not b.find_elements(By.CSS_SELECTOR, ".what-if"))
    assert store.descriptors(store.dataset("balls")) == before, "nothing is stored"


def test_many_keys_are_one_question(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls))
    with opened(store, features, open_browser) as (browser, address):
        box = editor(browser, address)
        put(browser, box, "moss")
        wait(browser, lambda b: state(b) == "known")  # the videos are loaded
        asked = requests(browser)
        put(browser, box, "fern", keys=30)
        wait(browser, lambda b: requests(b) > asked and state(b) == "known")
        assert requests(browser) == asked + 1


def test_only_the_newest_answer_is_shown(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, open_browser: Open, encoder: FakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    evaluated(descgen, recognize, many(balls), "--method", "max")
    asked, go, plain = threading.Event(), threading.Event(), encoder.encode_texts

    def encode(texts: list[str]) -> Any:
        if "slow words" in texts:
            asked.set()
            assert go.wait(120)
        return plain(texts)

    with opened(store, features, open_browser) as (browser, address):
        box = editor(browser, address)
        monkeypatch.setattr(encoder, "encode_texts", encode)
        put(browser, box, "slow words")
        assert asked.wait(120)
        put(browser, box, "a blue thing")
        browser.execute_script(
            "window.shown = []; new MutationObserver(() => shown.push(document.querySelector('.effect').textContent))"
            ".observe(document.querySelector('.effect'), { childList: true })"
        )
        go.set()
        wait(browser, lambda b: "-5 of 15 videos" in line(b))
        shown = browser.execute_script("return window.shown.filter(text => text.includes('→'))")
        assert len(set(shown)) == 1, shown


def test_an_added_text_has_its_line_too(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls), "--method", "max")
    with opened(store, features, open_browser) as (browser, address):
        browser.get(f"{address}/class/1")
        box = browser.find_element(By.CSS_SELECTOR, "form.add input")
        box.send_keys("a blue thing")
        wait(browser, lambda b: "-5 of 15 videos" in line(b))
        box.send_keys(Keys.ENTER)
        wait(browser, lambda b: len(b.find_elements(By.CSS_SELECTOR, ".item.text")) == 3)
        assert line(browser) == ""


def test_an_error_is_said_quietly_and_the_next_words_have_an_answer(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, open_browser: Open, encoder: FakeEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    evaluated(descgen, recognize, many(balls))
    plain = encoder.encode_texts

    def encode(texts: list[str]) -> Any:
        if "boom" in texts:
            raise MemoryError("no room")
        return plain(texts)

    monkeypatch.setattr(encoder, "encode_texts", encode)
    with opened(store, features, open_browser) as (browser, address):
        box = editor(browser, address)
        put(browser, box, "boom")
        wait(browser, lambda b: state(b) == "refused")
        assert "not known: MemoryError('no room')" in line(browser)
        assert browser.find_element(By.ID, "message").text == ""
        put(browser, box, "moss")
        wait(browser, lambda b: state(b) == "known")


@pytest.mark.parametrize("on_test", [False, True])
def test_on_a_published_test_set_one_line_says_what_to_type_or_the_number_has_a_warning(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, open_browser: Open, on_test: bool
) -> None:
    of_benchmark(descgen, recognize, balls)
    options = {"dataset": "hmdb51", "what_if_on_test": on_test}
    with opened(store, features, open_browser, **options) as (browser, address):
        box = editor(browser, address)
        put(browser, box, "a green meadow")
        wait(browser, lambda b: state(b) in ("off", "known"))
        caution = browser.find_element(By.CSS_SELECTOR, ".what-if .caution").text
        if on_test:
            assert "no longer a valid estimate" in caution
            assert "top-1" in line(browser)
        else:
            assert (caution, "start again with --what-if-on-test" in line(browser)) == ("", True)


@needs_axe
def test_axe_finds_nothing(
    descgen: Run, recognize: Run, balls: Path, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls), "--method", "max")
    with opened(store, features, open_browser) as (browser, address):
        box = editor(browser, address)
        put(browser, box, "a blue thing")
        wait(browser, lambda b: state(b) == "known")
        browser.find_element(By.CSS_SELECTOR, ".what-if summary").click()
        for name in ("light", "dark", "phone"):
            look(browser, name)
            assert faults(browser) == [], name
            assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), name
