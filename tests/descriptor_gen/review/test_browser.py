"""The review application in a real Chromium: keys, clicks, and the pages that follow."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run
from tests.fixtures.runs import with_controls

pytest.importorskip("selenium", reason="no selenium: pip install -e '.[dev]'")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")
BIN = Path(sys.executable).parent
Browser = webdriver.Chrome
Open = Callable[[], Browser]


@pytest.fixture
def open_browser() -> Iterator[Open]:
    """Open browsers, each with cookies of its own; they close with the test."""
    opened: list[Browser] = []

    def another() -> Browser:
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        opened.append(webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER)))
        return opened[-1]

    yield another
    for browser in opened:
        errors = [line["message"] for line in browser.get_log("browser") if " 409 " not in line["message"]]
        browser.quit()
        assert not errors, errors  # no exception, nothing refused by the content security policy


@contextmanager
def served(address: str, reviewer: str, *more: str, port: int | None = None, kill: bool = False) -> Iterator[str]:
    """Run `descgen review` as a process of its own, in the end stopped or killed; give its address."""
    where = ["--port", str(port)] if port else []
    command = [BIN / "descgen", "--db", address, "review", "-d", "hmdb51", "--no-browser", "--reviewer", reviewer]
    server = subprocess.Popen([*map(str, command), *where, *more], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + server.stderr.read()
        yield found.group().rstrip("/")
    finally:
        server.kill() if kill else server.terminate()
        server.wait(120)


ODD = "<script>document.title='owned'</script> {{ 7 * 7 }} & <b>bold</b>"


@pytest.fixture
def filled(descgen: Run, llm: FakeLLM, db_url: str, tmp_path: Path) -> str:
    """A database with three classes of two kinds, by a template that lets any text pass; one is markup."""
    template = tmp_path / "free.j2"
    source = descgen("prompts", "show", "decomposition").stdout
    template.write_text(re.sub(r", pattern: \".*\"", "", source))
    llm.enqueue(*[json.dumps({"steps": [f"a hand is raised {n}", ODD, f"the hand falls {n}"]}) for n in range(3)])
    built = descgen("build", "-d", "hmdb51", "-t", template, "-k", "decomposition", "-k", "context", "--limit", "3")
    assert built.exit_code == 0, built.output
    return db_url


def wait(browser: Browser, condition: Callable[[Browser], object]) -> None:
    WebDriverWait(browser, 120, 0.05, ignored_exceptions=[StaleElementReferenceException]).until(condition)


def items(browser: Browser) -> list[str]:
    """Return the statuses of the texts, read at one moment."""
    return browser.execute_script("return [...document.querySelectorAll('.item.text')].map(e => e.dataset.status)")


def words(browser: Browser) -> list[str]:
    """Return the texts, read at one moment."""
    return browser.execute_script("return [...document.querySelectorAll('.item.text .words')].map(e => e.textContent)")


def message(browser: Browser) -> str:
    return browser.find_element(By.ID, "message").text


def press(browser: Browser, *keys: str) -> None:
    """Type keys wherever the focus is."""
    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def statuses(address: str, action: str) -> dict[str, str]:
    store = Store.open(address, create=False)
    every = store.descriptors(store.dataset("hmdb51"), statuses=("pending", "accepted", "rejected"))
    store.close()
    return {d.text: d.status for d in every if d.action == action}


def test_a_reviewer_decides_from_the_keyboard(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=decomposition")
        assert items(browser) == ["pending"] * 3
        assert browser.switch_to.active_element.text.startswith("a hand is raised 0")  # the first open one is in focus
        press(browser, "a")
        wait(browser, lambda b: items(b) == ["accepted", "pending", "pending"])
        assert "<script>" in browser.switch_to.active_element.text  # and the next one after it
        press(browser, "r")
        wait(browser, lambda b: items(b) == ["accepted", "rejected", "pending"])
        press(browser, "e")
        wait(browser, lambda b: b.switch_to.active_element.tag_name == "textarea")
        box = browser.switch_to.active_element
        box.clear()
        box.send_keys("the hand sinks to the side", Keys.CONTROL, Keys.ENTER)
        wait(browser, lambda b: items(b) == ["accepted", "rejected", "accepted"])
        assert words(browser)[2] == "the hand sinks to the side"
        assert "edited" in browser.find_elements(By.CSS_SELECTOR, ".item.text .about")[2].text
        press(browser, "u", "u")
        wait(browser, lambda b: items(b) == ["accepted", "pending", "pending"])
        assert words(browser)[2] == "the hand falls 0"
        press(browser, "A")
        wait(browser, lambda b: items(b) == ["accepted"] * 3)
        press(browser, "]")
        wait(browser, lambda b: "/class/1" in b.current_url)
    assert set(statuses(filled, "brush_hair").values()) == {"accepted", "pending"}  # context was not on the page


def test_what_controls_say_stays_beside_the_texts_that_are_decided_on(filled: str, open_browser: Open) -> None:
    store = Store.open(filled, create=False)
    own = [d.id for d in store.descriptors(store.dataset("hmdb51")) if d.action == "brush_hair"]
    with_controls(store, {"brush_hair": own})
    store.close()
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(address)
        summary = browser.find_element(By.CSS_SELECTOR, ".verdicts summary")
        assert summary.text == "Controls of run 1: no better than others"
        summary.send_keys(Keys.ENTER)
        wait(browser, lambda b: "nor than noise" in b.find_element(By.CSS_SELECTOR, ".verdicts").text)
        browser.get(f"{address}/class/0")
        shown = browser.find_element(By.CSS_SELECTOR, ".verdicts")
        assert shown.text == "Controls of run 1: <b>brush_hair</b> cannot be told"
        press(browser, "r")
        wait(browser, lambda b: items(b).count("rejected") == 1)
        text = f"1 of these {len(own)} texts have been rejected or replaced since"
        wait(browser, lambda b: text in b.find_element(By.CSS_SELECTOR, ".verdicts").text)


def test_keys_pressed_faster_than_the_server_answers_decide_on_one_text_after_the_other(
    filled: Path, open_browser: Open
) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=decomposition")
        press(browser, "ara")  # in one go
        wait(browser, lambda b: items(b) == ["accepted", "rejected", "accepted"])
        press(browser, "uuu")
        wait(browser, lambda b: items(b) == ["pending"] * 3)
        press(browser, "aeru")  # the keys after e were meant for the text box
        wait(browser, lambda b: b.switch_to.active_element.tag_name == "textarea")
        assert items(browser) == ["pending", "pending", "accepted"]  # neither rejected nor undone


def test_markup_in_texts_is_shown_as_text(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        for page in ("/?q=script", "/class/0", "/compare?kind=decomposition", "/log"):
            browser.get(address + page)
            assert "owned" not in browser.title
        browser.get(f"{address}/class/0?kind=decomposition")
        assert words(browser)[1] == ODD
        press(browser, "i")  # prompt and raw reply
        wait(browser, lambda b: "document.title='owned'" in b.find_element(By.ID, "sheet-body").text)
        press(browser, Keys.ESCAPE)
        browser.find_elements(By.CSS_SELECTOR, "[data-do=history]")[1].click()
        wait(browser, lambda b: ODD in b.find_element(By.ID, "sheet-body").text)
        assert "owned" not in browser.title
        assert not browser.find_elements(By.CSS_SELECTOR, "main b")


def test_the_filter_is_in_the_address_and_all_its_texts_are_one_decision(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(address)
        assert "3 of 51 classes" in browser.find_element(By.ID, "matching").text
        browser.find_element(By.NAME, "kind").send_keys("context")
        search = browser.find_element(By.NAME, "q")
        search.send_keys("bat", Keys.ENTER)
        wait(browser, lambda b: "kind=context" in b.current_url and "q=bat" in b.current_url)
        assert "3 texts match" in browser.find_element(By.ID, "matching").text
        kept = browser.current_url
        browser.get(kept)  # a kept address shows the same
        assert "3 texts match" in browser.find_element(By.ID, "matching").text
        browser.find_element(By.CSS_SELECTOR, "button[data-all=accept]").click()
        browser.find_element(By.CSS_SELECTOR, "#confirm button[value=yes]").click()
        wait(browser, lambda b: not b.find_elements(By.CSS_SELECTOR, "button[data-all]"))
        accepted = {text for text, status in statuses(filled, "catch").items() if status == "accepted"}
        assert accepted == {"a wooden bat"}
        press(browser, "u")
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "button[data-all=accept]"))
        assert set(statuses(filled, "catch").values()) == {"pending"}
        browser.get(f"{address}/?flag=any&order=flags")
        assert browser.find_elements(By.CSS_SELECTOR, "td .flag")


def test_the_second_reviewer_sees_the_change_of_the_first(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as annas, served(filled, "ben") as bens:
        anna, ben = open_browser(), open_browser()
        anna.get(f"{annas}/class/0?kind=decomposition")
        ben.get(f"{bens}/class/0?kind=decomposition")
        press(anna, "r")
        wait(anna, lambda b: items(b)[0] == "rejected")
        press(ben, "a")
        wait(ben, lambda b: b.find_elements(By.CSS_SELECTOR, ".conflict"))
        conflict = ben.find_element(By.CSS_SELECTOR, ".conflict").text
        assert "Nothing was changed" in conflict
        assert "anna" in conflict
        assert "rejected" in conflict
        assert items(ben)[0] == "rejected"
        press(ben, "a")  # now that it was seen
        wait(ben, lambda b: items(b)[0] == "accepted")
        assert not ben.find_elements(By.CSS_SELECTOR, ".conflict")


def free_port() -> int:
    """Return a port that no server takes of itself: those look for a free one from 8642, and would answer here."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


def test_a_restart_of_the_server_loses_nothing(filled: Path, open_browser: Open) -> None:
    browser, port = open_browser(), free_port()
    with served(filled, "anna", port=port) as address:
        browser.get(f"{address}/class/0?kind=decomposition")
        press(browser, "a")
        wait(browser, lambda b: items(b)[0] == "accepted")
    press(browser, "a")
    wait(browser, lambda b: "does not answer" in message(b))
    browser.get_log("browser")  # the refused connection is what is tested
    assert items(browser) == ["accepted", "pending", "pending"]
    with served(filled, "anna", port=port):
        press(browser, "a")
        wait(browser, lambda b: "Reload the page" in message(b))  # another server has another secret
        browser.get_log("browser")
        browser.refresh()
        assert items(browser) == ["accepted", "pending", "pending"]
        press(browser, "a")
        wait(browser, lambda b: items(b)[1] == "accepted")


def test_a_server_that_is_stopped_while_the_model_writes_is_not_waited_for(
    filled: Path, open_browser: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    silent = socket.create_server(("127.0.0.1", 0))  # an LLM that never answers
    llm = ("--llm", "openai:silent", "--base-url", f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
    browser = open_browser()
    with silent, served(filled, "anna", *llm, kill=True) as address:
        browser.get(f"{address}/class/0?kind=decomposition")
        browser.find_element(By.CSS_SELECTOR, "[data-regenerate]").click()
        wait(browser, lambda b: "writes" in message(b))
    wait(browser, lambda b: "was stopped while the model wrote" in message(b))
    browser.get_log("browser")  # the refused connection is what is tested


def test_steps_are_moved_and_texts_added(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=decomposition")
        first = words(browser)
        press(browser, ">")
        wait(browser, lambda b: words(b) == [first[1], first[0], first[2]])
        press(browser, "n")
        browser.switch_to.active_element.send_keys("a comb in the hand", Keys.ENTER)
        wait(browser, lambda b: "a comb in the hand" in words(b))
        assert "by hand" in browser.find_element(By.ID, "class").text
        press(browser, "?")
        wait(browser, lambda b: b.find_element(By.ID, "help").is_displayed())
        assert "undo your last decision" in browser.find_element(By.ID, "help").text


def test_it_fits_a_phone_and_follows_a_dark_system(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        )
        light = dark = ""
        for page in ("/", "/class/0", "/compare", "/log"):
            browser.get(address + page)
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= 360, page
        for scheme in ("light", "dark"):
            feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
            ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
            light, dark = (ground, dark) if scheme == "light" else (light, ground)
        assert light != dark
        unlabelled = browser.execute_script(
            "return [...document.querySelectorAll('input,select,textarea')].filter(e => !e.labels.length).length"
        )
        assert unlabelled == 0
