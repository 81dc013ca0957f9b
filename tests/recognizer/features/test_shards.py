"""`recognize embed --shard` and `recognize features merge`: several machines fill one store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.testing import FakeEncoder, registered
from recognizer.features.store import FeatureStore
from tests.fixtures.commands import Run
from tests.fixtures.stores import content
from tests.fixtures.videos import make_clips

VIDEOS, SHARDS = 7, 3
FRAMES = 50  # 3 videos are a batch
ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def encoder() -> Iterator[FakeEncoder]:
    """The encoder `fake`."""
    fake = FakeEncoder()
    with registered(fake, "fake"):
        yield fake


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Seven videos of two classes, and one that cannot be read."""
    return make_clips(tmp_path / "clips", VIDEOS)


def embed(recognize: Run, clips: Path, store: Path, *options: str, name: object = "fake") -> dict[str, Any]:
    result = recognize("embed", clips, "-e", name, "--frames", FRAMES, "--features", store, "--json", *options)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def parts(recognize: Run, clips: Path, tmp_path: Path) -> list[Path]:
    folders = [tmp_path / f"part {number}" for number in range(1, SHARDS + 1)]
    for number, folder in enumerate(folders, 1):
        embed(recognize, clips, folder, "--shard", f"{number}/{SHARDS}")
    return folders


def test_each_video_is_in_one_shard_and_the_merged_store_is_that_of_one_machine(
    recognize: Run, clips: Path, tmp_path: Path, encoder: FakeEncoder
) -> None:
    embed(recognize, clips, tmp_path / "whole")
    encoder.frames.clear()
    folders = parts(recognize, clips, tmp_path)
    assert sum(encoder.frames) == VIDEOS * FRAMES
    result = recognize("features", "merge", *folders, "--features", tmp_path / "merged", "--json")
    assert result.exit_code == 0, result.output
    merged = json.loads(result.stdout)
    assert [sum(shelf[name] for shelf in merged) for name in ("added", "already", "unreadable", "damaged")] == [
        *(VIDEOS, 0, 1, 0)
    ]
    assert content(tmp_path / "merged") == content(tmp_path / "whole")
    again = embed(recognize, clips, tmp_path / "merged")
    assert (again["counts"]["stored before"], again["counts"]["embedded"]) == (VIDEOS, 0)


def test_the_last_bit_of_a_network_is_that_of_one_machine(
    recognize: Run, clips: Path, tmp_path: Path, tiny_clip_archive: Path
) -> None:
    """How a product of matrices is rounded depends on their sizes, so a frame needs the same ones beside it."""
    options = {"name": tiny_clip_archive}
    embed(recognize, clips, tmp_path / "whole", "--trust-file", **options)
    for number in range(1, SHARDS + 1):
        embed(recognize, clips, tmp_path / "parts", "--trust-file", "--shard", f"{number}/{SHARDS}", **options)
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_a_shard_counts_what_it_leaves_to_the_others(recognize: Run, clips: Path, tmp_path: Path) -> None:
    counts = embed(recognize, clips, tmp_path / "part", "--shard", "2/3")["counts"]
    assert counts["listed"] == VIDEOS + 1
    assert counts["embedded"] + counts["unreadable"] + counts["in other shards"] == VIDEOS + 1
    assert embed(recognize, clips, tmp_path / "none", "--shard", "99/99")["counts"]["in other shards"] == VIDEOS + 1


def test_merging_again_adds_nothing(recognize: Run, clips: Path, tmp_path: Path) -> None:
    folders = parts(recognize, clips, tmp_path)
    for added in (VIDEOS, 0):
        result = recognize("features", "merge", *folders, "--features", tmp_path / "merged")
        assert f"{added} records added" in result.stdout
    with FeatureStore.open(tmp_path / "merged", create=False) as store:
        [row] = [row for row in store.shelves() if row.key["what"] == "frames"]
        assert row.records == VIDEOS


def test_a_damaged_record_is_left_out_and_said(recognize: Run, clips: Path, tmp_path: Path) -> None:
    [first, *_] = folders = parts(recognize, clips, tmp_path)
    [file] = first.glob("*.f32")
    numbers = np.fromfile(file, "<f4")
    numbers[0] += 1
    numbers.tofile(file)
    result = recognize("features", "merge", *folders, "--features", tmp_path / "merged")
    assert result.exit_code == 1
    assert "1 records are damaged and were left out" in result.stderr
    assert embed(recognize, clips, tmp_path / "merged")["counts"]["embedded"] == 1


def test_what_is_no_other_store_is_refused(recognize: Run, clips: Path, tmp_path: Path) -> None:
    embed(recognize, clips, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "copy")
    itself = recognize("features", "merge", tmp_path / "whole", "--features", tmp_path / "whole")
    assert (itself.exit_code, "into itself" in itself.stderr) == (2, True)
    assert recognize("features", "merge", clips, "--features", tmp_path / "whole").exit_code == 1
    assert content(tmp_path / "whole") == content(tmp_path / "copy")


def test_a_folder_without_features_is_named_before_anything_is_made(
    recognize: Run, clips: Path, tmp_path: Path
) -> None:
    embed(recognize, clips, tmp_path / "whole")
    target = ("--features", tmp_path / "merged")
    refused = recognize("features", "merge", tmp_path / "whole", tmp_path / "nosuch", *target)
    assert refused.exit_code == 1
    assert f"1 of 2 folders hold no embeddings: {tmp_path / 'nosuch'}. Nothing was merged" in refused.stderr
    assert "with --features" not in refused.stderr  # the store to fill is right
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "index.db").write_text("no database" * 100)
    assert recognize("features", "merge", tmp_path / "whole", tmp_path / "copy", *target).exit_code == 1
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("value", ["3", "0/3", "4/3", "a/b", "1/0", "/"])
def test_a_shard_is_a_number_of_a_count(recognize: Run, clips: Path, value: str) -> None:
    result = recognize("embed", clips, "-e", "fake", "--shard", value)
    assert (result.exit_code, "such as 3/8" in result.stderr) == (2, True)


def test_the_processes_of_a_launcher_take_one_part_each(
    recognize: Run, clips: Path, tmp_path: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed(recognize, clips, tmp_path / "whole")
    encoder.frames.clear()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        embed(recognize, clips, tmp_path / "both")
    assert sum(encoder.frames) == VIDEOS * FRAMES
    assert content(tmp_path / "both") == content(tmp_path / "whole")
    refused = recognize("embed", clips, "-e", "fake", "--shard", "1/3")
    assert (refused.exit_code, "unset them" in refused.stderr) == (2, True)


_LAUNCHERS = {
    "torchrun": ("torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    "accelerate": ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),  # two also without any GPU
    "accelerate --cpu": ("accelerate.commands.launch", "--cpu", "--num_processes", "2"),  # one, unless by mpirun
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", _LAUNCHERS)
def test_what_a_launcher_starts_fills_the_store_of_one_process(
    recognize: Run, clips: Path, tmp_path: Path, launcher: str
) -> None:
    name = "tests.fixtures.mortal:make"
    options = ("embed", clips, "-e", name, "--frames", FRAMES, "--features")
    assert recognize(*options, tmp_path / "whole").exit_code == 0
    done = subprocess.run(
        [sys.executable, "-m", *_LAUNCHERS[launcher], "-m", "recognizer", *map(str, options), str(tmp_path / "both")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(tmp_path / "no config")},
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    processes = 1 if launcher == "accelerate --cpu" else 2
    assert done.stdout.count(f"stored in {tmp_path / 'both'}") == processes
    assert done.stderr.count("of 2: shard") == (2 if processes == 2 else 0)
    assert content(tmp_path / "both") == content(tmp_path / "whole")
