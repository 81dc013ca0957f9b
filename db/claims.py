"""Claims: which builder is making which call, so that two builders on one database never pay for one call twice."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Self
from uuid import uuid4

from sqlalchemy import Engine, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.engine import write_session
from db.schema import ClaimRow, utc_now

_HEARTBEAT_SECONDS = 20.0
_LIFETIME = timedelta(seconds=90)  # after the last heartbeat; a dead process on this machine is seen at once
_CHUNK = 500  # keys in one statement: databases limit its parameters
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Claims:
    """The claims of one builder, kept alive by a thread while it works, and given back when it ends."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._owner = f"{socket.gethostname()} {os.getpid()} {uuid4().hex}"
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._heart.join()
        with write_session(self._engine) as session:
            session.execute(delete(ClaimRow).where(ClaimRow.owner == self._owner))

    def take(self, keys: Sequence[str], *, at_most: int) -> set[str]:
        """Claim up to `at_most` of the keys that nobody else holds, in order; return those that are now held."""
        held: set[str] = set()
        with write_session(self._engine) as session:
            _drop_dead(session)
            for start in range(0, len(keys), _CHUNK):
                if len(held) == at_most:
                    break
                held |= self._insert(session, keys[start : start + _CHUNK], at_most - len(held))
        return held

    def _insert(self, session: Session, keys: Sequence[str], room: int) -> set[str]:
        taken = set(session.scalars(select(ClaimRow.cache_key).where(ClaimRow.cache_key.in_(keys))))
        free = [key for key in keys if key not in taken][:room]
        if not free:
            return set()
        values = [{"cache_key": key, "owner": self._owner, "expires_at": utc_now() + _LIFETIME} for key in free]
        insert = _INSERT[session.get_bind().dialect.name](ClaimRow).values(values)
        session.execute(insert.on_conflict_do_nothing(index_elements=["cache_key"]))
        mine = select(ClaimRow.cache_key).where(ClaimRow.cache_key.in_(free), ClaimRow.owner == self._owner)
        return set(session.scalars(mine))

    def release(self, keys: Iterable[str]) -> None:
        """Give claims back; their replies are stored, or will not be."""
        held = list(keys)
        with write_session(self._engine) as session:
            for start in range(0, len(held), _CHUNK):
                chunk = held[start : start + _CHUNK]
                session.execute(delete(ClaimRow).where(ClaimRow.owner == self._owner, ClaimRow.cache_key.in_(chunk)))

    def _beat(self) -> None:
        while not self._stop.wait(_HEARTBEAT_SECONDS):
            # The server may be away for a while; whoever needs it before the next beat says so.
            with suppress(DBAPIError), write_session(self._engine) as session:
                renewed = update(ClaimRow).where(ClaimRow.owner == self._owner)
                session.execute(renewed.values(expires_at=utc_now() + _LIFETIME))


def _drop_dead(session: Session) -> None:
    """Delete the claims of builders that stopped beating, or whose process on this machine is gone."""
    session.execute(delete(ClaimRow).where(ClaimRow.expires_at < utc_now()))
    owners = session.scalars(select(ClaimRow.owner).distinct()).all()
    dead = [owner for owner in owners if _is_dead(owner)]
    if dead:
        session.execute(delete(ClaimRow).where(ClaimRow.owner.in_(dead)))


def _is_dead(owner: str) -> bool:
    host, process, _ = owner.rsplit(" ", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # another user's: alive
    return False
