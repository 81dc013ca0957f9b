"""Modules that load without the garbage collector: it is on again afterwards, whatever happens."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from db.imports import uncollected


def test_the_collector_is_off_inside_and_on_again_afterwards() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), uncollected():
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_only_what_modules_made_is_left_out_of_collections() -> None:
    code = (
        "import gc; from db.imports import uncollected\n"
        "with uncollected(): pass\n"
        "assert gc.get_freeze_count() == 0\n"
        "with uncollected(): import decimal\n"
        "assert gc.get_freeze_count() > 0"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_everything_is_collected_when_the_program_ends() -> None:
    code = (
        "import atexit, gc; from db.imports import uncollected\n"
        "atexit.register(lambda: print(gc.get_freeze_count()))\n"  # the first to register is the last to run
        "with uncollected(): import decimal\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")
