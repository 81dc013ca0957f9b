"""Files damaged by a seed end as frames or with one reason, in bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from recognizer.video.pool import TOO_LONG
from tests.fixtures.damaged import damaged_files
from tests.fixtures.videos import CLIPS, make_images, make_video, needs_clips

ROOT = Path(__file__).parents[3]
_LARGEST = 2 * 2**30  # bytes in memory of one worker; the same clips undamaged: 0.7 GiB


def made(folder: Path) -> list[Path]:
    folder.mkdir()
    pictures = make_images(folder / "pictures", [f"{number}.png" for number in range(2)])
    return [
        *(make_video(folder / f"made{suffix}", 40) for suffix in (".avi", ".mp4", ".mkv", ".ts")),
        make_video(folder / "moved.mp4", 40, first=3, b_frames=2, faststart=True),
        *sorted(pictures.iterdir()),
    ]


def reasons(files: list[Path], *, workers: int) -> Counter[str]:
    """Read damaged files; count how each ended, and check that no worker needed much memory or was left behind.

    It is done in a process of its own, whose only children are the workers.
    """
    command = [sys.executable, "-m", "tests.fixtures.damaged", str(workers), *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    assert found["peak"] < _LARGEST
    assert found["left"] <= 1  # one rests for the next videos
    assert not [message for _, message in found["outcomes"] if "\n" in message]
    return Counter(reason for reason, _ in found["outcomes"])


def test_damaged_files_end_with_frames_or_a_reason(tmp_path: Path) -> None:
    files = list(damaged_files(made(tmp_path / "made"), tmp_path, count=42, seed=1))
    counts = reasons(files, workers=2)
    assert counts.total() == 42
    assert 5 < counts["frames"] < 37
    assert counts[TOO_LONG] == 0


@pytest.mark.slow
@needs_clips
def test_damaged_real_clips_end_with_frames_or_a_reason(tmp_path: Path) -> None:
    clips = sorted(path for path in CLIPS.rglob("*") if path.suffix in (".avi", ".mp4") and "broken" not in path.parts)
    files = list(damaged_files([*made(tmp_path / "made"), *clips], tmp_path, count=500, seed=2))
    counts = reasons(files, workers=2)
    assert counts.total() == 500
    assert 50 < counts["frames"] < 450
    assert counts[TOO_LONG] == 0


def test_damage_is_the_same_in_every_run(tmp_path: Path) -> None:
    originals, runs = made(tmp_path / "made"), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files = damaged_files(originals, tmp_path / name, count=12, seed=3)
        runs.append([(path.name, path.read_bytes()) for path in files])
    assert runs[0] == runs[1]
    assert all(content != (tmp_path / "made" / name[4:]).read_bytes() for name, content in runs[0] if "png" not in name)
