"""Claims: each builder reserves the calls that it is about to make, so that no call is paid for twice.

A builder that stands still for longer than a claim lasts (a laptop asleep, Ctrl-Z) loses its claims to others. So it
asks for them again right before each call: see `Claims.renew`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session

from db import queries
from db.engine import Transactions
from db.errors import UserError
from db.owner import Owner
from db.schema import ClaimRow, utc_now

_HEARTBEAT_SECONDS = 20.0
_LIFETIME = timedelta(seconds=90)  # after the last heartbeat; claims of a dead process on this machine end at once


class Claims(Transactions):
    """The claims of one builder, renewed by a thread while it works, and released when it ends."""

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(engine)
        self._clock = clock
        self._owner = str(Owner.new())
        self._stop = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._heart.join()
        with self._write() as session:
            session.execute(delete(ClaimRow).where(ClaimRow.owner == self._owner))

    def take(self, keys: Sequence[str], *, at_most: int) -> set[str]:
        """Claim the first `at_most` of the keys that no other builder holds; return the claimed ones."""
        claimed: set[str] = set()
        with self._write() as session:
            self._delete_dead(session)
            for chunk in queries.chunks(keys):
                if len(claimed) == at_most:
                    break
                claimed |= self._insert(session, chunk, at_most - len(claimed))
        return claimed

    def _insert(self, session: Session, keys: Sequence[str], at_most: int) -> set[str]:
        taken = set(session.scalars(select(ClaimRow.cache_key).where(ClaimRow.cache_key.in_(keys))))
        free = [key for key in keys if key not in taken][:at_most]
        if not free:
            return set()
        values = [{"cache_key": key, "owner": self._owner, "expires_at": self._end(session)} for key in free]
        session.execute(_insert(session).values(values).on_conflict_do_nothing(index_elements=["cache_key"]))
        mine = select(ClaimRow.cache_key).where(ClaimRow.cache_key.in_(free), ClaimRow.owner == self._owner)
        return set(session.scalars(mine))

    def renew(self, keys: Sequence[str]) -> set[str]:
        """Return those of the keys that this builder still holds; from now on they last as long as new claims."""
        held: set[str] = set()
        with self._write() as session:
            for chunk in queries.chunks(keys):
                mine = (ClaimRow.owner == self._owner) & ClaimRow.cache_key.in_(chunk)
                session.execute(update(ClaimRow).where(mine).values(expires_at=self._end(session)))
                held |= set(session.scalars(select(ClaimRow.cache_key).where(mine)))
        return held

    def release(self, keys: Iterable[str]) -> None:
        """Release claims whose replies are stored or have failed."""
        with self._write() as session:
            for chunk in queries.chunks(list(keys)):
                session.execute(delete(ClaimRow).where(ClaimRow.owner == self._owner, ClaimRow.cache_key.in_(chunk)))

    def _beat(self) -> None:
        while not self._stop.wait(_HEARTBEAT_SECONDS):
            # The server may be unreachable for a while; whichever thread needs it first reports the error.
            with suppress(UserError), self._write() as session:
                renewed = update(ClaimRow).where(ClaimRow.owner == self._owner)
                session.execute(renewed.values(expires_at=self._end(session)))

    def _now(self, session: Session) -> datetime:
        """Return the time by the server's clock, which all builders share; for a file, by this machine's."""
        if session.get_bind().dialect.name == "postgresql":
            now: datetime = session.scalars(select(func.clock_timestamp())).one()
            return now
        return self._clock()

    def _end(self, session: Session) -> datetime:
        return self._now(session) + _LIFETIME

    def _delete_dead(self, session: Session) -> None:
        """Delete the claims of builders whose heartbeat stopped, or whose process is known to have ended."""
        session.execute(delete(ClaimRow).where(ClaimRow.expires_at < self._now(session)))
        owners = session.scalars(select(ClaimRow.owner).distinct()).all()
        dead = [owner for owner in owners if (parsed := Owner.parse(owner)) and parsed.has_ended()]
        if dead:
            session.execute(delete(ClaimRow).where(ClaimRow.owner.in_(dead)))


def _insert(session: Session) -> Any:
    """Return the insert into the claims, with `ON CONFLICT`, which SQLAlchemy has apart for each database."""
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # slow to import

        return insert(ClaimRow)
    from sqlalchemy.dialects.sqlite import insert as insert_into_sqlite

    return insert_into_sqlite(ClaimRow)
