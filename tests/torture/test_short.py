"""The short form of `make torture`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.__main__ import SHORT, run, table


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_or_paid_twice(name: str, tmp_path: Path) -> None:
    [found] = run({name: SHORT[name]}, tmp_path, seed=13)
    assert not found.faults, table([found])
    if found.not_run:
        pytest.skip(found.not_run)
