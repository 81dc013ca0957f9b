"""Opening a database: connection settings, and migrations up to the newest revision."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm import Session

from db.errors import UsageError, UserError
from db.schema import HEAD

_SQLITE_SETTINGS = (
    "PRAGMA busy_timeout=30000",  # first: the next one needs a lock
    "PRAGMA journal_mode=WAL",  # readers and one writer side by side
    "PRAGMA synchronous=NORMAL",  # with WAL, a crash of the process loses nothing
    "PRAGMA foreign_keys=ON",
)
_PATIENCE_SECONDS = 30.0  # for the switch to WAL, which does not wait by itself
_LOCK = 0x64657363  # the number of our advisory lock on PostgreSQL


def open_engine(url: str) -> Engine:
    """Return an engine on the newest schema; a SQLite file is created, or backed up before it is migrated.

    Args:
        url: an SQLAlchemy URL, or the path of a SQLite file.

    Raises:
        UsageError: the URL is not one.
        UserError: the database cannot be reached, is not one of ours, or is newer than this program.
    """
    parsed = parse_url(url)
    try:
        # A laptop that was closed has lost its connections to a server; asking first opens new ones.
        engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise UsageError(_NO_URL.format(url=shown(parsed), error=error)) from error
    if engine.dialect.name == "sqlite":
        _listen(engine)
    with told(parsed):
        _migrate(engine)
    return engine


_NO_URL = (
    "--db {url}: {error}. Give a file such as descriptors.db, or an SQLAlchemy URL such as "
    "postgresql+psycopg://user@host/name (needs: pip install 'psycopg[binary]')"
)


def parse_url(url: str) -> URL:
    """Return an SQLAlchemy URL; what has no `://` is the path of a SQLite file.

    Raises:
        UsageError: it is neither.
    """
    try:
        return make_url(url) if "://" in url else URL.create("sqlite", database=str(Path(url).expanduser()))
    except (ArgumentError, ValueError, RuntimeError) as error:  # RuntimeError: no home of that user
        raise UsageError(_NO_URL.format(url=url, error=error)) from error


def shown(url: URL) -> str:
    """Return a URL for people: a SQLite file by its path, any other without its password."""
    sqlite = url.get_backend_name() == "sqlite"
    return url.database or "a database in memory" if sqlite else url.render_as_string(hide_password=True)


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite database, None for other databases."""
    parsed = parse_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


@contextmanager
def told(url: URL) -> Iterator[None]:
    """Turn what a database refuses into an error that a user can read."""
    try:
        yield
    except DBAPIError as error:
        raise UserError(f"The database {shown(url)} says: {error.orig}") from error
    except OverflowError as error:
        raise UserError(f"The database {shown(url)} cannot hold that number: {error}") from error


def _listen(engine: Engine) -> None:
    """Take transactions over from the driver, which would begin them too late to hold a write lock."""

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for setting in _SQLITE_SETTINGS:
            _patiently(connection, setting)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


def _patiently(connection: sqlite3.Connection, setting: str) -> None:
    """Apply a setting; while another process is creating the same file, try again."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            connection.execute(setting)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def write_session(engine: Engine) -> Iterator[Session]:
    """Give a session in a transaction that no other writer's overlaps: each waits for its turn."""
    with Session(writing(engine)) as session, session.begin():
        lock(session.connection())
        yield session


def lock(connection: Connection) -> None:
    """Hold off the other writers until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def writing(engine: Engine) -> Engine:
    """Return the engine for transactions that write: SQLite takes its lock at once and waits for it."""
    return engine.execution_options(begin="IMMEDIATE")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    """Bring a database to the newest revision; where there is nothing to do, read one row."""
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with writing(engine).connect() as connection, _tables_may_be_rebuilt(connection), connection.begin():
        lock(connection)
        revision = _revision(connection)  # again: another process may have been first
        if revision != HEAD:
            _check(connection, revision)
            _back_up(engine, revision)
            _upgrade(connection)


@contextmanager
def _tables_may_be_rebuilt(connection: Connection) -> Iterator[None]:
    """Switch SQLite's foreign keys off, which it can only outside of a transaction.

    SQLite changes a table by making it anew and dropping the old one, and a dropped row would break what refers to it.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")


def _check(connection: Connection, revision: str | None) -> None:
    """Refuse a database that is another program's, or a newer version's."""
    name = shown(connection.engine.url)
    tables = inspect(connection).get_table_names() if revision is None else ()
    if tables:
        raise UserError(f"{name} holds tables of another program ({', '.join(tables[:5])}). Give another --db")
    if revision is not None and revision > HEAD:
        raise UserError(
            f"{name} has revision {revision}, newer than this program's {HEAD}. "
            "Run: pip install --upgrade descgen-recognize"
        )


def _back_up(engine: Engine, revision: str | None) -> None:
    """Copy a SQLite file aside; an earlier copy of the same revision is kept."""
    file = Path(engine.url.database or "")
    copy = Path(f"{file}.{revision}.bak")
    if engine.dialect.name != "sqlite" or revision is None or copy.exists():
        return
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)


def _upgrade(connection: Connection) -> None:
    from alembic import command  # half a second to import, and needed once in a database's life
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "db:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
