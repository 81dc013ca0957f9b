"""Processes that are killed (SIGKILL) at random moments, and started again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.fixtures.videos import make_video
from tests.torture.room import CALLS, Process, Room, rows, stored_messages

SCHEMAS = sorted((Path(__file__).parents[1] / "data").glob("schema-*.db"))
SLOWEST = 3.0  # a kill comes at most so many times later than an undisturbed process takes
VIDEOS = 20
EMBED = """
import sys
from encoders.testing import FakeEncoder, registered

class Encoder(FakeEncoder):
    def encode_frames(self, pixels):
        print(len(self.frames) * 8, flush=True)  # videos that are stored before this batch
        return super().encode_frames(pixels)

from recognizer.cli import recognize
with registered(Encoder(), "fake"):
    recognize(sys.argv[1:])
"""


def build(room: Room, *, times: int) -> None:
    """Kill builds when some calls are made; what is stored stays, and only calls in flight are made again."""
    for number in range(times):
        if number % 3 == 0:
            database, before = room.folder / f"{number}.db", set[str]()
            room.count_paid_twice()
        process = room.build(database)
        at = room.chance.randint(0, CALLS // 3)
        room.until_called(len(room.server.bodies) + at, process)
        _, err = room.kill(process, after=0 if at else room.chance.uniform(0, 2))
        room.check_file(database)
        stored = stored_messages(database)
        said = max((int(done) for done in re.findall(r"(\d+)/51 calls", err)), default=0)
        if not before <= stored or len(stored) < said:
            room.found.lose(f"{said} said, {len(before)} before, {len(stored)} now")
        before = stored
        room.killed(process, database)
        if number % 3 == 2 or number == times - 1:
            room.end(room.build(database))
            if len(stored_messages(database)) != CALLS:
                room.found.lose("calls of the last build")
    room.count_paid_twice()


def import_file(room: Room, *, times: int) -> None:
    """Kill imports: all texts of a file are there, or none; a second import adds the rest."""
    texts = {f"class {number} of many": [f"text {number} {item}" for item in range(5)] for number in range(400)}
    file, labels = room.folder / "texts.json", room.folder / "labels.txt"
    file.write_text(json.dumps(texts))
    labels.write_text("\n".join(texts))
    arguments = ("import", file, "-d", labels, "-k", "context")
    seconds = _seconds(room, room.start(room.folder / "whole.db", *arguments))
    for number in range(times):
        database = room.folder / f"{number}.db"
        out, _ = room.kill(room.start(database, *arguments), after=room.chance.uniform(0.3, 1.2) * seconds)
        room.check_file(database)
        count = _count(database, "descriptor")
        if count not in (0, 2000) or (out and count != 2000):
            room.found.lose(f"{count} of 2000 texts after an import that was killed")
        room.end(room.start(database, *arguments))
        if _count(database, "descriptor") != 2000:
            room.found.lose("texts of the second import")


def review(room: Room, *, times: int) -> None:
    """Kill decisions: one that was shown is stored, and each is there as a whole or not at all."""
    whole = room.folder / "whole.db"
    room.end(room.build(whole))
    shutil.copy(whole, room.folder / "timed.db")
    arguments = ("accept", "-d", "hmdb51", "--all", "--reviewer", "anna", "--json")
    seconds = _seconds(room, room.start(room.folder / "timed.db", *arguments))
    for number in range(times):
        database = Path(shutil.copy(whole, room.folder / f"{number}.db"))
        process = room.start(database, *arguments)
        if number % 2:
            _until_stored(database, process)
        out, _ = room.kill(
            process, after=room.chance.uniform(0, 0.02) if number % 2 else room.chance.uniform(0.3, 1.2) * seconds
        )
        room.check_file(database)
        halves, statuses = 0, dict(rows(database, _STATUSES))
        if len(statuses) != 1 or (out and "pending" in statuses) or (halves := half_decisions(database)):
            room.found.lose(f"decisions: {statuses}, {halves} of them halves, shown: {bool(out)}")


def embed(room: Room, *, times: int) -> None:
    """Kill embedding: batches that were stored are not made again."""
    clips = room.folder / "clips"
    for number in range(VIDEOS):
        (clips / f"class{number % 2}").mkdir(parents=True, exist_ok=True)
        make_video(clips / f"class{number % 2}" / f"{number:02}.mp4", 3 + number)
    for number in range(times):
        features = room.folder / f"features{number}"
        arguments = ["embed", "-d", str(clips), "-e", "fake", "--features", str(features), "--json"]
        command = [sys.executable, "-c", EMBED, "--db", str(room.folder / "none.db"), *arguments]
        process = room.popen(command)
        said = _after_line(process, room.chance.randint(1, 3))
        out, _ = room.kill(process, after=room.chance.uniform(0, 0.05))
        said = max([said, *(int(line) for line in re.findall(r"^\d+$", out, re.MULTILINE))])
        out, _ = room.end(room.popen(command))
        counts = json.loads(out[out.index("{") :])["counts"]
        if counts["stored before"] < said or counts["stored before"] + counts["embedded"] != VIDEOS:
            room.found.lose(f"{said} videos stored before the kill, {counts}")


def migrate(room: Room, *, times: int) -> None:
    """Kill migrations of old databases: nothing is lost, and the backup is whole or not there."""
    old = [schema for schema in SCHEMAS if schema.stem != "schema-0004"]
    timed = Path(shutil.copy(old[0], room.folder / "timed.db"))
    seconds = _seconds(room, room.start(timed, "stats"))
    for number in range(times):
        source = old[number % len(old)]
        database = Path(shutil.copy(source, room.folder / f"{number}.db"))
        room.kill(room.start(database, "stats"), after=room.chance.uniform(0.3, 1.1) * seconds)
        room.check_file(database)
        for backup in room.folder.glob(f"{number}.db.*.bak"):
            room.check_file(backup)
        room.end(room.start(database, "stats"))
        if rows(database, "SELECT id, text, status, version FROM descriptor") != [(11, "a hand", "accepted", 2)]:
            room.found.lose(f"the text of {source.name}")


def half_decisions(database: Path) -> int:
    """Count accepted texts without the event of their acceptance, and events whose text is not accepted."""
    [(count,)] = rows(
        database,
        "SELECT count(*) FROM descriptor LEFT JOIN review_event ON review_event.descriptor_id = descriptor.id "
        "WHERE (status = 'accepted') != (review_event.id IS NOT NULL)",
    )
    return int(str(count))


_STATUSES = "SELECT status, count(*) FROM descriptor GROUP BY status"


def _seconds(room: Room, process: Process) -> float:
    """Return how long an undisturbed process takes."""
    start = time.monotonic()
    room.end(process)
    return time.monotonic() - start


def _count(database: Path, table: str) -> int:
    if not database.exists() or not rows(database, f"SELECT 1 FROM sqlite_master WHERE name = '{table}'"):  # noqa: S608
        return 0
    [(count,)] = rows(database, f"SELECT count(*) FROM {table}")  # noqa: S608
    return int(str(count))


def _until_stored(database: Path, process: subprocess.Popen[str]) -> None:
    """Wait until something is written to a database, or the process has ended: the middle of a transaction's end."""
    log = Path(f"{database}-wal")
    while process.poll() is None and not (log.exists() and log.stat().st_size):
        time.sleep(0.0005)


def _after_line(process: subprocess.Popen[str], line: int) -> int:
    """Wait for a line of output; return the last number that was printed."""
    assert process.stdout
    said = 0
    for _ in range(line):
        said = int(process.stdout.readline() or said)
    return said
