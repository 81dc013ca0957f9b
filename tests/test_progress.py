"""Commands that take long show how long they still take, wherever there is a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

from db.records import STATUSES
from db.store import Store
from descriptor_gen.lint.rules import Limits, lint
from descriptor_gen.lint.similarity import similarity
from encoders.testing import FakeEncoder
from tests.fixtures.commands import Run


def texts(folder: Path) -> Path:
    """Write a file with 306 texts about 51 classes."""
    file = folder / "mine_context.json"
    actions = Store.open("sqlite://").dataset("hmdb51").actions
    file.write_text(json.dumps({a.name: [f"{a.phrase} in the place {n}" for n in range(6)] for a in actions}))
    return file


def on_terminal(*command: object) -> str:
    """Run `descgen` with standard error on a terminal; return what was shown there."""
    ours, theirs = pty.openpty()
    code = "from descriptor_gen.cli import descgen; descgen()"
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    arguments = [sys.executable, "-c", code, *map(str, command)]
    running = subprocess.Popen(arguments, stderr=theirs, stdout=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert running.wait(600) == 0, shown
    return shown.decode()


def test_an_import_shows_the_time_left_on_a_terminal_alone(db_url: str, descgen: Run, tmp_path: Path) -> None:
    file = texts(tmp_path)
    shown = on_terminal("--db", db_url, "import", file, "-d", "hmdb51")
    assert "306/306" in shown
    assert "left" in shown
    again = descgen("import", file, "-d", "hmdb51")
    assert (again.exit_code, again.stderr) == (0, "")


def test_texts_are_counted_while_they_are_encoded(store: Store, descgen: Run, tmp_path: Path) -> None:
    descgen("import", texts(tmp_path), "-d", "hmdb51")
    dataset = store.dataset("hmdb51")
    descriptors = store.descriptors(dataset, statuses=STATUSES)
    counted: list[tuple[int, int]] = []

    def advance(done: int, total: int) -> None:
        counted.append((done, total))

    similarity(dataset, descriptors, FakeEncoder(), on_batch=advance)
    assert counted == [(128, 357), (256, 357), (357, 357)]
    counted.clear()
    lint(
        dataset,
        descriptors,
        limits=Limits(),
        encoder=FakeEncoder(),
        on_batch=lambda done, total: counted.append((done, total)),
    )
    assert counted[-1] == (357, 357)
