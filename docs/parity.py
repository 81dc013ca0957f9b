"""Make the table of references in docs/methods.md again: python docs/parity.py, in about ten seconds.

The references are those of the tests (`PARITY` in tests/recognizer/scoring, see tests/fixtures/parity.py).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))  # the tests are not installed

from recognizer.scoring.methods import METHODS  # noqa: E402
from tests.fixtures.parity import Reference, differences, references  # noqa: E402

CASES = 20
BETWEEN = re.compile(r"(?<=<!-- parity -->\n).*(?=<!-- end of the parity -->)", re.DOTALL)


def main() -> None:
    """Replace what stands between the marks."""
    offered = references()
    rows = [_row(method, offered.get(method)) for method in METHODS]
    heads = ["| method | follows | double | single |", "|---|---|--:|--:|"]
    table = "\n".join([*heads, *rows, "", f"Largest difference of a score in {CASES} random cases of 8 videos."])
    document = FOLDER / "methods.md"
    text = document.read_text(encoding="utf-8")
    document.write_text(BETWEEN.sub(lambda _: f"\n{table}\n\n", text), encoding="utf-8")


def _row(method: str, reference: Reference | None) -> str:
    if reference is None:
        return f"| `{method}` | no reference in the tests | | |"
    double, single = map(max, zip(*(differences(method, reference, seed=seed) for seed in range(CASES)), strict=True))
    return f"| `{method}` | {reference.follows} | {double:.0e} | {single:.0e} |"


if __name__ == "__main__":
    main()
