"""Progress of long work: bars with the time left on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
NESTED = """
from db.commandline import progress
with progress("videos", "videos") as outer:
    outer(1, 4)
    for _ in range(2):
        with progress("texts", "texts") as inner:
            inner(3, 7)
            inner(7, 7)
    outer(4, 4)
with progress("again", "runs") as last:
    last(1, 1)
"""


def test_a_bar_within_a_bar_stands_below_it() -> None:
    """A terminal has one place for bars: a second one there used to be an error of the library."""
    ours, theirs = pty.openpty()
    command, environment = [sys.executable, "-c", NESTED], {**os.environ, "COLUMNS": "100"}
    with subprocess.Popen(command, stderr=theirs, cwd=ROOT, env=environment) as process:
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
    os.close(ours)
    assert process.returncode == 0, shown.decode()
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()))
    assert any("videos " in line and "texts " in below for line, below in pairwise(lines)), lines
    assert all("left" in line for line in lines if "━" in line)
    assert any("again" in line for line in lines)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # what Linux answers when the other side is closed
        return b""


def test_without_a_terminal_progress_is_lines() -> None:
    command = [sys.executable, "-c", NESTED]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stderr.splitlines() == [
        "videos: 1/4 videos", "texts: 3/7 texts", "texts: 7/7 texts", "texts: 3/7 texts", "texts: 7/7 texts",
        "videos: 4/4 videos", "again: 1/1 runs",
    ]  # fmt: skip
