"""Frames beside the texts of a class, in a real Chromium: tints, verdicts, chips, and what happens without videos."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from urllib.request import urlopen

import pytest
from selenium.webdriver.common.keys import Keys

from db.store import Store
from encoders.registry import find_encoder
from tests.fixtures.axe import faults, look, needs_axe
from tests.fixtures.browser import CHROMIUM, DRIVER, Browser, Open, open_browser, press, served, wait
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run
from tests.fixtures.reviewed import filled
from tests.fixtures.studio import evaluated, many, serving
from tests.fixtures.videos import CLIPS, needs_clips

__all__ = ["balls", "encoder", "filled", "open_browser"]  # fixtures

in_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium: apt install chromium chromium-driver")


def tinted(browser: Browser) -> list[tuple[str, str, str]]:
    """Return (level, number, accessible name) of each frame, read at one moment."""
    script = (
        "return [...document.querySelectorAll('.strip li')].map((frame) =>"
        " [frame.className, frame.querySelector('.cosine').textContent, frame.querySelector('img').alt])"
    )
    return [tuple(frame) for frame in browser.execute_script(script)]


def shown(browser: Browser) -> bool:
    """Whether the frames are there and each text has its verdict."""
    return bool(tinted(browser)) and all(tinted(browser)[0]) and bool(verdicts(browser))


def settle(browser: Browser) -> None:
    """Leave the page, so that no picture is asked for when the server has stopped."""
    browser.get("about:blank")


def verdicts(browser: Browser) -> list[str]:
    script = "return [...document.querySelectorAll('.item.text .verdict')].map((said) => said.textContent)"
    return list(browser.execute_script(script))


def chips(browser: Browser) -> list[str]:
    script = "return [...document.querySelectorAll('.item.text .chip')].map((chip) => chip.textContent)"
    return list(browser.execute_script(script))


@in_browser
def test_the_text_in_focus_tints_the_frames_it_fires_on(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, open_browser: Open
) -> None:
    number = evaluated(descgen, recognize, many(balls))
    with serving(store, features) as address:
        browser = open_browser()
        browser.get(f"{address}/class/1")  # green balls
        wait(browser, shown)
        names = [e.text for e in browser.find_elements("css selector", ".clips h2")]
        assert names[0].lower() == "green ball"
        assert verdicts(browser) == ["fires on its own class", "fires more on red ball than on its own class"]
        assert browser.switch_to.active_element.text.startswith("a green thing")
        green = tinted(browser)
        assert len(green) == 4 * (3 + 2)  # frames of three clips of the class, and of two of another
        assert {level for level, _, _ in green[:12]} == {"t8"}
        assert all(float(cosine) > 0.95 for _, cosine, _ in green[:12])
        assert all(float(cosine) < 0.2 and level in ("t0", "t1") for level, cosine, _ in green[12:])
        assert green[0][2] == f"Frame 1 of 4, cosine {green[0][1]}"
        press(browser, "j")
        wait(browser, lambda b: tinted(b) != green)
        assert all(float(cosine) < 0.2 for _, cosine, _ in tinted(browser)[:12])
        about = browser.find_element("id", "about-text").text
        assert "AUROC" in about
        more = browser.find_element("id", "more-about-text").text
        assert "AUROC of 5 videos of its class against 10 others" in more
        assert "Without this text, " in more
        facts = browser.find_element("css selector", ".evaluated").text
        assert f"Settings of run {number}: fake, protocol default, method mean" in facts
        assert "15 videos, 1 left out: 1 unreadable" in facts
        assert "by labels alone" in facts
        low, high = (float(browser.find_element("css selector", f".scale .{end}").text) for end in ("low", "high"))
        assert low < 0.2
        assert high > 0.95
        settle(browser)


@in_browser
def test_a_decision_counts_again_and_an_edit_is_compared(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls))
    with serving(store, features) as address:
        browser = open_browser()
        browser.get(f"{address}/class/1")
        wait(browser, shown)
        assert len(chips(browser)) == 2
        assert all(re.match(r"no effect|(costs|earns) \d+ of 15 videos", chip) for chip in chips(browser))
        press(browser, "j", "r")  # the text about red things is rejected
        wait(browser, lambda b: len(b.find_elements("css selector", ".item.rejected")) == 1)
        wait(browser, lambda b: len(chips(b)) == 1 and "again" not in chips(b)[0])
        assert len(verdicts(browser)) == 2  # but it is still compared with frames
        press(browser, "k")
        wait(browser, lambda b: b.switch_to.active_element.text.startswith("a green thing"))
        press(browser, "e")
        box = browser.switch_to.active_element
        box.clear()
        box.send_keys("a blue thing", Keys.CONTROL, Keys.ENTER)
        wait(browser, lambda b: "/class/2" in b.current_url)  # this class is done
        browser.get(f"{address}/class/1")
        wait(browser, lambda b: "fires more on blue ball than on its own class" in verdicts(b))
        settle(browser)


@in_browser
def test_a_video_that_cannot_be_read_is_grey_and_says_why(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls))
    with serving(store, features) as address:
        answer = json.loads(urlopen(f"{address}/videos").read())  # noqa: S310 - our own server
        assert set(answer) == {"loading", "note", "videos"}
        browser = open_browser()
        browser.get(f"{address}/class/2")
        wait(browser, shown)
        for folder in (balls / "green_ball").iterdir():
            shutil.rmtree(folder)
        browser.get(f"{address}/class/1")
        wait(browser, shown)
        wait(browser, lambda b: b.find_elements("css selector", ".strip .missing"))
        assert "The video cannot be read" in browser.find_element("css selector", ".strip .missing").text
        assert str(balls) not in browser.find_element("css selector", ".strip .missing").text
        wait(browser, lambda b: any("The video cannot be read" in name for _, _, name in tinted(b)))
        settle(browser)


@in_browser
def test_without_a_run_the_review_is_as_before(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, open_browser: Open
) -> None:
    file = balls.parent / "context.json"
    file.write_text(json.dumps({name: ["a ball"] for name in ("blue_ball", "green_ball", "red_ball")}))
    assert descgen("import", file, "-d", balls, "-k", "context").exit_code == 0
    with serving(store, features) as address:
        browser = open_browser()
        browser.get(f"{address}/class/1")
        wait(browser, lambda b: not b.find_elements("id", "frames"))
        press(browser, "a")
        wait(browser, lambda b: "/class/2" in b.current_url)
        assert not browser.find_elements("id", "frames")
        assert verdicts(browser) == []


@in_browser
def test_videos_that_are_gone_are_said_in_a_line_and_decisions_go_on(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls))
    balls.rename(balls.parent / "elsewhere")
    with serving(store, features) as address:
        browser = open_browser()
        browser.get(f"{address}/class/1")
        wait(browser, lambda b: "Videos are not shown" in b.find_element("css selector", ".frames .note").text)
        assert str(balls.parent) not in browser.page_source
        press(browser, "a")
        wait(browser, lambda b: b.find_elements("css selector", ".item.accepted"))


@in_browser
def test_on_a_phone_the_frames_are_folded_above_the_texts(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls))
    with serving(store, features) as address:
        browser = open_browser()
        look(browser, "phone")
        browser.get(f"{address}/class/0")
        wait(browser, shown)
        details = browser.find_element("css selector", ".clips")
        assert details.get_attribute("open") is None
        browser.find_element("css selector", ".clips summary").click()
        wait(browser, lambda b: b.execute_script("return document.querySelector('.thumb').naturalWidth > 8"))
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        settle(browser)


@in_browser
@needs_axe
def test_axe_finds_nothing_beside_frames(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path, open_browser: Open
) -> None:
    evaluated(descgen, recognize, many(balls))
    with serving(store, features) as address:
        browser = open_browser()
        for name in ("light", "dark", "phone"):
            look(browser, name)
            browser.get(f"{address}/class/1")
            wait(browser, shown)
            browser.execute_script("document.querySelector('.clips').open = true")
            for key in ("j", "k"):
                press(browser, key)
                assert faults(browser) == [], (name, key)
        settle(browser)


@in_browser
@needs_clips
@pytest.mark.slow
def test_real_clips_have_their_frames(
    filled: str, recognize: Run, features: Path, open_browser: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        find_encoder("objects").encode_texts(["a cartwheel"])
    except Exception as error:  # the weights are packages that need not be there
        pytest.skip(str(error))
    root = CLIPS / "hmdb51"
    embedded = recognize("embed", "-d", "hmdb51", "--root", root, "-e", "objects")
    assert embedded.exit_code == 0, embedded.output
    with served(filled, "anna", "--videos", str(root), "--encoder", "objects") as address:
        browser = open_browser()
        browser.get(f"{address}/class/1")
        wait(browser, lambda b: b.find_elements("css selector", ".clips, .frames.failed"))
        if not browser.find_elements("css selector", ".strip"):  # the clip of the split is of the other class
            browser.get(f"{address}/class/50")
        wait(browser, lambda b: b.execute_script("return (document.querySelector('.thumb') || {}).naturalWidth > 8"))
        wait(browser, lambda b: len(tinted(b)) >= 8 and all(tinted(b)[0]))
        assert len(tinted(browser)) % 8 == 0
        assert len({float(cosine) for _, cosine, _ in tinted(browser)}) > 4
        settle(browser)
