"""Several builders and reviewers on one database at a time: suspended, cloned, and many."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, text

from tests.torture.calls import Stop
from tests.torture.room import CALLS, Process, Room, rows, stored_messages

CLONED = ("unshare", "--pid", "--fork", "--mount-proc")
SERVER = os.environ.get("TEST_POSTGRESQL_URL")
REVIEWER = """
import sys
import click
from db.vocabulary import load
from descriptor_gen.cli import descgen

url, name, number, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
waiting = [action.name for action in load("hmdb51").actions][number::count]
while waiting:
    action = waiting.pop(0)
    try:
        arguments = ["--db", url, "accept", "-d", "hmdb51", "-a", action, "--reviewer", name, "--json"]
        descgen(arguments, standalone_mode=False)
    except click.ClickException as error:
        if "No " not in str(error):
            raise
        waiting.append(action)  # its texts are not written yet
"""


def suspended(room: Room, *, times: int, wait: bool) -> None:
    """Stop builders (SIGSTOP) for longer than their claims last; another one goes on meanwhile.

    Args:
        wait: let claims end by the clock, which takes 90 seconds; else their end is set in the database.
    """
    for number in range(times):
        database = room.folder / f"{number}.db"
        slow = room.build(database)
        room.until_called(room.chance.randint(1, CALLS // 2), slow)
        _suspend(slow, database)
        held = _claims(database)
        if not wait:
            _end_claims(database)
            held = dict.fromkeys(held, time.time())
        stop = time.time(), frozenset(stored_messages(database))
        room.end(room.build(database))
        slow.send_signal(signal.SIGCONT)
        room.end(slow)
        ends = {messages: held[key] for key, messages in _messages(database).items() if key in held}
        room.log.stops.append(Stop(room.names[slow], *stop, ends))
        _close(room, database)
        room.found.tries += 1


def _suspend(process: Process, database: Path) -> None:
    """Stop a process at a moment when it does not hold SQLite's write lock: others would wait for it, and give up."""
    while process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
            else:
                return


def _claims(database: Path) -> dict[str, float]:
    """Return when each claim ends, by cache key, in seconds since 1970."""
    if not rows(database, "SELECT 1 FROM sqlite_master WHERE name = 'claim'"):
        return {}
    found = rows(database, "SELECT cache_key, expires_at FROM claim")
    return {str(key): datetime.fromisoformat(str(end)).replace(tzinfo=UTC).timestamp() for key, end in found}


def _messages(database: Path) -> dict[str, str]:
    """Return the messages of each stored call, by cache key, as `Call.messages`."""
    found = rows(database, "SELECT cache_key, messages FROM generation WHERE cache_key IS NOT NULL")
    return {str(key): json.dumps(json.loads(str(messages)), sort_keys=True) for key, messages in found}


def _end_claims(database: object) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        if connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = 'claim'")).first():
            connection.execute(text("UPDATE claim SET expires_at = '2020-01-01 00:00:00'"))
    engine.dispose()


def cloned(room: Room, *, times: int) -> None:
    """Run two builders with one host name, and the same process numbers in two PID namespaces."""
    if subprocess.run([*CLONED, "true"], capture_output=True).returncode:
        room.found.not_run = "no right to make PID namespaces"
        return
    for number in range(times):
        database = room.folder / f"{number}.db"
        for process in [room.build(database, prefix=CLONED) for _ in range(2)]:
            room.end(process)
        _close(room, database)
        room.found.tries += 1


def crowd(room: Room, *, builders: int, reviewers: int, times: int) -> None:
    """Run builders and reviewers at once on SQLite."""
    for number in range(times):
        _crowd(room, str(room.folder / f"{number}.db"), builders, reviewers)


def crowd_on_postgresql(room: Room, *, builders: int, reviewers: int, times: int) -> None:
    """Run builders and reviewers at once on PostgreSQL."""
    if not SERVER:
        room.found.not_run = "TEST_POSTGRESQL_URL names no server"
        return
    for _ in range(times):
        name = f"torture_{uuid4().hex}"
        with create_engine(SERVER, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        _crowd(room, f"{SERVER.rpartition('/')[0]}/{name}", builders, reviewers)


def _crowd(room: Room, database: str, builders: int, reviewers: int) -> None:
    building = [room.build(database) for _ in range(builders)]
    room.until_called(1, building[0])  # the tables are there
    names = [f"reviewer{number}" for number in range(reviewers)]
    reviewing = [
        room.popen([sys.executable, "-c", REVIEWER, database, name, str(number), str(reviewers)])
        for number, name in enumerate(names)
    ]
    for process in building:
        room.end(process)
    said = {}
    for process in reviewing:
        out, _ = room.end(process)
        said |= {change["after"]["id"]: change["after"]["status"] for change in _changes(out)}
    _close(room, database)
    found = dict(rows(database, "SELECT id, status FROM descriptor"))
    wrong = [item for item, status in said.items() if found.get(item) != status]
    if wrong or len(said) != len(found):
        room.found.lose(f"decisions about {len(wrong)} texts; {len(said)} of {len(found)} decided", len(wrong) or 1)
    room.found.tries += builders + reviewers


def _changes(out: str) -> list[dict[str, dict[str, object]]]:
    """Return the changes of the decisions that a reviewer printed as JSON, one after the other."""
    decoder, changes, place = json.JSONDecoder(), [], 0
    while place < len(out.rstrip()):
        decision, place = decoder.raw_decode(out, place)
        changes += decision["changes"]
        place += 1  # the end of the line
    return changes


def _close(room: Room, database: object) -> None:
    """Check a database whose builders have all ended."""
    room.count_paid_twice()
    if "://" not in str(database):
        room.check_file(room.folder / str(database))
    if len(stored_messages(str(database))) != CALLS:
        room.found.lose("calls of a build that ended well")
