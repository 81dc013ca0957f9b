"""The fakes, at the seams alone: a language model that says what it is told, an encoder with known vectors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text

from db.records import LLMIdentity
from db.store import Store
from descriptor_gen.llms import Reply, Request

pytest_plugins = [
    "tests.fixtures.encoders",
    "tests.fixtures.chat_server",
    "tests.fixtures.batch_server",
    "tests.fixtures.file_server",
]

ANSWERS: dict[str, Any] = {
    "steps": ["someone begins it slowly", "someone moves on with it", "someone ends it at last"],
    "setting": "a wide green field",
    "objects": ["a ball", "a wooden bat"],
    "description": "someone does it in the open while others look on",
    "before": "someone gets ready for it",
    "after": "someone rests from it",
    "features": ["someone in a red shirt", "a rope along the wall", "both arms raised high"],
}


class FakeLLM:
    """A language model that answers what was enqueued, else something valid for the schema; it keeps its history."""

    def __init__(self, *, batch_size: int = 16, model: str = "fake") -> None:
        self.identity = LLMIdentity("fake", model, "1")
        self.parameters: dict[str, Any] = {"do_sample": False}
        self.environment: dict[str, Any] = {"device": "none"}
        self.batch_size = batch_size
        self.history: list[Request] = []
        self._queue: list[str | Exception | Reply] = []

    def enqueue(self, *replies: str | Exception) -> None:
        """Answer the next requests with these texts; an exception is raised as the whole batch's."""
        self._queue.extend(replies)

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for start in range(0, len(requests), self.batch_size):
            batch = requests[start : start + self.batch_size]
            self.history.extend(batch)
            yield [self._reply(request) for request in batch]

    def _reply(self, request: Request) -> Reply:
        queued = self._queue.pop(0) if self._queue else None
        if isinstance(queued, Exception):
            raise queued
        text = valid_reply(request) if queued is None else str(queued)
        if text == "<error>":
            return Reply(request, "", "error", None, None, 0.1, error="server on fire")
        if text == "<cut off>":
            return Reply(request, '{"steps": ["some', "length", 100, request.max_tokens, 0.1)
        return Reply(request, text, "stop", 100, 20, 0.1)


def valid_reply(request: Request) -> str:
    """Return a reply of the request's schema."""
    return json.dumps({name: ANSWERS[name] for name in request.output_schema["properties"]})


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> FakeLLM:
    """The model that every `--llm` opens in this test."""
    fake = FakeLLM()
    monkeypatch.setattr("descriptor_gen.llms.registry.open_llm", lambda name, options=None: fake)
    return fake


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a database that is not there yet."""
    return tmp_path / "descriptors.db"


SERVER = os.environ.get("TEST_POSTGRESQL_URL")


@pytest.fixture(params=["sqlite", *(["postgresql"] if SERVER else [])])
def any_database(request: pytest.FixtureRequest, database: Path) -> str:
    """The URL of a database without tables; the test runs on SQLite, and on PostgreSQL where there is a server."""
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
    """The folder of this test's feature store; not there yet."""
    return tmp_path / "features"


@pytest.fixture(autouse=True)
def _own_features(features: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test, and the commands that it runs, out of the user's feature store."""
    monkeypatch.setenv("RECOGNIZE_FEATURES", str(features))


Run = Callable[..., Result]


@pytest.fixture
def descgen(database: Path) -> Run:
    """Run `descgen` on this test's database."""
    from descriptor_gen.cli import descgen as command

    return lambda *arguments: CliRunner().invoke(command, ["--db", str(database), *map(str, arguments)])


@pytest.fixture
def recognize(database: Path) -> Run:
    """Run `recognize` on this test's database."""
    from recognizer.cli import recognize as command

    return lambda *arguments: CliRunner().invoke(command, ["--db", str(database), *map(str, arguments)])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and reference data beside the checkout; tests that need it skip where it is not."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder ../shared with real clips and reference data")
    return folder


class FakeEncoder:
    """An encoder that maps a text to a fixed vector, and frames to their mean colours; it keeps its history."""

    id = "fake"
    revision = "1"
    width = 32
    context_length = 77

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.frames: list[int] = []  # in each call

    def preprocess(self, frames: Any, *, preprocessing: str = "own") -> Any:
        import torch

        return torch.from_numpy(frames.astype("float32")).permute(0, 3, 1, 2).mean(dim=(2, 3), keepdim=True)

    def encode_frames(self, pixels: Any) -> Any:
        import torch

        self.frames.append(len(pixels))
        return torch.nn.functional.pad(pixels.flatten(1), (0, self.width - 3))

    def encode_texts(self, texts: Sequence[str]) -> Any:
        import torch

        self.encoded.extend(texts)
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
        rows = [torch.randn(self.width, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(rows)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]


@pytest.fixture
def fake_encoder() -> FakeEncoder:
    """A fresh fake encoder."""
    return FakeEncoder()
