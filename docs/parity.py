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
from recognizer.scoring.transductive import TRANSDUCTIVE  # noqa: E402
from tests.fixtures.parity import (  # noqa: E402
    Reference,
    Together,
    differences,
    references,
    references_together,
)

CASES = 20
BETWEEN = re.compile(r"(?<=<!-- parity -->\n).*(?=<!-- end of the parity -->)", re.DOTALL)


def main() -> None:
    """Replace what stands between the marks."""
    offered = references()
    together = references_together()
    rows = [_row(method, offered.get(method)) for method in METHODS]
    rows += [_row_together(way, together[way]) for way in TRANSDUCTIVE]
    heads = ["| method | follows | double | single |", "|---|---|--:|--:|"]
    table = "\n".join(
        [
            *heads,
            *rows,
            "",
            f"Largest difference of a score (with `--transductive`: of a prediction) in {CASES} random cases.",
        ]
    )
    document = FOLDER / "methods.md"
    text = document.read_text(encoding="utf-8")
    document.write_text(BETWEEN.sub(lambda _: f"\n{table}\n\n", text), encoding="utf-8")


def _row(method: str, reference: Reference | None) -> str:
    if reference is None:
        return f"| `{method}` | no reference in the tests | | |"
    double, single = map(max, zip(*(differences(method, reference, seed=seed) for seed in range(CASES)), strict=True))
    return f"| `{method}` | {reference.follows} | {double:.0e} | {single:.0e} |"


def _row_together(way: str, reference: Together) -> str:
    largest = max(reference.difference(seed) for seed in range(CASES))
    return f"| `--transductive {way}` | {reference.follows} | {largest:.0e} | computed in double |"


if __name__ == "__main__":
    main()
