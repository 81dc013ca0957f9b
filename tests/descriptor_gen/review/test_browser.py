"""The review application in a real Chromium: keys, clicks, and the pages that follow."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from db.store import Store
from tests.fixtures.browser import CHROMIUM, DRIVER, Browser, Open, open_browser, press, served, wait
from tests.fixtures.commands import Run
from tests.fixtures.reviewed import ODD, filled
from tests.fixtures.runs import with_controls

__all__ = ["filled", "open_browser"]  # fixtures

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")


def items(browser: Browser) -> list[str]:
    """Return the statuses of the texts, read at one moment."""
    return browser.execute_script("return [...document.querySelectorAll('.item.text')].map(e => e.dataset.status)")


def words(browser: Browser) -> list[str]:
    """Return the texts, read at one moment."""
    return browser.execute_script("return [...document.querySelectorAll('.item.text .words')].map(e => e.textContent)")


def message(browser: Browser) -> str:
    return browser.find_element(By.ID, "message").text


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
        wait(browser, lambda b: "/class/1" in b.current_url)  # this class is done
        assert "brushing hair is done; next class: doing a cartwheel" in message(browser)
        assert browser.switch_to.active_element.text.startswith("a hand is raised 1")
        press(browser, "[")
        wait(browser, lambda b: items(b) == ["accepted", "rejected", "accepted"])
        assert words(browser)[2] == "the hand sinks to the side"
        assert "edited" in browser.find_elements(By.CSS_SELECTOR, ".item.text .about")[2].text
        press(browser, "u", "u")
        wait(browser, lambda b: items(b) == ["accepted", "pending", "pending"])
        assert words(browser)[2] == "the hand falls 0"
        press(browser, "A")
        wait(browser, lambda b: "/class/1" in b.current_url)
        press(browser, "]")
        wait(browser, lambda b: "/class/2" in b.current_url)
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
        press(browser, "araaa")  # in one go: the class ends with the third, and the next one was not seen
        wait(browser, lambda b: "/class/1" in b.current_url)
        assert items(browser) == ["pending"] * 3
        press(browser, "u")
        wait(browser, lambda b: items(b) == ["accepted", "rejected", "pending"])
        press(browser, "uu")
        wait(browser, lambda b: items(b) == ["pending"] * 3)
        press(browser, "aeru")  # the keys after e were meant for the text box
        wait(browser, lambda b: b.switch_to.active_element.tag_name == "textarea")
        assert items(browser) == ["accepted", "pending", "pending"]  # neither rejected nor undone


def focused(browser: Browser) -> str:
    """Return the words of the text that has the focus; empty if none has."""
    return browser.execute_script(
        "return document.activeElement.closest('.item.text')?.querySelector('.words').textContent || ''"
    )


def test_undo_gives_the_focus_back_with_the_text(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=decomposition")
        press(browser, "a", "u")
        wait(browser, lambda b: "Undone: 'a hand is raised 0' is pending" in message(b))
        assert focused(browser) == "a hand is raised 0"
        press(browser, "r")
        wait(browser, lambda b: items(b) == ["rejected", "pending", "pending"])
        press(browser, "A")
        wait(browser, lambda b: "/class/1" in b.current_url)
        press(browser, "u")  # of two texts, in the class before
        wait(browser, lambda b: "/class/0" in b.current_url and "2 texts are as before (2 pending)" in message(b))
        assert focused(browser) == ODD


def test_after_a_request_that_failed_the_page_goes_on(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=decomposition")
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/decide", "*/history/*"]})
        browser.find_element(By.CSS_SELECTOR, "[data-do=history]").click()
        wait(browser, lambda b: "The server does not answer" in message(b))
        press(browser, "a")
        wait(browser, lambda b: "The server does not answer" in message(b))
        browser.get_log("browser")  # the blocked requests are what is tested
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        browser.find_element(By.CSS_SELECTOR, ".item.text").click()
        press(browser, "a")
        wait(browser, lambda b: items(b) == ["accepted", "pending", "pending"])


def write(browser: Browser, text: str) -> None:
    """Open the editor of the text in focus and replace its words; they are not saved."""
    press(browser, "e")
    wait(browser, lambda b: b.switch_to.active_element.tag_name == "textarea")
    box = browser.switch_to.active_element
    box.clear()
    box.send_keys(text)  # which focuses it again


def boxes(browser: Browser) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('.text textarea')].map(e => e.value)")


def test_words_that_were_typed_outlive_a_decision_on_another_text_and_another_page(
    filled: Path, open_browser: Open
) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=decomposition")
        write(browser, "an arm is lifted")
        browser.find_elements(By.CSS_SELECTOR, ".item.text")[2].click()
        browser.find_element(By.CSS_SELECTOR, "[data-do=reject]").click()
        wait(browser, lambda b: items(b) == ["pending", "pending", "rejected"])
        assert boxes(browser) == ["an arm is lifted"]
        leaving = "const e = new Event('beforeunload', {cancelable: true}); dispatchEvent(e); return e.defaultPrevented"
        assert browser.execute_script(leaving)  # the browser asks before it leaves
        browser.find_element(By.CSS_SELECTOR, "[rel=next]").click()
        wait(browser, lambda b: "/class/1" in b.current_url)
        assert not browser.execute_script(leaving)
        browser.get(f"{address}/class/0?kind=decomposition")
        assert boxes(browser) == ["an arm is lifted"]
        browser.find_element(By.CSS_SELECTOR, ".text textarea").send_keys(Keys.CONTROL, Keys.ENTER)
        wait(browser, lambda b: words(b)[0] == "an arm is lifted")
        assert boxes(browser) == []


def test_after_a_conflict_one_of_two_texts_is_chosen_in_its_card(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as annas, served(filled, "ben") as bens:
        anna, ben = open_browser(), open_browser()
        for mine, text in (("use-mine", "ben's words"), ("keep-theirs", "anna's words, again")):
            anna.get(f"{annas}/class/0?kind=decomposition&status=pending")
            ben.get(f"{bens}/class/0?kind=decomposition")
            ben.execute_script("document.querySelector('.text[data-status=pending]').focus()")
            write(ben, "ben's words")
            write(anna, text if mine == "keep-theirs" else "anna's words")
            anna.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
            wait(anna, lambda b: "Edited, and accepted" in message(b))
            ben.switch_to.active_element.send_keys(Keys.CONTROL, Keys.ENTER)
            wait(ben, lambda b: b.find_elements(By.CSS_SELECTOR, ".item .conflict"))
            card = ben.find_element(By.CSS_SELECTOR, ".item .conflict")
            assert "anna changed this text before you" in card.text
            assert "anna's words" in card.text
            assert "ben's words (accepted)" in card.text
            assert not re.search(r"version|\bid\b", card.text)
            card.find_element(By.CSS_SELECTOR, f"[data-do={mine}]").click()
            wait(ben, lambda b: not b.find_elements(By.CSS_SELECTOR, ".item .conflict"))
            wait(ben, lambda b, text=text: text in words(b))  # type: ignore[misc]
            assert boxes(ben) == []


def test_a_filter_is_a_queue_and_other_texts_are_folded(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?q=RAISED")
        unfolded = "return [...document.querySelectorAll('.item')].filter(e => e.checkVisibility()).length"
        assert browser.execute_script(unfolded) == 1
        assert browser.find_element(By.TAG_NAME, "mark").text == "raised"
        assert "1 pending" in browser.find_element(By.CSS_SELECTOR, "#class .bar").text
        press(browser, "j", "j")  # there is no other one
        assert focused(browser) == "a hand is raised 0"
        press(browser, "A")
        wait(browser, lambda b: "/class/1" in b.current_url)
    found = statuses(filled, "brush_hair")
    assert [text for text, status in found.items() if status == "accepted"] == ["a hand is raised 0"]


def test_single_keys_need_the_focus_and_can_be_turned_off(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.get(f"{address}/class/0?kind=decomposition")
        browser.execute_script("document.activeElement.blur()")
        press(browser, "a", "r", "u")
        browser.execute_script("document.querySelector('.item').focus()")
        press(browser, "?")
        wait(browser, lambda b: b.find_element(By.ID, "help").is_displayed())
        browser.find_element(By.ID, "single-keys").click()
        browser.find_element(By.CSS_SELECTOR, "#help button").click()
        press(browser, "a", "r", Keys.ARROW_DOWN)
        assert focused(browser) == ODD  # arrows are no characters
        browser.get(f"{address}/class/0?kind=decomposition")  # it stays off
        press(browser, "a")
        assert items(browser) == ["pending"] * 3
    assert set(statuses(filled, "brush_hair").values()) == {"pending"}


def test_nothing_covers_the_focus(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.set_window_size(420, 520)
        browser.get(f"{address}/class/0")
        covered = (
            "const e = document.activeElement, r = e.getBoundingClientRect();"
            "const m = document.getElementById('message').getBoundingClientRect();"
            "const t = document.querySelector('.top'), sticky = getComputedStyle(t).position == 'sticky';"
            "const top = sticky ? t.getBoundingClientRect().bottom : 0;"
            "return e.closest('.top, .skip') || r.height > innerHeight - top || !(m.height && r.bottom > m.top + 1)"
            " && r.top >= top - 1 ? '' : [e.outerHTML.slice(0, 90), r.top, r.bottom, top, m.top].join(' ')"
        )
        for key in ("j",) * 5 + ("k",) * 5 + (Keys.TAB,) * 30 + (Keys.SHIFT + Keys.TAB,) * 30:
            ActionChains(browser).send_keys(key).perform()
            assert browser.execute_script(covered) == "", key
        browser.execute_script("[...document.querySelectorAll('.item')].at(-1).focus()")
        press(browser, "u")  # there is nothing to undo, and a message says so
        wait(browser, lambda b: message(b) != "")
        browser.get_log("browser")  # the refused undo is meant
        assert browser.execute_script(covered) == ""


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
        assert browser.execute_script("return document.getElementById('sheet').scrollTop") == 0
        press(browser, Keys.ESCAPE)
        browser.find_elements(By.CSS_SELECTOR, ".item.text")[1].click()
        browser.find_element(By.CSS_SELECTOR, "[data-do=history]").click()
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
        wait(browser, lambda b: "Accepted 3 texts; one undo restores them" in message(b))
        accepted = {text for text, status in statuses(filled, "catch").items() if status == "accepted"}
        assert accepted == {"a wooden bat"}
        press(browser, "u")
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "button[data-all=accept]"))
        wait(browser, lambda b: "Undone: 3 texts are as before (3 pending)" in message(b))
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
        conflict = ben.find_element(By.CSS_SELECTOR, ".item .conflict").text
        assert "anna rejected this text before you. Nothing was changed." in conflict
        assert re.search(r"Theirs\s+a hand is raised 0 \(rejected\)\s+Yours\s+accepted", conflict)
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


PHONE = {"width": 390, "height": 780, "deviceScaleFactor": 2, "mobile": True}
BAR = "const r = document.querySelector('.actions').getBoundingClientRect(); return [r.top, r.bottom, r.left, r.right]"


def test_thirty_decisions_over_three_classes_take_thirty_keys(
    filled: Path, descgen: Run, open_browser: Open, tmp_path: Path
) -> None:
    more = {name: [f"a thing {n} of {name}" for n in range(4)] for name in ("brush_hair", "cartwheel", "catch")}
    (tmp_path / "more.json").write_text(json.dumps(more))
    assert descgen("import", tmp_path / "more.json", "-d", "hmdb51", "-k", "objects").exit_code == 0
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
        browser.get(f"{address}/class/0")
        bar = browser.execute_script(BAR)
        for number, key in enumerate("arara" * 6, start=1):
            press(browser, key)
            wait(browser, lambda b, n=number: b.find_element(By.ID, "decided").text == str(n))  # type: ignore[misc]
            wait(browser, lambda b, n=number: n == 30 or focused(b) != "")  # type: ignore[misc]
            assert browser.execute_script(BAR) == bar
        assert bar[1] == 780  # at the lower edge
        assert "Everything that matches is decided" in message(browser)
        assert "left" not in browser.find_element(By.ID, "left").text
    found = [status for name in more for status in statuses(filled, name).values()]
    assert (found.count("accepted"), found.count("rejected")) == (18, 12)


def test_it_fits_a_phone_and_follows_a_dark_system(filled: Path, open_browser: Open) -> None:
    with served(filled, "anna") as address:
        browser = open_browser()
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        )
        light = dark = ""
        browser.get(f"{address}/class/0")
        browser.find_element(By.CSS_SELECTOR, "[data-do=accept]").click()
        wait(browser, lambda b: "Accepted" in message(b))
        for page in ("/", "/class/0", "/compare", "/log"):
            browser.get(address + page)
            wide = browser.execute_script("return document.documentElement.scrollWidth")
            assert wide <= 360, page
            narrow = browser.execute_script(
                "return Math.min(...[...document.querySelectorAll('td')].map(e => e.clientWidth))"
            )
            assert page != "/log" or narrow > 300  # a decision is read line by line
            assert browser.find_element(By.CSS_SELECTOR, ".top [data-do=undo]").is_displayed()
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
