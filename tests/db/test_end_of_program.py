"""A program ends its process at once, and nothing that is to be done at its end is left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import atexit, sys, threading, time
import click
from db.program import run

class Resource:
    def __del__(self):
        print("taken apart", flush=True)

kept = Resource()

@click.command()
@click.argument("how")
def program(how):
    atexit.register(print, "at exit")
    threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
    sys.stdout.write("output\\n")
    if how == "error":
        raise RuntimeError("a fault")
    if how == "flush":
        sys.stdout.flush()
    sys.exit(int(how) if how.isdecimal() else how or None)

run(program, "program")
"""


def ended(how: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("how", "code"), [("0", 0), ("", 0), ("3", 3), ("256", 0)])
def test_all_is_done_but_nothing_taken_apart(how: str, code: int) -> None:
    process = ended(how)
    assert (process.stdout, process.stderr) == ("output\nthread\nat exit\n", "")
    assert process.returncode == code


def test_an_error_ends_as_python_ends() -> None:
    process = ended("error")
    assert process.stderr.endswith("RuntimeError: a fault\n")
    assert process.returncode == 1
    process = ended("a message")
    assert (process.stderr, process.returncode) == ("a message\n", 1)


def ended_without_room(how: str) -> subprocess.CompletedProcess[str]:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        return subprocess.run(
            [sys.executable, "-c", SCRIPT, how], stdout=full, stderr=subprocess.PIPE, text=True, env=buffered
        )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("how", ["0", "flush", "--help"])
def test_output_that_finds_no_room_is_told_in_one_line(how: str) -> None:
    process = ended_without_room(how)
    told = "Error: Not all could be written: No space left on device. Make room, then run the same again\n"
    assert (process.stderr, process.returncode) == (told, 1)
