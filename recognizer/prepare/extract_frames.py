"""Write frames of videos as folders of JPEG files, which are read as videos too."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.find import find_videos
from recognizer.datasets.official import LIST_NAMES
from recognizer.datasets.scan import scan
from recognizer.video.container import UnreadableVideo
from recognizer.video.file_types import stem
from recognizer.video.frames import every_frame, read_frames

_QUALITY = 95


@dataclass(frozen=True)
class Extraction:
    """How many videos' frames were extracted."""

    written: int
    existing: int  # there before
    missing: int  # listed, but no file on disk
    failed: tuple[tuple[str, str], ...]  # (video, reason)


def extract(
    dataset: Dataset,
    root: Path,
    into: Path,
    *,
    frames: int | None,
    jobs: int = 4,
    on_progress: Progress = lambda done, total: None,
) -> Extraction:
    """Write the frames of the videos that an evaluation reads: `<into>/<class>/<video>/<number>.jpg`.

    The official lists are copied beside them, so that `into` is a root of the dataset too. A folder of frames is
    written whole or not at all; one that exists is kept.

    Args:
        dataset: gives the classes.
        root: where its videos are.
        into: where to put the frames.
        frames: of each video, those that an evaluation of as many frames reads; None is every frame.
        jobs: threads.
        on_progress: called with (videos done, videos in all).

    Raises:
        UserError: there are no videos of the dataset in root.
    """
    videos = find_videos(dataset, root, split="listed").videos
    by_folder: dict[Path, tuple[str, Path]] = {}  # folder of frames -> id and path of the video
    failed: list[tuple[str, str]] = []
    for video in videos:
        if video.path and video.path.is_file():
            class_folder = video.id.rpartition("/")[0] or dataset.actions[video.label].name
            folder, one = into / class_folder / stem(video.path.name), (video.id, video.path)
            if by_folder.setdefault(folder, one) is not one:
                failed.append((video.id, "another video of this name is in its folder"))
    on_disk = len(by_folder) + len(failed)
    _copy_lists(root, into)
    waiting = [folder for folder in by_folder if not folder.exists()]
    with ThreadPoolExecutor(jobs) as pool:
        reasons = pool.map(lambda folder: _write(by_folder[folder][1], folder, frames), waiting)
        for done, (folder, reason) in enumerate(zip(waiting, reasons, strict=True), start=1):
            failed += [(by_folder[folder][0], reason)] if reason else []
            on_progress(done, len(waiting))
    existing = len(by_folder) - len(waiting)
    return Extraction(on_disk - existing - len(failed), existing, len(videos) - on_disk, tuple(failed))


def _copy_lists(root: Path, into: Path) -> None:
    for path in scan(root, LIST_NAMES).lists:
        copy = into / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _write(video: Path, folder: Path, count: int | None) -> str | None:
    """Write `count` frames of a video, or all, each once; return why it cannot be read, or None."""
    from PIL import Image

    half = folder.with_name(f".{folder.name}.half")  # hidden: not a video until it is complete
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        frames = read_frames(video, count) if count else None
        numbered = dict(zip(frames.indices, frames.pixels, strict=True)).items() if frames else None
        for number, pixels in numbered or enumerate(every_frame(video)):
            Image.fromarray(pixels).save(half / f"{number + 1:06d}.jpg", quality=_QUALITY, subsampling=0)
    except UnreadableVideo as error:
        shutil.rmtree(half)
        return str(error)
    half.replace(folder)
    return None
