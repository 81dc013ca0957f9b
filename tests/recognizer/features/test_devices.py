"""`recognize embed --devices`: a process for each device of one machine; the store and the run of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.commands import Run
from tests.fixtures.mortal import MARKER, WAITING
from tests.fixtures.stores import content
from tests.fixtures.videos import make_clips

ENCODER = "tests.fixtures.mortal:make"
VIDEOS = 24  # and one that cannot be read: at 32 frames each, seven batches
ROOT = Path(__file__).parents[3]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Videos of two classes, and one that cannot be read."""
    return make_clips(tmp_path / "clips", VIDEOS)


def embed(recognize: Run, clips: Path, store: Path, *options: str) -> dict[str, Any]:
    result = recognize("embed", clips, "-e", ENCODER, "--frames", "32", "--features", store, "--json", *options)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def run(recognize: Run, clips: Path, store: Path) -> dict[str, Any]:
    """Evaluate on the embeddings in a store; return the run without its number and times."""
    result = recognize("eval", clips, "-e", ENCODER, "--frames", "32", "--features", store, "--json")
    assert result.exit_code == 0, result.output
    evaluated: dict[str, Any] = json.loads(result.stdout)
    return {name: value for name, value in evaluated.items() if name not in ("id", "created_at", "seconds")}


@pytest.mark.slow
@pytest.mark.usefixtures("llm")
def test_the_store_and_the_run_are_those_of_one_process(
    recognize: Run, descgen: Run, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = embed(recognize, clips, tmp_path / "one")
    two = embed(recognize, clips, tmp_path / "two", "--devices", "cpu,cpu")
    assert content(tmp_path / "two") == content(tmp_path / "one")
    assert {**two, "seconds": 0} == {**one, "seconds": 0}
    assert two["counts"] == {**two["counts"], "listed": VIDEOS + 1, "embedded": VIDEOS, "unreadable": 1}
    monkeypatch.setenv(MARKER, str(tmp_path / "marker"))  # from now on a process that encodes ends
    moved = clips.rename(tmp_path / "moved")
    again = embed(recognize, moved, tmp_path / "two", "--devices", "cpu,cpu")
    assert (again["counts"]["stored before"], again["counts"]["embedded"]) == (VIDEOS, 0)
    descgen("build", "-d", moved, "-k", "context")
    assert run(recognize, moved, tmp_path / "two") == run(recognize, moved, tmp_path / "one")
    assert not (tmp_path / "marker").exists()


@pytest.mark.slow
def test_a_process_that_ends_is_said_and_the_next_command_goes_on(
    recognize: Run, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARKER, str(tmp_path / "marker"))
    ended = recognize(
        "embed", clips, "-e", ENCODER, "--frames", "32", "--features", tmp_path / "two", "--devices", "cpu,cpu"
    )
    assert ended.exit_code == 1
    assert "The process for device cpu ended (SIGKILL)" in ended.stderr
    assert "run the command again" in ended.stderr
    embed(recognize, clips, tmp_path / "two", "--devices", "cpu")
    embed(recognize, clips, tmp_path / "one")
    assert content(tmp_path / "two") == content(tmp_path / "one")


@pytest.mark.slow
def test_ctrl_c_ends_all_processes(clips: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "recognizer", "embed", clips, "-e", "tests.fixtures.mortal:make_waiting",
         "--features", tmp_path / "two", "--devices", "cpu,cpu"],
        env={**os.environ, "PYTHONPATH": str(ROOT), WAITING: str(pipe)},
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with pipe.open() as waiting:
        assert waiting.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        assert set(waiting) <= {"waiting\n"}  # read to the end: no process has it open any more
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("Stopped. The features of 0 videos are kept")
    assert "Traceback" not in errors


@pytest.mark.parametrize("value", ["", "gpu", "0;1", "-1", "cpu,", "0,99"])
def test_a_device_is_a_gpu_that_is_there_or_the_cpu(
    recognize: Run, clips: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    result = recognize("embed", clips, "-e", ENCODER, "--devices", value)
    assert (result.exit_code, f"--devices {value}" in result.stderr) == (2, True), result.output
    assert ("recognize doctor" if value == "0,99" else "such as 0,1") in result.stderr


def test_devices_are_of_one_machine_and_of_one_process(
    recognize: Run, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("embed", clips, "-e", ENCODER, "--devices", "cpu,cpu")
    ray = recognize(*options, "--engine", "ray")
    assert (ray.exit_code, "either them or --engine ray" in ray.stderr) == (2, True)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    launched = recognize(*options)
    assert (launched.exit_code, "unset them" in launched.stderr) == (2, True)
