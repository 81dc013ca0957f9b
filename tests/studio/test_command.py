"""The options of `descgen review` about videos."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.commands import Run
from tests.fixtures.reviewed import filled

__all__ = ["filled"]  # fixture


@pytest.mark.parametrize("option", [("--videos", "."), ("--encoder", "objects")])
def test_a_terminal_shows_no_frames(option: tuple[str, str], filled: str, descgen: Run) -> None:
    result = descgen("review", "-d", "hmdb51", "--tui", *option)
    assert result.exit_code == 2
    assert "leave out either --tui or them" in result.output


def test_the_folder_of_videos_exists(filled: str, descgen: Run, tmp_path: Path) -> None:
    result = descgen("review", "-d", "hmdb51", "--videos", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "does not exist" in result.output
