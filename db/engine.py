"""Opening a database: connection settings, and migrations up to the newest revision."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from db.errors import UsageError, UserError
from db.schema import HEAD

_SQLITE_SETTINGS = (
    "PRAGMA journal_mode=WAL",  # readers and one writer side by side
    "PRAGMA synchronous=NORMAL",  # with WAL, a crash of the process loses nothing
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=30000",
)


def open_engine(url: str) -> Engine:
    """Return an engine on the newest schema; a SQLite file is created, or backed up before it is migrated.

    Args:
        url: an SQLAlchemy URL, or the path of a SQLite file.

    Raises:
        UsageError: the URL is not one.
        UserError: the database cannot be reached, is not one of ours, or is newer than this program.
    """
    try:
        engine = create_engine(_as_url(url))
        if engine.dialect.name == "sqlite":
            _listen(engine)
        _migrate(engine)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise UsageError(
            f"--db {url}: {error}. Give a file such as descriptors.db, or an SQLAlchemy URL such as "
            "postgresql+psycopg://user@host/name (needs: pip install 'psycopg[binary]')"
        ) from error
    except DBAPIError as error:
        raise UserError(f"Cannot open the database {url}: {error.orig}") from error
    return engine


def _as_url(url: str) -> str:
    return url if "://" in url else f"sqlite:///{Path(url).expanduser()}"


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite database, None for other databases."""
    database = make_url(_as_url(url))
    return Path(database.database) if database.get_backend_name() == "sqlite" and database.database else None


def _listen(engine: Engine) -> None:
    """Take transactions over from the driver, which would begin them too late to hold a write lock."""

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for setting in _SQLITE_SETTINGS:
            connection.execute(setting)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")


def writing(engine: Engine) -> Engine:
    """Return the engine for transactions that write: SQLite takes its lock at once and waits for it."""
    return engine.execution_options(begin="IMMEDIATE")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        revision = _revision(connection)
        tables = inspect(connection).get_table_names() if revision is None else ()
    if revision == HEAD:
        return
    if tables:
        raise UserError(f"{engine.url} holds tables of another program ({', '.join(tables[:5])}). Give another --db")
    if revision is not None and revision > HEAD:
        raise UserError(
            f"{engine.url} has revision {revision}, newer than this program's {HEAD}. "
            "Run: pip install --upgrade descgen-recognize"
        )
    if revision is not None:
        _back_up(engine, revision)
    _upgrade(engine)


def _back_up(engine: Engine, revision: str) -> None:
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return
    source = Path(engine.url.database)
    with sqlite3.connect(source) as old, sqlite3.connect(f"{source}.{revision}.bak") as copy:
        old.backup(copy)


def _upgrade(engine: Engine) -> None:
    """Run the missing revisions in one transaction; who comes second finds nothing left to do."""
    from alembic import command  # half a second to import, and needed once in a database's life
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "db:migrations")
    with writing(engine).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
