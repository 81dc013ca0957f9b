"""Files damaged by a seed end as frames or with one reason, in bounded time and memory."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recognizer.video.container import UnreadableVideo
from recognizer.video.pool import TOO_LONG, Decoding, Pool
from tests.fixtures import decoders
from tests.fixtures.damaged import damaged_files
from tests.fixtures.videos import CLIPS, make_images, make_video, needs_clips

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
    """Read damaged files in workers; count how each ended, and check that no worker needed much memory."""
    decoding = Decoding(workers, timeout=120)

    def ended(path: Path) -> tuple[str, str]:
        try:
            frames = pool.read(path, 16, size=path.stat().st_size)
        except UnreadableVideo as error:
            return error.reason, str(error)
        return ("frames" if len(frames.pixels) == 16 else "other frames"), ""

    with Pool(decoding) as pool, ThreadPoolExecutor(workers) as threads:
        outcomes = list(threads.map(ended, files))
        assert pool.call(decoders.peak_memory, size=0) < _LARGEST
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < _LARGEST
    assert not [message for _, message in outcomes if "\n" in message]
    return Counter(reason for reason, _ in outcomes)


@pytest.fixture
def workers_left() -> Callable[[], int]:
    """Count the processes that this one has started, and that have not ended."""

    def count() -> int:
        children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        return sum(len(file.read_text().split()) for file in children)

    return count


def test_damaged_files_end_with_frames_or_a_reason(tmp_path: Path, workers_left: Callable[[], int]) -> None:
    files = list(damaged_files(made(tmp_path / "made"), tmp_path, count=42, seed=1))
    counts = reasons(files, workers=2)
    assert counts.total() == 42
    assert 5 < counts["frames"] < 37
    assert counts[TOO_LONG] == 0
    assert workers_left() <= 1  # one rests for the next videos


@pytest.mark.slow
@needs_clips
def test_damaged_real_clips_end_with_frames_or_a_reason(tmp_path: Path, workers_left: Callable[[], int]) -> None:
    clips = sorted(path for path in CLIPS.rglob("*") if path.suffix in (".avi", ".mp4") and "broken" not in path.parts)
    files = list(damaged_files([*made(tmp_path / "made"), *clips], tmp_path, count=500, seed=2))
    counts = reasons(files, workers=2)
    assert counts.total() == 500
    assert 50 < counts["frames"] < 450
    assert counts[TOO_LONG] == 0
    assert workers_left() <= 1


def test_damage_is_the_same_in_every_run(tmp_path: Path) -> None:
    originals, runs = made(tmp_path / "made"), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files = damaged_files(originals, tmp_path / name, count=12, seed=3)
        runs.append([(path.name, path.read_bytes()) for path in files])
    assert runs[0] == runs[1]
    assert all(content != (tmp_path / "made" / name[4:]).read_bytes() for name, content in runs[0] if "png" not in name)
