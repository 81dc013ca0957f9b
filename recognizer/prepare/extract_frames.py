"""Frames of videos as folders of JPEG files, which are read as videos too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.find import find_videos
from recognizer.datasets.records import Video
from recognizer.datasets.scan import scan
from recognizer.video.container import UnreadableVideo
from recognizer.video.file_types import stem
from recognizer.video.frames import every_frame, read_frames

_QUALITY = 95


@dataclass(frozen=True)
class Extraction:
    """What came of extracting frames."""

    folder: Path
    written: int  # videos
    there: int  # videos whose frames were there before
    missing: int  # listed, but no file on disk
    lost: tuple[tuple[str, str], ...]  # (video, why there are no frames of it)


def extract(
    dataset: Dataset,
    root: Path,
    into: Path,
    *,
    frames: int | None,
    jobs: int = 4,
    on_progress: Progress = lambda done, total: None,
) -> Extraction:
    """Write the frames of the videos that an evaluation looks at: `<into>/<class>/<video>/<number>.jpg`.

    The official lists are copied beside them, so that `into` is a root of the dataset too. A folder of frames is
    written whole or not at all; those that are there stay.

    Args:
        dataset: gives the classes.
        root: where its videos are.
        into: where to put the frames.
        frames: so many, evenly spread: those that an evaluation of as many frames reads; None is every frame.
        jobs: threads.
        on_progress: told (videos done, videos in all).

    Raises:
        UserError: there are no videos of the dataset in root.
    """
    found = find_videos(dataset, root, split="listed")
    present = [video for video in found.videos if video.path and video.path.is_file()]
    by_folder: dict[Path, Video] = {}
    lost = []
    for video in present:
        if by_folder.setdefault(_folder(dataset, video, into), video) is not video:
            lost.append((video.id, "another video of this name is in its folder"))
    _copy_lists(root, into)
    waiting = [folder for folder in by_folder if not folder.exists()]
    with ThreadPoolExecutor(jobs) as pool:
        reasons = pool.map(lambda folder: _write(by_folder[folder], folder, frames), waiting)
        for done, (folder, reason) in enumerate(zip(waiting, reasons, strict=True), start=1):
            lost += [(by_folder[folder].id, reason)] if reason else []
            on_progress(done, len(waiting))
    there = len(by_folder) - len(waiting)
    missing = len(found.videos) - len(present)
    return Extraction(into, len(present) - there - len(lost), there, missing, tuple(lost))


def _folder(dataset: Dataset, video: Video, into: Path) -> Path:
    """Return where the frames of a video go: as its list, or its place below the root, has it."""
    assert video.path is not None  # noqa: S101 - the caller passes videos on disk
    above, _, _ = video.id.rpartition("/")
    return into / (above or dataset.actions[video.label].name) / stem(video.path.name)


def _copy_lists(root: Path, into: Path) -> None:
    for path in scan(root).lists:
        copy = into / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _write(video: Video, folder: Path, frames: int | None) -> str | None:
    """Write the frames of a video; return why it cannot be read, where it cannot."""
    assert video.path is not None  # noqa: S101 - as above
    half = folder.with_name(f".{folder.name}.half")  # hidden: no video until it is whole
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        for number, pixels in _numbered(video.path, frames):
            _save(pixels, half / f"{number + 1:06d}.jpg")
    except UnreadableVideo as error:
        shutil.rmtree(half)
        return str(error)
    half.replace(folder)
    return None


def _numbered(path: Path, frames: int | None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield (frame number from 0, pixels [H, W, 3]); a frame that a short video repeats comes once."""
    if frames is None:
        yield from enumerate(every_frame(path))
    else:
        read = read_frames(path, frames)
        yield from dict(zip(read.indices, read.pixels, strict=True)).items()


def _save(pixels: NDArray[np.uint8], path: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path, quality=_QUALITY, subsampling=0)
