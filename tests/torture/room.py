"""Where a scenario works: its folder, its chance, an LLM server that counts, and what it found."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, text

from tests.fixtures.chat_server import ChatServer, listening
from tests.torture.calls import CONCURRENCY, CallLog, LoggingHandler, Stop

CALLS = 51  # of one kind of hmdb51
PATIENCE = 300.0  # seconds after which a process that hangs is ended
Process = subprocess.Popen[str]


@dataclass
class Found:
    """What one scenario found.

    Attributes:
        lost: what a process said was stored or decided, and is not; and files that fail an integrity check.
        in_flight: calls that a killed or suspended process had made and not yet stored: they are made again.
        not_run: why it could not be run.
    """

    name: str
    tries: int = 0
    lost: int = 0
    paid_twice: int = 0
    in_flight: int = 0
    tracebacks: int = 0
    failed: int = 0
    not_run: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return self.lost + self.paid_twice + self.tracebacks + self.failed

    def lose(self, what: str, count: int = 1) -> None:
        self.lost += count
        self.notes.append(f"lost: {what}")


@dataclass
class Room:
    """One scenario's place; `server` answers every call and keeps what it was asked."""

    folder: Path
    chance: random.Random
    server: ChatServer
    found: Found
    log: CallLog
    names: dict[Process, str] = field(default_factory=dict)  # of builders: the API key of each

    @classmethod
    @contextmanager
    def open(cls, folder: Path, name: str, seed: int) -> Iterator[Room]:
        folder.mkdir(parents=True)
        server = ChatServer()
        log = CallLog()
        with listening(server, type("Handler", (LoggingHandler,), {"log": log})):
            yield cls(folder, random.Random(f"{seed} {name}"), server, Found(name), log)

    def start(self, database: str | Path, *arguments: object, prefix: Sequence[str] = (), key: str = "none") -> Process:
        """Start `descgen`, with an API key."""
        command = [*prefix, sys.executable, "-m", "descriptor_gen", "--db", str(database), *map(str, arguments)]
        return self.popen(command, key=key)

    def popen(self, command: Sequence[str], *, key: str = "none") -> Process:
        names = {"OPENAI_API_KEY": key, "XDG_CONFIG_HOME": str(self.folder / "config")}
        names["RECOGNIZE_FEATURES"] = str(self.folder / "features")
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **names}
        )

    def build(self, database: str | Path, *options: object, prefix: Sequence[str] = ()) -> Process:
        """Start a build of one kind of hmdb51; its API key tells the server which builder asks."""
        llm = ("--llm", "openai:tiny", "--base-url", self.server.url, "--concurrency", CONCURRENCY)
        arguments = ("build", "-d", "hmdb51", "-k", "context", *llm, *options)
        key = f"builder-{len(self.names)}"
        process = self.start(database, *arguments, prefix=prefix, key=key)
        self.names[process] = key
        return process

    def end(self, process: Process, *, code: int | None = 0) -> tuple[str, str]:
        """Wait for a process, and count what it printed that it should not; `code` None: it may fail."""
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            err += "it hung"
        self.found.tracebacks += "Traceback" in out + err
        if "Traceback" in err or "it hung" in err or code not in (None, process.returncode):
            self.found.failed += code not in (None, process.returncode)
            self.found.notes.append(f"exit {process.returncode}: {err[-1500:]}")
        return out, err

    def kill(self, process: Process, *, after: float) -> tuple[str, str]:
        """Kill a process (SIGKILL) if it runs for longer than some seconds; return what it had printed."""
        try:
            out, err = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        self.found.tries += 1
        self.found.tracebacks += "Traceback" in out + err
        return out, err

    def until_called(self, calls: int, process: Process) -> None:
        """Wait until the server was called so often, or the process has ended."""
        deadline = time.monotonic() + PATIENCE
        while len(self.server.bodies) < calls and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)

    def killed(self, process: Process, database: Path) -> None:
        """Note that a builder is dead, so that its claims have ended, and what the database holds now."""
        now = time.time()
        self.log.stops.append(Stop(self.names[process], now, frozenset(stored_messages(database)), now))

    def count_paid_twice(self) -> None:
        """Count the calls that were made more than once on the last database, and begin to count anew."""
        in_flight, paid_twice = self.log.repeated()
        self.found.in_flight += in_flight
        self.found.paid_twice += len(paid_twice)
        self.found.notes += paid_twice
        self.log.clear()
        with self.server.lock:
            self.server.bodies.clear()

    def check_file(self, database: Path) -> None:
        """Count a file as lost that SQLite finds damaged."""
        if database.exists() and rows(database, "PRAGMA integrity_check") != [("ok",)]:
            self.found.lose("integrity of the file")


def rows(database: str | Path, query: str) -> list[tuple[object, ...]]:
    """Return rows, read without our own code."""
    url = str(database) if "://" in str(database) else f"sqlite:///{database}"
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def stored_messages(database: str | Path) -> set[str]:
    """Return the messages of all stored calls; none if there are no tables yet."""
    if "://" not in str(database) and not Path(database).exists():
        return set()
    try:
        found = rows(database, "SELECT messages FROM generation")
    except Exception as error:
        if "no such table" not in str(error):
            raise
        return set()
    loaded = [json.loads(value) if isinstance(value, str) else value for (value,) in found]
    return {json.dumps(value, sort_keys=True) for value in loaded}
