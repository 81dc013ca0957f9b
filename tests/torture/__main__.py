"""`make torture`: run all scenarios for some minutes, print what was found; exit code 1 if anything was."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.torture import broken, builders, kills
from tests.torture.room import Found, Room

Scenario = Callable[[Room], None]

SHORT: dict[str, Scenario] = {
    "build killed": partial(kills.build, times=2),
    "import killed": partial(kills.import_file, times=1),
    "decision killed": partial(kills.review, times=1),
    "migration killed": partial(kills.migrate, times=2),
    "builder suspended": partial(builders.suspended, times=1, wait=False),
    "builder cloned": partial(builders.cloned, times=1),
    "2 builders, 1 reviewer, SQLite": partial(builders.crowd, builders=2, reviewers=1, times=1),
    "disk full": partial(broken.disk_full, times=1),
    "damaged file": partial(broken.corruptions, times=4),
}


def long_form(minutes: float) -> dict[str, Scenario]:
    """Return the scenarios of about so many minutes on two cores; most of the time is that of starting processes."""

    def times(in_ten_minutes: int) -> int:
        return max(1, round(in_ten_minutes * minutes / 10))

    crowd = {"builders": 8, "reviewers": 3, "times": times(2)}
    return {
        "build killed": partial(kills.build, times=times(30)),
        "import killed": partial(kills.import_file, times=times(20)),
        "decision killed": partial(kills.review, times=times(20)),
        "embedding killed": partial(kills.embed, times=times(8)),
        "migration killed": partial(kills.migrate, times=times(24)),
        "builder suspended 90 s": partial(builders.suspended, times=1, wait=True),
        "builder suspended": partial(builders.suspended, times=times(5), wait=False),
        "builder cloned": partial(builders.cloned, times=times(5)),
        "8 builders, 3 reviewers, SQLite": partial(builders.crowd, **crowd),
        "8 builders, 3 reviewers, PostgreSQL": partial(builders.crowd_on_postgresql, **crowd),
        "disk full": partial(broken.disk_full, times=times(4)),
        "damaged file": partial(broken.corruptions, times=times(150)),
    }


def run(scenarios: dict[str, Scenario], folder: Path, *, seed: int) -> list[Found]:
    """Run scenarios, each in a folder of its own."""
    found = []
    for number, (name, scenario) in enumerate(scenarios.items()):
        start = time.monotonic()
        with Room.open(folder / str(number), name, seed) as room:
            scenario(room)
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)  # noqa: T201
        found.append(room.found)
    return found


def table(found: Sequence[Found]) -> str:
    """Return what was found, one scenario a line, and below it what is wrong."""
    columns = ("tries", "lost", "paid twice", "tracebacks", "failed", "in flight")
    lines = [f"{'scenario':36}" + "".join(f"{column:>12}" for column in columns)]
    for each in found:
        values = (each.tries, each.lost, each.paid_twice, each.tracebacks, each.failed, each.in_flight)
        shown = f"  not run: {each.not_run}" if each.not_run else "".join(f"{value:>12}" for value in values)
        lines.append(f"{each.name:36}{shown}")
    lines.append(
        "in flight: calls of a killed or suspended builder whose replies it had not stored; they are made again"
    )
    return "\n".join([*lines, *(f"{each.name}: {note}" for each in found if each.faults for note in each.notes)])


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--only", metavar="TEXT", default="", help="scenarios with this text in their name")
    options = parser.parse_args()
    chosen = {name: each for name, each in long_form(options.minutes).items() if options.only in name}
    with tempfile.TemporaryDirectory() as folder:
        found = run(chosen, Path(folder), seed=options.seed)
    print(f"seed {options.seed}\n{table(found)}")  # noqa: T201
    return int(any(each.faults for each in found) or not found)


if __name__ == "__main__":
    sys.exit(main())
