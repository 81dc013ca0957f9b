"""Disks without room, and damaged files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fixtures.damage import DAMAGES
from tests.torture.room import CALLS, Room, stored_messages

_READS = (("stats",), ("show", "-d", "hmdb51"), ("history", "-d", "hmdb51"), ("export", "-d", "hmdb51"))


def disk_full(room: Room, *, times: int) -> None:
    """Fill the disk of a build: it stops before a call, and the next one pays nothing again."""
    for number in range(times):
        with _small_disk(room.folder / f"disk{number}") as disk:
            if disk is None:
                room.found.not_run = "no right to mount a small disk"
                return
            room.end(room.build(disk / "d.db", "--limit", room.chance.randint(1, 20)))
            (disk / "filler").write_bytes(bytes(room.chance.randint(6, 10) * 2**20))
            _, err = room.end(room.build(disk / "d.db"), code=1)
            if "MiB left" not in err:
                room.found.lose("the message about a full disk")
            (disk / "filler").unlink()
            room.end(room.build(disk / "d.db"))
            room.count_paid_twice()
            room.check_file(disk / "d.db")
            if len(stored_messages(disk / "d.db")) != CALLS:
                room.found.lose("calls of a build on a disk that was full")
            room.found.tries += 1


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S607


def corruptions(room: Room, *, times: int) -> None:
    """Damage a sound file at random places: each command answers, or refuses in one line."""
    database = room.folder / "sound.db"
    room.end(room.build(database, "--limit", 20))
    room.end(room.start(database, "accept", "-d", "hmdb51", "--all", "--reviewer", "anna"))
    whole = database.read_bytes()
    for number in range(times):
        file = room.folder / f"{number}.db"
        file.write_bytes(DAMAGES[number % len(DAMAGES)](whole, room.chance))
        command = _READS[room.chance.randrange(len(_READS))]
        process = room.start(file, *command)
        _, err = room.end(process, code=None)
        if process.returncode not in (0, 1) or (process.returncode and err.count("\n") != 1):
            room.found.failed += 1
            room.found.notes.append(f"{number} {command}: exit {process.returncode}: {err[-500:]}")
        room.found.tries += 1
        file.unlink()
