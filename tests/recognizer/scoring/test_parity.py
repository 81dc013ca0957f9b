"""Every method against the reference that its test module offers, on a random case; and the table of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recognizer.scoring.methods import METHODS
from tests.fixtures.parity import differences, references, references_together

DOCUMENT = Path(__file__).parents[3] / "docs" / "methods.md"
AGAIN = "make the table again: python docs/parity.py"


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_its_reference(method: str) -> None:
    offered = references()
    if method not in offered:
        pytest.skip(f"no module offers a reference of {method} as PARITY")
    double, single = differences(method, offered[method], seed=100)
    assert double < 1e-9
    assert single < 1e-5


def test_the_table_has_every_method_and_what_it_follows() -> None:
    table = DOCUMENT.read_text().split("<!-- parity -->")[1].split("<!-- end of the parity -->")[0]
    rows = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    ways = {f"--transductive {way}": reference for way, reference in references_together().items()}
    assert rows.keys() == METHODS.keys() | ways.keys(), AGAIN
    for way, offered in ways.items():
        assert f"| {offered.follows} |" in rows[way], AGAIN
        assert float(rows[way].strip(" |").split(" | ")[-2]) < 1e-5, AGAIN
    for method, reference in references().items():
        assert f"| {reference.follows} |" in rows[method], AGAIN
        double, single = map(float, rows[method].strip(" |").split(" | ")[-2:])
        assert double < 1e-9, AGAIN
        assert single < 1e-5, AGAIN
