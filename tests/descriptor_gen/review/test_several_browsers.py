"""Several reviewers, each in a Chromium: what others did meanwhile, and a blind review until it is settled."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from db.store import Store
from tests.fixtures.browser import CHROMIUM, DRIVER, Browser, Open, open_browser, press, served_to_several, wait
from tests.fixtures.reviewed import filled

__all__ = ["filled", "open_browser"]  # fixtures

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")


def items(browser: Browser) -> list[str]:
    return browser.execute_script("return [...document.querySelectorAll('.item.text')].map(e => e.dataset.status)")


def shown(browser: Browser, element: str) -> str:
    return str(browser.find_element(By.ID, element).text)


def at(address: str, path: str) -> str:
    """Return the address of a page, with the secret of a reviewer's own address."""
    base, secret = address.split("/?")
    return f"{base}{path}{'&' if '?' in path else '?'}{secret}"


def test_what_another_changes_is_told_and_loaded_without_moving_the_focus(filled: str, open_browser: Open) -> None:
    with served_to_several(filled, "--reviewers", "anna,bob", "--overlap", "1") as addresses:
        anna, bob = open_browser(), open_browser()
        anna.get(at(addresses["anna"], "/class/0?kind=decomposition"))
        assert "token" not in anna.current_url
        press(anna, "j", "e")
        wait(anna, lambda b: b.switch_to.active_element.tag_name == "textarea")
        box = anna.switch_to.active_element
        box.clear()
        box.send_keys("words of anna")
        bob.get(at(addresses["bob"], "/class/0?kind=decomposition"))
        press(bob, "a")
        wait(bob, lambda b: items(b)[0] == "accepted")
        press(bob, "j", "r")
        wait(bob, lambda b: items(b) == ["accepted", "pending", "rejected"])
        wait(anna, lambda b: "bob changed 2 texts here" in shown(b, "presence"))  # within 15 seconds
        assert anna.switch_to.active_element == box  # the focus stays, and the words
        assert box.get_attribute("value") == "words of anna"
        assert items(anna) == ["pending"] * 3
        covered = anna.execute_script(
            "const box = document.activeElement.getBoundingClientRect();"
            "return box.top < document.querySelector('.top').getBoundingClientRect().bottom"
        )
        assert covered is False
        anna.find_element(By.CSS_SELECTOR, "#presence button").click()
        wait(anna, lambda b: items(b) == ["accepted", "pending", "rejected"])
        assert shown(anna, "presence") == ""
        assert anna.find_element(By.TAG_NAME, "textarea").get_attribute("value") == "words of anna"
        anna.find_element(By.TAG_NAME, "textarea").send_keys(Keys.CONTROL, Keys.ENTER)
        wait(anna, lambda b: "/class/1" in b.current_url)  # the class is done
    store = Store.open(filled, create=False)
    accepted = [text.text for text in store.descriptors(store.dataset("hmdb51"), statuses=("accepted",))]
    store.close()
    assert accepted == ["a hand is raised 0", "words of anna"]


def test_a_blind_review_from_the_first_verdict_to_the_last_decision(filled: str, open_browser: Open) -> None:
    with served_to_several(filled, "--reviewers", "anna,bob", "--blind", "--overlap", "1") as addresses:
        anna, bob, settler = open_browser(), open_browser(), open_browser()
        for browser, name, keys in ((anna, "anna", "aar"), (bob, "bob", "ara")):
            browser.get(at(addresses[name], "/class/0?kind=decomposition"))
            assert items(browser) == ["pending"] * 3
            press(browser, *keys)
            wait(browser, lambda b: "/class/1" in b.current_url)
        for browser, other in ((anna, "bob"), (bob, "anna")):
            for page in ("/", "/class/0", "/log", "/reviewers", "/compare"):
                browser.get(at(addresses["anna" if other == "bob" else "bob"], page))
                assert other not in browser.page_source
        anna.get(at(addresses["anna"], "/class/0"))
        press(anna, "e")
        assert "A blind review changes no text" in shown(anna, "message")
        assert anna.find_elements(By.TAG_NAME, "textarea") == []
        settler.get(at(addresses["to settle"], "/disagreements"))
        assert items(settler) == ["pending"] * 2
        settler.find_element(By.CSS_SELECTOR, "[data-settle=accept][data-which=agreed]").click()
        press(settler, Keys.TAB, Keys.ENTER)  # Confirm
        wait(settler, lambda b: shown(b, "message") == "Accepted")
        wait(settler, lambda b: b.switch_to.active_element.text == "brushing hair")  # of the first text that differs
        press(settler, "a")
        wait(settler, lambda b: sorted(items(b)) == ["accepted", "pending"])
        press(settler, "u")
        wait(settler, lambda b: items(b) == ["pending"] * 2)
        press(settler, "a")
        wait(settler, lambda b: sorted(items(b)) == ["accepted", "pending"])
        press(settler, "r")
        wait(settler, lambda b: sorted(items(b)) == ["accepted", "rejected"])
        anna.get(at(addresses["anna"], "/class/0?kind=decomposition"))
        assert items(anna) == ["accepted", "accepted", "rejected"]  # her own verdicts, whatever was settled
    store = Store.open(filled, create=False)
    events = store.reviews().events(store.dataset("hmdb51"))
    assert [event.what for event in events] == ["accept", "accept", "undo", "accept", "reject"]
    assert {event.reviewer for event in events}.isdisjoint({"anna", "bob"})
    store.close()
