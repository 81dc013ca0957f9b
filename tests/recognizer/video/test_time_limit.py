"""A time limit counts the time that a process had, not that which a busy machine took from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from statistics import median

import pytest

from recognizer.video.time_limit import TimeLimit, Times, thread_times, time_without_processor

START: Times = {"1": (5.0, 7.0)}


@pytest.mark.parametrize(
    ("after", "lost"),
    [
        ({"1": (5.0, 8.0)}, 1.0),  # it did not run at all
        ({"1": (6.0, 7.0)}, 0.0),  # it ran all the time
        ({"1": (5.1, 7.9)}, 0.9),
        ({"1": (5.0, 7.0)}, 0.0),  # it slept, as a decoder does that hangs
        ({"1": (5.01, 7.01)}, 0.01),  # it slept, and had to wait when it looked up
        ({"1": (5.0, 10.0)}, 1.0),  # a look that came two seconds late
        ({"1": (5.1, 7.4), "2": (0.1, 0.4)}, 0.8),  # one works when the other has done its part
        ({"1": (5.5, 7.5), "2": (0.5, 0.5)}, 0.5),  # two share one core
        ({"1": (6.0, 7.0), "2": (0.0, 1.0)}, 0.5),
        ({"1": (0.1, 0.2)}, 0.0),  # another thread has its number
        ({}, 0.0),  # it has ended, or the system does not say
    ],
)
def test_the_time_lost_is_the_share_of_waiting(after: Times, lost: float) -> None:
    assert time_without_processor(START, after, 1.0) == pytest.approx(lost)


@pytest.fixture
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_a_process_that_gets_no_processor_is_not_ended(sleeping: subprocess.Popen[bytes]) -> None:
    looks, begin = count(), time.monotonic()
    limit = TimeLimit(sleeping, 0.001, times=lambda _: {"1": (0.0, 10.0 * next(looks))})
    with limit, pytest.raises(subprocess.TimeoutExpired):
        sleeping.wait(1)
    assert not limit.is_over
    assert next(looks) < 2 + (time.monotonic() - begin) / 0.05  # however little time is left, it looks no more often


def test_a_process_that_sleeps_is_ended(sleeping: subprocess.Popen[bytes]) -> None:
    with TimeLimit(sleeping, 0.1) as limit:
        assert sleeping.wait(60) == -signal.SIGKILL
    assert limit.is_over


SPIN = """
import os, sys, time
from recognizer.video.time_limit import thread_times
os.sched_setaffinity(0, [int(sys.argv[1])])
begin, ran = time.perf_counter(), time.process_time()
(before,) = thread_times(os.getpid()).values() or [(0, 0)]
while time.perf_counter() < begin + 2: pass
(after,) = thread_times(os.getpid()).values() or [(0, 0)]
print(after[0], after[1] - before[1], time.perf_counter() - begin - (time.process_time() - ran))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how long a thread waits for a processor")
def test_the_waiting_of_a_busy_thread_is_what_lacks_in_its_processor_time() -> None:
    """Of three pairs, the middle one: a virtual machine may stand still for a while, and its system does not know."""
    command = [sys.executable, "-c", SPIN, str(min(os.sched_getaffinity(0)))]
    unexplained = []
    for _ in range(3):
        both = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]  # on one core, if it can be
        for process in both:
            ran, waited, lost = map(float, process.communicate(timeout=300)[0].split())
            if not ran:
                pytest.skip("this system does not count for how long a thread waits")
            assert waited < lost + 0.1
            unexplained.append(lost / 2 - waited)
    assert median(unexplained) < 0.1


def test_an_unknown_process_has_no_times() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert thread_times(ended.pid) == {}
