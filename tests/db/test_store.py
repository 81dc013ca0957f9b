"""The database file: settings, migrations, and files that are refused."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, StaticPool, create_engine, text

from db.engine import open_engine
from db.errors import UsageError, UserError
from db.records import ImportCounts
from db.schema import HEAD, Base
from db.store import Store


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "db:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def _definitions(engine: Engine) -> dict[str, set[str]]:
    """Return the columns and constraints of each table, and each index, in no order."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")).all()
    parts = {name: " ".join(sql.replace('"', "").split()).rstrip(" )") for name, sql in rows}
    return {
        name: {part.strip(" )") for part in re.split(r", (?=\w+ |CONSTRAINT)|\(", sql)} for name, sql in parts.items()
    }


def test_migrations_end_in_the_tables_of_a_new_database(database: Path) -> None:
    migrated = create_engine("sqlite://", poolclass=StaticPool)
    config = Config()
    config.set_main_option("script_location", "db:migrations")
    with migrated.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    new, old = _definitions(open_engine(str(database))), _definitions(migrated)
    assert len(new) > 10
    assert {name: parts for name, parts in new.items() if name != "alembic_version"} == {
        name: parts for name, parts in old.items() if name != "alembic_version"
    }


def test_sqlite_is_set_for_several_programs(database: Path) -> None:
    with open_engine(str(database)).connect() as connection:
        settings = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]
        assert settings == ["wal", 1]
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 30000


def upgrade(url: str, revision: str, *statements: str) -> None:
    """Create a database of an older revision, with rows in it."""
    config = Config()
    config.set_main_option("script_location", "db:migrations")
    with create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_an_older_schema_is_backed_up_before_it_is_migrated(database: Path) -> None:
    upgrade(f"sqlite:///{database}", "0001", "INSERT INTO dataset (name) VALUES ('kept')")
    Store.open(str(database)).close()
    for file, revision in ((database, HEAD), (Path(f"{database}.0001.bak"), "0001")):
        with sqlite3.connect(file) as connection:
            assert connection.execute("SELECT name FROM dataset").fetchall() == [("kept",)]
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]


def test_an_earlier_backup_of_the_same_schema_is_kept(database: Path) -> None:
    backup = Path(f"{database}.0001.bak")
    upgrade(f"sqlite:///{backup}", "0001", "INSERT INTO dataset (name) VALUES ('earlier')")
    before = backup.read_bytes()
    upgrade(f"sqlite:///{database}", "0001")
    Store.open(str(database)).close()
    assert backup.read_bytes() == before


OLD_ROWS = """
    INSERT INTO dataset VALUES ('hmdb51', 1);
    INSERT INTO action VALUES (1, 50, 'wave', 'waving a hand', 7);
    INSERT INTO llm VALUES ('fake', 'fake', '1', 3);
    INSERT INTO template VALUES ('context', 1, 'abc', 'source', 4);
    INSERT INTO generation VALUES
      ('key', 1, 7, 4, 3, 0, '{}', '{}', '[]', '{}', '{"a": 1}', 'stop', 'ok', NULL, 1, 2, 0.5, '2026-01-01', 5);
    INSERT INTO descriptor VALUES
      (7, 'context', 0, 'a hand', 'llm', NULL, 5, 'accepted', 2, '2026-01-01', NULL, 11),
      (7, 'context', 0, 'an old hand', 'llm', NULL, 5, 'pending', 1, '2026-01-01', '2026-01-02', 12);
    INSERT INTO review_event VALUES
      (11, 'anna', 'accept', '{"status": "pending"}', '{"status": "accepted"}', '2026-01-01', 21);
    INSERT INTO run VALUES ('hmdb51', '{}', 'x', '[11]', '{}', '[]', '{}', 1.0, '2026-01-01', 31);
    INSERT INTO impact VALUES (31, 11, 0.5, 0.25, 41);
"""


@pytest.fixture
def first_schema(any_database: str) -> str:
    """A database of revision 0001, with rows that refer to a descriptor."""
    upgrade(any_database, "0001", *OLD_ROWS.strip().split(";\n"))
    return any_database


def _old_rows(connection: Any) -> list[Any]:
    """Return the rows of the columns that revision 0001 had."""
    columns = "action_id, kind, position, text, source, generation_id, status, version, superseded_at, id"
    of_run = "dataset, settings, descriptors_sha256, descriptor_ids, counts, left_out, results, seconds, created_at, id"
    queries = (f"SELECT {columns} FROM descriptor ORDER BY id", "SELECT * FROM impact", f"SELECT {of_run} FROM run")  # noqa: S608
    return [list(map(tuple, connection.execute(text(query)))) for query in queries]


def test_a_database_of_the_first_schema_is_opened_with_everything_in_it(first_schema: str, database: Path) -> None:
    with create_engine(first_schema).connect() as connection:
        before = _old_rows(connection)
    store = Store.open(first_schema)
    [descriptor] = store.descriptors(store.dataset("hmdb51"))
    assert (descriptor.id, descriptor.text, descriptor.status, descriptor.version, descriptor.llm) == (
        11,
        "a hand",
        "accepted",
        2,
        "fake",
    )
    assert (descriptor.edited_from, descriptor.original) == (None, None)
    assert store.run(31).descriptor_ids == (11,)
    assert [(event.id, event.decision, event.reviewer) for event in store.reviews().history(11)] == [(21, 21, "anna")]
    store.close()
    with create_engine(first_schema).connect() as connection:
        assert _old_rows(connection) == before
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    if "sqlite" in first_schema:
        with create_engine(f"sqlite:///{database}.0001.bak").connect() as backup:
            assert _old_rows(backup) == before
            assert backup.execute(text("SELECT version_num FROM alembic_version")).scalar() == "0001"
        with open_engine(first_schema).connect() as connection:
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_a_database_of_another_program_is_refused(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    with pytest.raises(UserError, match=r"belongs to another program.*bookmarks"):
        Store.open(str(database))


def test_a_newer_database_is_refused(database: Path) -> None:
    Store.open(str(database)).close()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match="newer than this program"):
        Store.open(str(database))


def test_a_file_that_is_no_database_is_refused(database: Path) -> None:
    database.write_text("hello" * 1000)
    with pytest.raises(UserError, match="not a database"):
        Store.open(str(database))


@pytest.mark.parametrize("url", ["nonsense://", "::://x", "oracle+nothing://host/name"])
def test_an_invalid_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="SQLAlchemy URL"):
        Store.open(url)


def test_a_missing_database_says_how_to_make_one(database: Path) -> None:
    with pytest.raises(UserError, match="descgen build"):
        Store.open(str(database), create=False)
    assert not database.exists()


def test_several_processes_may_open_a_new_file_at_once(database: Path) -> None:
    code = "import sys; from db.store import Store; Store.open(sys.argv[1]).close()"
    opened = [subprocess.Popen([sys.executable, "-c", code, str(database)]) for _ in range(4)]
    assert [process.wait(timeout=600) for process in opened] == [0] * 4


@pytest.mark.parametrize("url", ["~nobody-of-this-name/x.db", "postgresql://u:p@h:bad/n"])
def test_a_url_that_cannot_be_parsed_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="--db"):
        Store.open(url, create=False)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(UserError) as raised:
        Store.open("postgresql+psycopg://me:sekret@127.0.0.1:1/none?connect_timeout=2")
    assert "sekret" not in str(raised.value)


def test_a_file_name_may_look_like_a_url_query(tmp_path: Path) -> None:
    Store.open(str(tmp_path / "q?x=1.db")).close()
    assert (tmp_path / "q?x=1.db").exists()


def test_errors_of_the_database_are_user_errors(database: Path) -> None:
    store = Store.open(str(database))
    with pytest.raises(UserError, match="cannot hold that number"):
        store.run(10**20)
    with sqlite3.connect(database) as connection:
        connection.execute("DROP TABLE run")
    with pytest.raises(UserError, match="no such table: run"):
        store.runs()
    store.close()


def test_a_server_behaves_as_a_file_does(any_database: str) -> None:
    from descriptor_gen.generate.build import build_descriptors
    from descriptor_gen.generate.calls import BuildOptions
    from descriptor_gen.llms.testing import FakeLLM
    from descriptor_gen.prompting.prompt import load_prompts

    store, llm = Store.open(any_database), FakeLLM()
    dataset = store.dataset("hmdb51")
    for generated, cached in ((51, 0), (0, 51)):
        report = build_descriptors(store, dataset, llm=llm, prompts=load_prompts(["context"]))
        assert (report.generated, report.cached) == (generated, cached)
    assert len(store.descriptors(dataset)) == 3 * 51
    assert store.batches() == {}
    llm.environment = {"batch": "batch_1"}
    build_descriptors(
        store, dataset, llm=llm, prompts=load_prompts(["context"]), options=BuildOptions(limit=2, refresh=True)
    )
    assert [len(keys) for keys in store.batches().values()] == [2]
    assert store.counts()[0]["actions"] == 51
    assert store.add_portable(dataset, store.portable(dataset)) == ImportCounts(added=0, already=3 * 51, left_out=0)
    imported = replace(store.portable(dataset)[0], source="import", origin="a.json sha256:0", call=None)
    assert store.add_portable(dataset, [imported, imported]) == ImportCounts(added=2, already=0, left_out=0)
    store.close()
