"""descgen against a real server of OpenAI's protocol: `transformers serve` with the bundled model behind it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from db.store import Store
from descriptor_gen.llms.local.gguf import unpacked
from descriptor_gen.llms.registry import known_llms

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def model() -> Path:
    """The bundled model in the form that other programs read."""
    known = known_llms()["smollm2"]
    file = known.file()
    assert file is not None
    return unpacked(file, known.revision, torch.float32)


@pytest.fixture(scope="module")
def address(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("serve") / "log").open("w+")
    command = [BIN / "transformers", "serve", model, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    try:
        _wait(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    while True:
        assert server.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(url, timeout=60).close()  # noqa: S310 - our own server
        except OSError:
            time.sleep(0.5)
        else:
            return


def test_a_real_server_writes_valid_descriptors_once(address: str, model: Path, database: Path) -> None:
    def build() -> dict[str, int]:
        command = [BIN / "descgen", "--db", database, "build", "-d", "hmdb51", "-k", "decomposition", "--limit", "4"]
        served = ["--llm", f"openai:{model}", "--base-url", address, "--concurrency", "2", "--json"]
        served += ["--timeout", "3600"]  # a busy machine may take long for a reply
        environment = {**os.environ, "OPENAI_API_KEY": "none"}
        done = subprocess.run([*map(str, command), *served], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    first = build()
    assert (first["generated"], first["invalid"], first["failed"]) == (4, 0, 0)
    assert first["tokens_in"] > 4 * 200
    assert first["tokens_out"] > 4 * 10
    second = build()
    assert (second["cached"], second["generated"]) == (4, 0)
    store = Store.open(str(database), create=False)
    dataset = store.dataset("hmdb51")
    assert len(store.descriptors(dataset)) == 4 * 3
    good = [entry.generation for entry in store.history(dataset) if entry.generation.status == "ok"]
    store.close()
    assert len(good) == 4
    assert all("SmolLM2" in g.environment["served_by"] or str(model) in g.environment["served_by"] for g in good)
    assert {g.environment["response_format"] for g in good} == {"json_schema"}
