"""Write frames of videos as folders of JPEG files, which can be read instead of the videos."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.find import find_videos
from recognizer.datasets.official import LIST_NAMES
from recognizer.datasets.scan import scan
from recognizer.video.container import UnreadableVideo
from recognizer.video.extracted import Extracted
from recognizer.video.file_types import stem
from recognizer.video.frames import every_frame, read_frames
from recognizer.video.pool import Decoding, Pool

_QUALITY = 95


@dataclass(frozen=True)
class Extraction:
    """Numbers of videos whose frames were extracted or not."""

    written: int
    existing: int  # already existed
    missing: int  # listed, but no file on disk
    failed: tuple[tuple[str, str], ...]  # (video, reason)


def extract(
    dataset: Dataset,
    root: Path,
    into: Path,
    *,
    frames: int | None,
    jobs: int = 4,
    decoding: Decoding | None = None,
    write: Callable[[Path, Path, int | None], str | None] | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Extraction:
    """Write frames of the videos of an evaluation: `<into>/<class>/<video>/<number>.jpg`.

    The official lists are copied too, so that `into` can be the root of the dataset. A folder of frames is complete or
    does not exist; an existing one is kept, and counts as failed if it has other frames than those asked for.

    Args:
        dataset: gives the classes.
        root: folder of its videos.
        into: folder for the frames.
        frames: per video, the same ones that an evaluation with this number reads; None is every frame.
        jobs: threads.
        decoding: in how many processes videos are read, and how long; its `read` is not used.
        write: `write_frames`, or a function of your own with the same arguments, in a module that workers can import.
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
            folder, entry = into / class_folder / stem(video.path.name), (video.id, video.path)
            if by_folder.setdefault(folder, entry) is not entry:
                failed.append((video.id, "another video of this name is in its folder"))
    on_disk = len(by_folder) + len(failed)
    _copy_lists(root, into)
    existing = {folder: _unfit(folder, frames) for folder in by_folder if folder.exists()}
    failed += [(by_folder[folder][0], reason) for folder, reason in existing.items() if reason]
    waiting = [folder for folder in by_folder if folder not in existing]
    with ThreadPoolExecutor(jobs) as threads, Pool(decoding or Decoding()) as pool:
        one = partial(_written, frames=frames, pool=pool, write=write or write_frames)
        reasons = threads.map(lambda folder: one(by_folder[folder][1], folder), waiting)
        for done, (folder, reason) in enumerate(zip(waiting, reasons, strict=True), start=1):
            failed += [(by_folder[folder][0], reason)] if reason else []
            on_progress(done, len(waiting))
    fit = list(existing.values()).count("")
    return Extraction(on_disk - fit - len(failed), fit, len(videos) - on_disk, tuple(failed))


def _unfit(folder: Path, count: int | None) -> str:
    """Return why an existing folder of frames does not do; "" if it does."""
    try:
        extracted = Extracted.of(folder)
    except UnreadableVideo as error:
        return str(error)
    if extracted is None or (count and extracted.serves(count)) or len(extracted.numbers) == extracted.total:
        return ""
    return f"{folder} was made with --frames {extracted.count}; delete it, or give another folder with --into"


def _copy_lists(root: Path, into: Path) -> None:
    for path in scan(root, LIST_NAMES).lists:
        copy = into / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _written(
    video: Path, folder: Path, *, frames: int | None, pool: Pool, write: Callable[[Path, Path, int | None], str | None]
) -> str | None:
    """Write frames in a worker; return the reason if the video cannot be read, or its decoder hangs or dies."""
    try:
        return pool.call(write, video.absolute(), folder.absolute(), frames, size=video.stat().st_size)
    except UnreadableVideo as error:
        shutil.rmtree(_half(folder), ignore_errors=True)
        return str(error)


def _half(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.half")  # hidden until it is complete


def write_frames(video: Path, folder: Path, count: int | None) -> str | None:
    """Write `count` distinct frames of a video, or all; return the reason if it cannot be read."""
    from PIL import Image

    half = _half(folder)
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        frames = read_frames(video, count) if count else None
        numbered = dict(zip(frames.indices, frames.pixels, strict=True)).items() if frames else None
        comment = Extracted(count, frames.total).comment if count and frames else b""
        for number, pixels in numbered or enumerate(every_frame(video)):
            file = half / f"{number + 1:06d}.jpg"
            Image.fromarray(pixels).save(file, quality=_QUALITY, subsampling=0, comment=comment)
    except UnreadableVideo as error:
        shutil.rmtree(half)
        return str(error)
    half.replace(folder)
    return None
