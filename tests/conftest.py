"""Fixtures of all tests: an own database and feature store, the commands, the fakes.

No test depends on how busy the computer is: API code runs on a `ManualClock`, other waits end with an event or a
condition, and their limits of minutes only end a test that hangs.
"""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # each worker, and each command that it starts, has one of the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, settings
from sqlalchemy import NullPool, create_engine, text

from db.store import Store
from descriptor_gen.llms.registry import known_llms
from descriptor_gen.llms.testing import FakeLLM, registered
from encoders.testing import FakeEncoder
from tests.fixtures.commands import Run

for ignored in (signal.SIGINT, signal.SIGHUP):  # as `nohup` and a shell's `&` leave them to what they start
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, signal.default_int_handler if ignored == signal.SIGINT else signal.SIG_DFL)
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")
pytest_plugins = [
    "tests.fixtures.encoders",
    "tests.fixtures.open_clip",
    "tests.fixtures.chat_server",
    "tests.fixtures.batch_server",
    "tests.fixtures.file_server",
]


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    """The model of this test: `--llm fake`, `other`, `qwen` and every short name open it."""
    fake = FakeLLM()
    with registered(fake, "fake", "other", "qwen", *known_llms()):
        yield fake


SERVER = os.environ.get("TEST_POSTGRESQL_URL")
ON_SERVER = os.environ.get("TEST_DATABASE") == "postgresql"  # every test with a database on that server, and no other


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With TEST_DATABASE=postgresql, keep the tests that use a database, but for those about the file of one."""
    if not ON_SERVER:
        return
    if not SERVER:
        raise pytest.UsageError("TEST_DATABASE=postgresql needs a server: set TEST_POSTGRESQL_URL")
    kept = [item for item in items if _uses_server(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


_OF_SERVER = {"db_url", "other_db_url", "module_db_url", "any_database"}


def _uses_server(fixtures: Collection[str]) -> bool:
    return "database" not in fixtures and not _OF_SERVER.isdisjoint(fixtures)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The file of a database that does not exist yet, for tests about that file; no server can run them.

    Tests that only need a database take `db_url`, and those that need a folder beside it `tmp_path`.
    """
    return tmp_path / "descriptors.db"


@contextmanager
def own_database(request: pytest.FixtureRequest, file: Path) -> Iterator[str]:
    """Give a database as `--db` takes it: a file, or one of its own on the server."""
    with on_server(request.getfixturevalue("migrated")) if ON_SERVER else nullcontext(str(file)) as url:
        yield url


@pytest.fixture
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The database of this test: the file of `database`, or one of its own on the server."""
    with own_database(request, tmp_path / "descriptors.db") as url:
        yield url


@pytest.fixture
def other_db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Another database, likewise."""
    with own_database(request, tmp_path / "elsewhere.db") as url:
        yield url


@pytest.fixture(scope="module")
def module_db_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for all tests of a file, which takes long to fill; likewise."""
    with own_database(request, tmp_path_factory.mktemp("module") / "descriptors.db") as url:
        yield url


@pytest.fixture(scope="session")
def migrated() -> Iterator[str]:
    """The name of a database on the server that has all tables, to copy."""
    with on_server() as url:
        Store.open(url).close()
        yield url.rpartition("/")[2]


@contextmanager
def on_server(template: str = "template1") -> Iterator[str]:
    """Make a database on the server of TEST_POSTGRESQL_URL, and drop it at the end; yield its URL."""
    name = f"test_{uuid4().hex}"
    engine = create_engine(str(SERVER), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        try:
            yield f"{str(SERVER).rpartition('/')[0]}/{name}"
        finally:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))  # a test may leave a connection open


@pytest.fixture(params=["sqlite", *(["postgresql"] if SERVER else [])])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables; the test runs on SQLite, and on PostgreSQL if a server is configured."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'descriptors.db'}"
        return
    with on_server() as url:
        yield url


@pytest.fixture
def store(db_url: str) -> Iterator[Store]:
    """The store that the commands of this test use."""
    opened = Store.open(db_url)
    yield opened
    opened.close()


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """The folder of this test's feature store; it does not exist yet."""
    return tmp_path / "features"


@pytest.fixture(autouse=True)
def _own_features(features: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test, and the commands that it runs, out of the user's feature store."""
    monkeypatch.setenv("RECOGNIZE_FEATURES", str(features))


@pytest.fixture(autouse=True)
def _no_profile(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's profile out of every test, and of the commands that it runs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def descgen(db_url: str) -> Run:
    """Run `descgen` on this test's database."""
    from descriptor_gen.cli import descgen as command

    return lambda *arguments: CliRunner().invoke(command, list(map(str, arguments)), env={"DESCGEN_DB": db_url})


@pytest.fixture
def recognize(db_url: str) -> Run:
    """Run `recognize` on this test's database."""
    from recognizer.cli import recognize as command

    return lambda *arguments: CliRunner().invoke(command, list(map(str, arguments)), env={"DESCGEN_DB": db_url})


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and reference data beside the checkout; without it, tests that need it are skipped."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder ../shared with real clips and reference data")
    return folder


@pytest.fixture
def fake_encoder() -> FakeEncoder:
    """A fresh fake encoder."""
    return FakeEncoder()
