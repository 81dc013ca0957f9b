"""Fixtures of all tests: an own database and feature store, the commands, the fakes.

No test depends on how busy the computer is: API code runs on a `ManualClock`, other waits end with an event or a
condition, and their limits of minutes only end a test that hangs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, text

from db.store import Store
from descriptor_gen.llms.registry import known_llms
from descriptor_gen.llms.testing import FakeLLM, registered
from encoders.testing import FakeEncoder
from tests.fixtures.commands import Run

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


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a database that does not exist yet."""
    return tmp_path / "descriptors.db"


SERVER = os.environ.get("TEST_POSTGRESQL_URL")


@pytest.fixture(params=["sqlite", *(["postgresql"] if SERVER else [])])
def any_database(request: pytest.FixtureRequest, database: Path) -> str:
    """The URL of a database without tables; the test runs on SQLite, and on PostgreSQL if a server is configured."""
    if request.param == "sqlite":
        return f"sqlite:///{database}"
    name = f"test_{uuid4().hex}"
    with create_engine(str(SERVER), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return f"{str(SERVER).rpartition('/')[0]}/{name}"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    """The store that the commands of this test use."""
    opened = Store.open(str(database))
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
def descgen(database: Path) -> Run:
    """Run `descgen` on this test's database."""
    from descriptor_gen.cli import descgen as command

    return lambda *arguments: CliRunner().invoke(command, list(map(str, arguments)), env={"DESCGEN_DB": str(database)})


@pytest.fixture
def recognize(database: Path) -> Run:
    """Run `recognize` on this test's database."""
    from recognizer.cli import recognize as command

    return lambda *arguments: CliRunner().invoke(command, list(map(str, arguments)), env={"DESCGEN_DB": str(database)})


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
