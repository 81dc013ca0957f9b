"""Make the pictures of docs/review.md from a database: python docs/screenshots.py demo.db [--dataset hmdb51]."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

PICTURES = Path(__file__).parent / "pictures"
PAGES = {
    "overview": "/",
    "class": "/class/35",
    "compare": "/compare?kind=decomposition",
}
SIZES = {"": (1280, 800, False), "-phone": (390, 780, True)}


@contextmanager
def served(database: str, dataset: str) -> Iterator[str]:
    """Run the review application; yield its address."""
    command = [Path(sys.executable).parent / "descgen", "--db", database, "review", "-d", dataset, "--no-browser"]
    server = subprocess.Popen([*command, "--reviewer", "anna"], stderr=subprocess.PIPE, text=True)  # noqa: S603
    try:
        match = re.search(r"http://\S+", server.stderr.readline() if server.stderr else "")
        if match is None:
            sys.exit("descgen review did not start")
        yield match.group().rstrip("/")
    finally:
        server.terminate()
        server.wait(20)


def browser() -> webdriver.Chrome:
    """Return a headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or sys.exit("no chromium: apt install chromium chromium-driver")
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--force-color-profile=srgb"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def main() -> None:
    """Take a picture of each page, light and dark, and of a class on a phone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database")
    parser.add_argument("--dataset", default="hmdb51")
    options = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with served(options.database, options.dataset) as address:
        window = browser()
        for name, path in PAGES.items():
            for scheme in ("light", "dark"):
                take(window, address + path, PICTURES / f"review-{name}-{scheme}.png", scheme, "")
        take(window, address + PAGES["class"], PICTURES / "review-class-phone.png", "light", "-phone")
        window.quit()


def take(window: webdriver.Chrome, url: str, file: Path, scheme: str, size: str, *, ready: str = "return true") -> None:
    """Write a picture of one page, once the script `ready` says that it is whole."""
    width, height, mobile = SIZES[size]
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    window.get(url)
    WebDriverWait(window, 120).until(lambda browser: browser.execute_script(ready))
    window.save_screenshot(str(file))


if __name__ == "__main__":
    main()
