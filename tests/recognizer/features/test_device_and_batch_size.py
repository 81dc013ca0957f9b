"""`--device`: where one process encodes; `recognize embed --batch-size`: how many frames at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from encoders.testing import FakeEncoder, registered
from tests.fixtures.commands import Run
from tests.fixtures.videos import make_clips

VISIBLE = "CUDA_VISIBLE_DEVICES"
VIDEOS, FRAMES = 5, 32


class NotingEncoder(FakeEncoder):
    """One that notes which GPUs its process sees while it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = set[str | None]()

    def encode_frames(self, pixels: Any) -> Any:
        self.seen.add(os.environ.get(VISIBLE))
        return super().encode_frames(pixels)


@pytest.fixture(autouse=True)
def encoder() -> Iterator[NotingEncoder]:
    """The encoder `fake`."""
    noting = NotingEncoder()
    with registered(noting, "fake"):
        yield noting


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return make_clips(tmp_path / "clips", VIDEOS)


def embed(recognize: Run, clips: Path, *options: object) -> tuple[int, str]:
    result = recognize("embed", clips, "-e", "fake", "--frames", FRAMES, "--workers", 0, *options)
    return result.exit_code, result.output


def test_the_cpu_is_chosen_for_the_command_alone(
    recognize: Run, clips: Path, encoder: NotingEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VISIBLE, "4,7")
    assert embed(recognize, clips, "--device", "cpu")[0] == 0
    assert encoder.seen == {""}, "CUDA's word for no GPU"
    assert os.environ[VISIBLE] == "4,7"


@pytest.mark.parametrize(("visible", "number", "seen"), [("4,7", 1, "7"), ("4, GPU-5", 1, "GPU-5"), (None, 2, "2")])
def test_a_gpu_is_one_of_those_that_are_visible(
    recognize: Run, clips: Path, encoder: NotingEncoder, monkeypatch: pytest.MonkeyPatch,
    visible: str | None, number: int, seen: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # there is such a GPU
    monkeypatch.delenv(VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    assert embed(recognize, clips, "--device", number)[0] == 0
    assert encoder.seen == {seen}
    assert os.environ.get(VISIBLE) == visible


@pytest.mark.parametrize("visible", ["4,7", ""])
def test_a_gpu_that_is_hidden_stays_so(
    recognize: Run, clips: Path, encoder: NotingEncoder, monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv(VISIBLE, visible)
    code, output = embed(recognize, clips, "--device", 2)
    assert (code, f"CUDA_VISIBLE_DEVICES='{visible}' names no such GPU" in " ".join(output.split())) == (2, True)
    assert encoder.frames == []


@pytest.mark.parametrize(("visible", "local", "seen"), [("4,7", "1", "7"), ("", "1", ""), (None, "1", "1")])
def test_a_launcher_gives_each_process_a_visible_gpu(
    recognize: Run, clips: Path, encoder: NotingEncoder, monkeypatch: pytest.MonkeyPatch,
    visible: str | None, local: str, seen: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", local)
    monkeypatch.setenv(VISIBLE, visible or "")
    if visible is None:
        monkeypatch.delenv(VISIBLE)
    assert embed(recognize, clips)[0] == 0
    assert encoder.seen == {seen}


def test_more_processes_than_gpus_are_refused(recognize: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1"), (VISIBLE, "4")):
        monkeypatch.setenv(name, value)
    code, output = embed(recognize, clips)
    assert (code, "CUDA_VISIBLE_DEVICES=4 names fewer GPUs" in " ".join(output.split())) == (2, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "99"], "PyTorch has no such GPU here. Ask: recognize doctor"),
        (["--device", "cuda:0"], "write the number of a GPU, such as 1, or cpu"),
        (["--device", "cpu", "--devices", "cpu,cpu"], "give either it or --devices"),
        (["--device", "cpu", "--engine", "ray"], "give either it or --engine ray"),
        (["--batch-size", "0"], "Invalid value for '--batch-size'"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    recognize: Run, clips: Path, encoder: NotingEncoder, options: list[str], said: str
) -> None:
    code, output = embed(recognize, clips, *options)
    assert (code, said in " ".join(output.split())) == (2, True), output
    assert encoder.frames == []


def test_a_launcher_chooses_the_device_itself(recognize: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, output = embed(recognize, clips, "--device", "cpu")
    assert (code, "--device is given, and so are RANK 0 and WORLD_SIZE 2" in " ".join(output.split())) == (2, True)


@pytest.mark.parametrize(
    ("options", "together"),
    [
        ([], [4 * FRAMES, 1 * FRAMES]),  # 128 frames
        (["--batch-size", 64], [2 * FRAMES, 2 * FRAMES, 1 * FRAMES]),
        (["--batch-size", 1], [FRAMES] * VIDEOS),  # at least those of one video
        (["--batch-size", 1000], [VIDEOS * FRAMES]),
    ],
)
def test_frames_are_encoded_so_many_at_a_time(
    recognize: Run, clips: Path, encoder: NotingEncoder, options: list[object], together: list[int]
) -> None:
    (clips / "dark" / "broken.mp4").unlink()
    assert embed(recognize, clips, *options)[0] == 0
    assert encoder.frames == together
