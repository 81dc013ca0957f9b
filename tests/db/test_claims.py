"""Claims of builders that were suspended, cloned, or killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text

from db.owner import Owner
from db.store import Store

KEYS = [f"{number:064x}" for number in range(3)]


@pytest.fixture
def shared_store(any_database: str) -> Iterator[Store]:
    store = Store.open(any_database)
    yield store
    store.close()


def expire(url: str, at: datetime) -> None:
    """Set the end of every claim, as if its builder had stood still."""
    with create_engine(url).begin() as connection:
        connection.execute(text("UPDATE claim SET expires_at = :at"), {"at": str(at)})


def test_a_claim_that_lapsed_and_was_taken_is_no_longer_held(shared_store: Store, any_database: str) -> None:
    with shared_store.claims() as suspended, shared_store.claims() as other:
        suspended.take(KEYS, at_most=3)
        expire(any_database, datetime.now(UTC) - timedelta(seconds=1))
        assert other.take(KEYS[:2], at_most=2) == set(KEYS[:2])
        assert suspended.renew(KEYS) == set()  # the third had lapsed too
        assert other.renew(KEYS) == set(KEYS[:2])


def test_a_claim_that_lapsed_and_that_nobody_took_is_held_again(shared_store: Store, any_database: str) -> None:
    with shared_store.claims() as suspended, shared_store.claims() as other:
        suspended.take(KEYS, at_most=3)
        expire(any_database, datetime.now(UTC) - timedelta(seconds=1))
        assert suspended.renew(KEYS[:1]) == set(KEYS[:1])
        assert other.take(KEYS, at_most=3) == set(KEYS[1:])


def test_the_servers_clock_decides(shared_store: Store, any_database: str) -> None:
    """A machine whose clock is 100 seconds fast takes over claims in a file, and none on a server."""
    with (
        shared_store.claims() as right,
        shared_store.claims(clock=lambda: datetime.now(UTC) + timedelta(seconds=100)) as fast,
    ):
        right.take(KEYS[:2], at_most=2)
        free = KEYS[2:] if "postgresql" in any_database else KEYS
        assert fast.take(KEYS, at_most=3) == set(free)
        assert right.renew(KEYS) == set(KEYS) - set(free)


def test_where_processes_cannot_be_told_apart_a_claim_ends_by_its_time_alone(
    shared_store: Store, any_database: str
) -> None:
    """The holder has ended; one that names its place loses its claim at once, one without /proc when its time is up."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = replace(Owner.new(), process=ended.pid)
    without_proc = Owner("-", ended.pid, "-", "token")
    with create_engine(any_database).begin() as connection:
        insert = text("INSERT INTO claim (cache_key, owner, expires_at) VALUES (:key, :owner, :at)")
        at = str(datetime.now(UTC) + timedelta(seconds=60))
        for key, owner in zip(KEYS, (here, without_proc), strict=False):
            connection.execute(insert, {"key": key, "owner": str(owner), "at": at})
    with shared_store.claims() as other:
        assert other.take(KEYS[:2], at_most=2) == {KEYS[0]}
        expire(any_database, datetime.now(UTC) - timedelta(seconds=1))
        assert KEYS[1] in other.take(KEYS[:2], at_most=2)


def test_without_proc_a_holder_has_no_place() -> None:
    script = "from db.owner import Owner; owner = Owner.new(); print(owner.place, owner.start, owner.has_ended())"
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], capture_output=True).returncode:
        pytest.skip("no right to hide /proc")
    found = subprocess.run([*hidden, sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.split() == ["-", "-", "False"], found.stderr


def test_an_owner_is_told_apart_by_boot_namespace_and_start() -> None:
    mine = Owner.new()
    assert Owner.parse(str(mine)) == mine
    assert not mine.has_ended()
    other = subprocess.Popen([sys.executable, "-c", ""])
    other.wait()
    ended = replace(mine, process=other.pid)
    assert ended.has_ended()
    assert replace(mine, start="1").has_ended()  # the number is in use again
    for elsewhere in ("another-boot/pid:[1]", mine.place.replace("pid:[", "pid:[9"), "-"):
        assert not replace(ended, place=elsewhere).has_ended()
    assert Owner.parse(f"host {os.getpid()} x") is None  # of an earlier version: it ends by its time alone


def test_a_process_that_waits_to_be_collected_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "from db.owner import Owner; print(Owner.new())"], stdout=-1)
    assert child.stdout
    owner = Owner.parse(child.stdout.read().decode().strip())
    assert owner
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.has_ended()
    child.wait()
