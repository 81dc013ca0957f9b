"""Ctrl-C, SIGTERM and a closed terminal before a command has anything to keep: one line and exit code 130."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

WAITING = """
import sys

def encoder():
    print("opening", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_still_opens_its_encoder_ends_in_one_line(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "own_model.py").write_text(WAITING)
    (tmp_path / "labels.txt").write_text("riding a bike\ntalking\n")
    (tmp_path / "clip.mp4").write_bytes(b"")
    command = ("predict", "clip.mp4", "--labels", "labels.txt", "--encoder", "own_model:encoder")
    process = subprocess.Popen(
        [sys.executable, "-m", "recognizer", "--db", "new.db", *command],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "opening\n"
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "Stopped. What was stored stays; run the same command to continue"
    assert "Traceback" not in errors
