"""Opening a database: connection settings, migrations up to the newest revision, transactions."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from db.backup import copy_database, is_whole
from db.errors import DatabaseError, UsageError, UserError
from db.read_only import is_read_only, read_into_memory
from db.schema import HEAD, Base

_WAIT = "PRAGMA busy_timeout=30000"  # first: the next one needs a lock; ?timeout=SECONDS in an URL is the user's own
_SQLITE_SETTINGS = (
    "PRAGMA journal_mode=WAL",  # one writer and any number of readers at once
    "PRAGMA synchronous=NORMAL",  # with WAL, a crash of the process loses nothing
    "PRAGMA foreign_keys=ON",
)
_WAL_TIMEOUT = 30.0  # seconds; the switch to WAL ignores busy_timeout
_REVISION = re.compile(r"[0-9]{4}")
_LOCK = 0x64657363  # key of our advisory lock on PostgreSQL
_BAD_URL = (
    "--db {url}: {error}. Give a file such as descriptors.db, or an SQLAlchemy URL such as "
    "postgresql+psycopg://user@host/name"
)
_LOCKED = (
    "{name} is locked: another process stands still in the middle of storing something (Ctrl-Z), or "
    "stores for long. Let that process go on (fg, or kill -CONT PID) or end it, then run the same command: "
    "what was stored stays"
)
_NO_PSYCOPG = "--db {url} needs the package psycopg. Run: pip install 'descgen-recognize[postgresql]'"


def open_engine(url: str) -> Engine:
    """Return an engine on the newest schema. A SQLite file is created if missing, and backed up before a migration.

    Args:
        url: an SQLAlchemy URL, or the path of a SQLite file.

    Raises:
        UsageError: the URL is invalid.
        UserError: the database cannot be reached, is damaged, belongs to another program, or is newer than this
            program; or its driver is not installed.
    """
    parsed = parse_url(url)
    path = sqlite_path(url)
    if path and is_read_only(path):
        return _open_read_only(parsed, path)
    engine = _engine(parsed)
    if engine.dialect.name == "sqlite":
        _configure_sqlite(engine)
    with _user_errors(parsed):
        _migrate(engine)
    return engine


def _open_read_only(url: URL, path: Path) -> Engine:
    """Return an engine on a copy in memory, migrated if it has an older schema, that refuses every change."""
    with _user_errors(url):
        memory = read_into_memory(path)
        engine = create_engine(url, poolclass=StaticPool, creator=lambda: memory)
        _configure_sqlite(engine)
        _migrate(engine, back_up=False)
    memory.execute("PRAGMA query_only=ON")
    return engine.execution_options(read_only=True)


@contextmanager
def connect_reading(url: str) -> Iterator[tuple[Connection, str | None]]:
    """Connect to a database as it is, and yield its revision too: nothing is created, migrated or changed.

    Raises:
        UsageError, UserError: as `open_engine`.
    """
    parsed = parse_url(url)
    engine = _engine(_unchanged(parsed))
    try:
        with _user_errors(parsed), engine.connect() as connection:
            revision = _revision(connection)
            _check(connection, revision, display(parsed))
            yield connection, revision
    finally:
        engine.dispose()


def _unchanged(url: URL) -> URL:
    """Return the URL that opens a SQLite file without writing, not even beside it; other URLs as they are."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    in_use = Path(f"{url.database}-wal").exists()  # else SQLite would make such a file, unless nothing may change
    query = {"uri": "true", **({"mode": "ro"} if in_use else {"immutable": "1"})}
    return url.set(database=Path(url.database).absolute().as_uri(), query=query)


def _engine(url: URL) -> Engine:
    try:
        # A suspended laptop loses its connections to a server; pre-ping replaces them.
        return create_engine(url, pool_pre_ping=url.get_backend_name() != "sqlite")
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise UsageError(_BAD_URL.format(url=display(url), error=error)) from error
        raise UserError(_NO_PSYCOPG.format(url=display(url))) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise UsageError(_BAD_URL.format(url=display(url), error=error)) from error


def parse_url(url: str) -> URL:
    """Return an SQLAlchemy URL; a string without `://` is the path of a SQLite file.

    Raises:
        UsageError: the URL is invalid.
    """
    try:
        return make_url(url) if "://" in url else URL.create("sqlite", database=str(Path(url).expanduser()))
    except (ArgumentError, ValueError, RuntimeError) as error:  # RuntimeError: ~user of an unknown user
        raise UsageError(_BAD_URL.format(url=url, error=error)) from error


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite database, None for other databases."""
    parsed = parse_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def refuse_missing(path: Path) -> None:
    """Raise a UserError if there is no SQLite file at a path."""
    if not path.exists():
        raise UserError(
            f"No database at {path}. Create one with: descgen build --dataset hmdb51, or give yours with --db"
        )


def back_up(url: str, target: Path) -> None:
    """Copy the SQLite file that `--db` names to a new file.

    Raises:
        UsageError: the database is no file, or the target exists or has no folder.
        UserError: there is no database, or it is damaged.
    """
    source = sqlite_path(url)
    if source is None:
        raise UsageError("descgen backup copies SQLite files. For PostgreSQL use its own: pg_dump --format custom")
    refuse_missing(source)
    if target.exists():
        raise UsageError(f"{target} exists. Give a new name: descgen backup FILE")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent} to write {target.name} to")
    copy_database(source, target)


class Transactions:
    """Base of the classes that use the database. Each of their methods is one short transaction.

    Errors of the database become a `DatabaseError`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def read_only(self) -> bool:
        """Whether nothing can be stored, because the file or its folder cannot be written."""
        return bool(self._engine.get_execution_options().get("read_only"))

    @contextmanager
    def _read(self) -> Iterator[Session]:
        """Open a read transaction."""
        with _user_errors(self._engine.url), Session(self._engine) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        """Open a write transaction; waits for the write lock."""
        if self.read_only:
            raise DatabaseError(
                f"{display(self._engine.url)} (or its folder) cannot be written: nothing can be stored in it. "
                "Give another --db, or a copy of it: descgen backup FILE"
            )
        with _user_errors(self._engine.url), Session(_write_engine(self._engine)) as session, session.begin():
            _lock(session.connection())
            yield session


def display(url: URL) -> str:
    """Return a URL for messages: the path of a SQLite file; other URLs without their password."""
    sqlite = url.get_backend_name() == "sqlite"
    return url.database or "a database in memory" if sqlite else url.render_as_string(hide_password=True)


@contextmanager
def _user_errors(url: URL) -> Iterator[None]:
    """Turn errors of the database into a `DatabaseError`."""
    try:
        yield
    except DBAPIError as error:
        if "database is locked" in str(error.orig):
            raise DatabaseError(_LOCKED.format(name=display(url))) from error
        raise DatabaseError(f"The database {display(url)} says: {' '.join(str(error.orig).split())}") from error
    except OverflowError as error:
        raise DatabaseError(f"The database {display(url)} cannot hold that number: {error}") from error
    except (ValueError, LookupError, SQLAlchemyError) as error:  # JSON, a time or a row that is not what it should be
        reason = " ".join(f"{error}".split())[:200]
        raise DatabaseError(
            f"The database {display(url)} holds what cannot be read ({type(error).__name__}: {reason}). It is damaged, "
            "or this is a fault of the program: see whether a backup can be read, with: descgen --db BACKUP stats"
        ) from error


def _configure_sqlite(engine: Engine) -> None:
    """Apply the settings, and begin transactions ourselves: the driver begins them too late to hold a write lock."""

    opened: list[tuple[int, int]] = []  # the file that the first connection opened

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        _refuse_replaced(engine.url, opened)
        connection.isolation_level = None
        for setting in _SQLITE_SETTINGS if "timeout" in engine.url.query else (_WAIT, *_SQLITE_SETTINGS):
            _execute_when_unlocked(connection, setting)
        opened[:] = opened or _identity(engine.url)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        _refuse_replaced(engine.url, opened)
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


def _identity(url: URL) -> list[tuple[int, int]]:
    """Return device and inode of a SQLite file; empty for a database in memory, and for a file that is gone."""
    if not url.database:
        return []
    try:
        state = Path(url.database).stat()
    except OSError:
        return []
    return [(state.st_dev, state.st_ino)]


def _refuse_replaced(url: URL, opened: list[tuple[int, int]]) -> None:
    """Refuse to go on in a file that no longer has its name: what is written to it would be lost."""
    now = _identity(url)
    if opened and now != opened:
        change = "replaced by another file" if now else "deleted"
        raise DatabaseError(
            f"{display(url)} was {change} while it was in use: what this command stored in it went with the old "
            "file, and nothing more can be. Put that file back, or end this command and run it again"
        )


def _execute_when_unlocked(connection: sqlite3.Connection, setting: str) -> None:
    """Apply a setting; retry while another process is creating the same file."""
    deadline = time.monotonic() + _WAL_TIMEOUT
    while True:
        try:
            connection.execute(setting)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _write_engine(engine: Engine) -> Engine:
    """Return the engine for transactions that write: SQLite waits for its write lock when they begin."""
    return engine.execution_options(begin="IMMEDIATE")


def _lock(connection: Connection) -> None:
    """On PostgreSQL, wait for our write lock; the end of the transaction releases it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine, *, back_up: bool = True) -> None:
    """Bring a database to the newest revision, with a backup of a SQLite file before it."""
    with engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    with _write_engine(engine).connect() as connection, _no_foreign_keys(connection), connection.begin():
        _lock(connection)
        revision = _revision(connection)  # again: another process may have migrated it meanwhile
        if revision != HEAD:
            _check(connection, revision, display(engine.url))
            if back_up:
                _back_up(engine, revision)
            _upgrade(connection) if revision else _create(connection)


@contextmanager
def _no_foreign_keys(connection: Connection) -> Iterator[None]:
    """Switch SQLite's foreign keys off, which is possible only outside of a transaction.

    A migration replaces a SQLite table by a new one; dropping the old table would violate the keys that refer to it.
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


def _check(connection: Connection, revision: str | None, name: str) -> None:
    """Refuse the database of another program or of a newer version; `name` is for the messages."""
    tables = inspect(connection).get_table_names() if revision is None else ()
    if tables:
        raise UserError(f"{name} belongs to another program (tables: {', '.join(tables[:5])}). Give another --db")
    if revision is not None and not (_REVISION.fullmatch(revision) and int(revision)):
        raise UserError(
            f"{name} has no revision of this program's schema (it says {revision[:40]!r}): it belongs to another "
            "program or is damaged. Give another --db, or a backup of it"
        )
    if revision is not None and revision > HEAD:
        raise UserError(
            f"{name} has revision {revision}, newer than this program's {HEAD}. "
            "Run: pip install --upgrade descgen-recognize"
        )


def _back_up(engine: Engine, revision: str | None) -> None:
    """Copy a SQLite file; an earlier copy of the same revision is kept if it is whole."""
    file = Path(engine.url.database or "")
    copy = Path(f"{file}.{revision}.bak")
    if engine.dialect.name == "sqlite" and revision is not None and not is_whole(copy, revision=revision):
        copy_database(file, copy)


def _create(connection: Connection) -> None:
    """Make all tables of a new database at once; a test holds that the migrations end in the same ones."""
    Base.metadata.create_all(connection)
    column = "version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY"
    connection.execute(text(f"CREATE TABLE alembic_version ({column})"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": HEAD})


def _upgrade(connection: Connection) -> None:
    from alembic import command  # takes half a second to import, and is rarely needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "db:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
