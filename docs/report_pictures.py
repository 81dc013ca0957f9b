"""Make the pictures of docs/report.md from a page that `recognize report` wrote: docs/report_pictures.py run-1.html."""

from __future__ import annotations

import argparse
from pathlib import Path

from screenshots import PICTURES, browser, take
from selenium.webdriver.common.by import By


def main() -> None:
    """Take the top of the page, and the first video on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    address = parser.parse_args().page.resolve().as_uri()
    PICTURES.mkdir(exist_ok=True)
    window = browser()
    take(window, address, PICTURES / "report.png", "light", "")
    window.find_element(By.CSS_SELECTOR, ".video").screenshot(str(PICTURES / "report-video.png"))
    window.quit()


if __name__ == "__main__":
    main()
