"""The database file: settings, migrations, and what it refuses."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from db.engine import open_engine
from db.errors import UsageError, UserError
from db.records import Added
from db.schema import HEAD, Base
from db.store import Store


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "db:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_migrations_make_the_tables_of_the_schema(database: Path) -> None:
    with open_engine(str(database)).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_sqlite_is_set_for_several_programs(database: Path) -> None:
    with open_engine(str(database)).connect() as connection:
        settings = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]
        assert settings == ["wal", 1]
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30000


def test_an_older_schema_is_backed_up_before_it_is_migrated(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(str(database)).close()
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO dataset (name) VALUES ('kept')")
    monkeypatch.setattr("db.engine.HEAD", "9999")  # as if this program were newer
    Store.open(str(database)).close()
    with sqlite3.connect(f"{database}.{HEAD}.bak") as copy:
        assert copy.execute("SELECT name FROM dataset").fetchall() == [("kept",)]


def test_what_is_not_ours_is_left_alone(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    with pytest.raises(UserError, match=r"tables of another program.*bookmarks"):
        Store.open(str(database))


def test_a_newer_database_is_refused(database: Path) -> None:
    Store.open(str(database)).close()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match="newer than this program"):
        Store.open(str(database))


def test_a_file_that_is_no_database_is_told(database: Path) -> None:
    database.write_text("hello" * 1000)
    with pytest.raises(UserError, match="not a database"):
        Store.open(str(database))


@pytest.mark.parametrize("url", ["nonsense://", "::://x", "oracle+nothing://host/name"])
def test_a_url_that_is_none_is_wrong_use(url: str) -> None:
    with pytest.raises(UsageError, match="SQLAlchemy URL"):
        Store.open(url)


def test_a_missing_database_says_how_to_make_one(database: Path) -> None:
    with pytest.raises(UserError, match="descgen build"):
        Store.open(str(database), create=False)
    assert not database.exists()


def test_several_processes_may_open_a_new_file_at_once(database: Path) -> None:
    code = "import sys; from db.store import Store; Store.open(sys.argv[1]).close()"
    opened = [subprocess.Popen([sys.executable, "-c", code, str(database)]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in opened] == [0] * 4


@pytest.mark.parametrize("url", ["~nobody-of-this-name/x.db", "postgresql://u:p@h:bad/n"])
def test_a_url_that_cannot_be_parsed_is_wrong_use(url: str) -> None:
    with pytest.raises(UsageError, match="--db"):
        Store.open(url, create=False)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(UserError) as told:
        Store.open("postgresql+psycopg://me:sekret@127.0.0.1:1/none?connect_timeout=2")
    assert "sekret" not in str(told.value)


def test_a_name_with_signs_of_a_url_is_a_file(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "q?x=1.db")).close()
    assert (tmp_path / "q?x=1.db").exists()


def test_a_database_that_refuses_is_told(database: Path) -> None:
    store = Store.open(str(database))
    with pytest.raises(UserError, match="cannot hold that number"):
        store.run(10**20)
    with sqlite3.connect(database) as connection:
        connection.execute("DROP TABLE run")
    with pytest.raises(UserError, match="no such table: run"):
        store.runs()
    store.close()


def test_postgresql_takes_the_same_road() -> None:
    url = os.environ.get("TEST_POSTGRESQL_URL")
    if not url:
        pytest.skip("TEST_POSTGRESQL_URL names no PostgreSQL server")
    with create_engine(url).begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    from descriptor_gen.build import build_descriptors
    from descriptor_gen.plan import Options
    from descriptor_gen.prompt import load_prompts
    from tests.conftest import FakeLLM

    store, llm = Store.open(url), FakeLLM()
    dataset = store.dataset("hmdb51")
    for generated, cached in ((51, 0), (0, 51)):
        report = build_descriptors(store, dataset, llm=llm, prompts=load_prompts(["context"]))
        assert (report.generated, report.cached) == (generated, cached)
    assert len(store.descriptors(dataset)) == 3 * 51
    assert store.batches() == {}
    llm.environment = {"batch": "batch_1"}
    build_descriptors(
        store, dataset, llm=llm, prompts=load_prompts(["context"]), options=Options(limit=2, refresh=True)
    )
    assert [len(keys) for keys in store.batches().values()] == [2]
    assert store.counts()[0]["actions"] == 51
    assert store.add_portable(dataset, store.portable(dataset)) == Added(added=0, already=3 * 51, left_out=0)
    there = replace(store.portable(dataset)[0], source="import", origin="a.json sha256:0", call=None)
    assert store.add_portable(dataset, [there, there]) == Added(added=2, already=0, left_out=0)
    store.close()
