"""Check the videos of a list: missing, unreadable, in the wrong class folder, duplicate, garbled, short."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from db.errors import UserError
from db.progress import Progress
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.datasets.inspect_video import Inspection, InspectionCache, inspect
from recognizer.datasets.official import LIST_NAMES, OFFICIAL_DATASETS
from recognizer.datasets.records import Video, VideoList, printable, video_list
from recognizer.datasets.scan import SkipReason, scan
from recognizer.video.container import UnreadableVideo, tolerated
from recognizer.video.file_types import is_image, stem
from recognizer.video.source import Source, source_of

_SKIPPED = {  # reason why a file is skipped -> what to say about it, and whether it harms an evaluation
    SkipReason.APPLE_DOUBLE: ("macOS wrote it beside a file; delete it", False),
    SkipReason.HIDDEN: ("no evaluation reads it", False),
    SkipReason.NOT_A_VIDEO: ("no evaluation reads it", False),
    SkipReason.SAME_NAME: ("another file of this name is used", False),
    SkipReason.NOT_IN_CLASS_FOLDER: ("its class is not known", True),
}


@dataclass(frozen=True)
class Fault:
    """One problem of one file."""

    kind: str
    video: str  # its id, or its path from the root
    reason: str
    harms: bool  # whether an evaluation loses the video, or counts it wrongly


@dataclass(frozen=True)
class CheckReport:
    """The result of a check; the names of its fields are those of `--json`."""

    layout: str
    listed: int  # videos that an evaluation would look for
    present: int
    readable: int
    frames: int  # of all readable videos together
    remembered: int  # present videos whose inspection was cached
    faults: tuple[Fault, ...]  # harmful ones first
    ignored: Mapping[str, int]  # reason -> skipped files and list rows

    @property
    def harmful(self) -> int:
        """How many faults harm an evaluation."""
        return sum(fault.harms for fault in self.faults)


@dataclass(frozen=True)
class _Inspected:
    """One video on disk."""

    video: Video
    path: Path
    source: Source | None  # None: it cannot be opened
    inspection: Inspection
    cached: bool


def videos_at(paths: Sequence[Path]) -> VideoList:
    """Return the videos in files and folders, without classes.

    Raises:
        UserError: there are none.
    """
    files: list[Path] = []
    skipped: list[tuple[str, SkipReason]] = []
    for path in paths:
        if path.is_dir():
            tree = scan(path, LIST_NAMES)
            frames = [path] if any(is_image(entry.name) for entry in path.iterdir()) else []  # the frames of a video
            files += [tree.path(entry) for entry in tree.videos] or frames
            skipped += [(str(path / name), reason) for name, reason in tree.skipped]
        else:
            files.append(path)
    if not files:
        raise UserError(f"No videos in {', '.join(map(str, paths))}. Give files, folders of videos or of frames")
    videos = {file: Video(printable(str(file)), -1, file, ()) for file in files}
    return video_list("files", videos.values(), skipped, labels_by="folders")


def check(
    videos: VideoList,
    cache: InspectionCache,
    *,
    dataset: Dataset | None = None,
    frames: int = 16,
    quick: bool = False,
    jobs: int = 4,
    on_progress: Progress = lambda done, total: None,
) -> CheckReport:
    """Inspect every video of a list, and compare their contents.

    Args:
        videos: the videos, and the files that were skipped.
        cache: of inspections.
        dataset: whose classes are compared with the folders.
        frames: of an evaluation; a video with fewer is short.
        quick: count packets and read headers, and decode nothing.
        jobs: threads.
        on_progress: called with (videos done, videos in all).
    """
    present = [video for video in videos.videos if video.path]
    inspected = _inspect_all(present, cache, quick=quick, jobs=jobs, on_progress=on_progress)
    readable = [each for each in inspected if not each.inspection.unreadable]
    faults = [
        *(Fault("missing", video.id, "listed, but not on disk", True) for video in videos.videos if not video.path),
        *(Fault("unreadable", each.video.id, why, True) for each in inspected if (why := each.inspection.unreadable)),
        *(_misplaced(videos, dataset) if dataset else ()),
        *_duplicates(readable, cache, harm=videos.labels_by != "lists"),
        *_frame_faults(readable, frames),
        *(Fault(kind, name, *_SKIPPED[kind]) for name, kind in videos.skipped_files if kind in _SKIPPED),
    ]
    return CheckReport(
        layout=videos.layout,
        listed=len(videos.videos),
        present=len(present),
        readable=len(readable),
        frames=sum(each.inspection.frames for each in readable),
        remembered=sum(each.cached for each in inspected),
        faults=tuple(sorted(faults, key=lambda fault: not fault.harms)),
        ignored=videos.skipped,
    )


def _inspect_all(
    videos: Sequence[Video], cache: InspectionCache, *, quick: bool, jobs: int, on_progress: Progress
) -> list[_Inspected]:
    """Inspect videos in threads; Ctrl-C waits only for those in progress."""
    pool = ThreadPoolExecutor(jobs)
    try:
        futures = [pool.submit(_inspect, video, cache, quick=quick) for video in videos]
        for done, future in enumerate(as_completed(futures), start=1):
            new = future.result()
            if new.source and not new.cached and new.inspection.is_lasting:
                cache.keep(new.path, new.source, new.inspection)
            on_progress(done, len(videos))
        return [future.result() for future in futures]
    finally:
        pool.shutdown(cancel_futures=True)


def _inspect(video: Video, cache: InspectionCache, *, quick: bool) -> _Inspected:
    assert video.path is not None  # noqa: S101 - the caller passes videos on disk
    try:
        source = source_of(video.path)  # before it is read: a file that changes meanwhile is read again
    except UnreadableVideo:
        source = None
    known = cache.inspection(video.path, source, decoded=not quick) if source else None
    inspection = known or inspect(video.path, decode=not quick)
    return _Inspected(video, video.path, source, inspection, cached=known is not None)


def _misplaced(videos: VideoList, dataset: Dataset) -> Iterator[Fault]:
    """Find videos in the folder of another class than that of the list or manifest, else of the file name."""
    find_class, official = class_finder(dataset), OFFICIAL_DATASETS.get(dataset.stored_as)
    by_folder = videos.labels_by == "folders"
    for video in videos.videos:
        expected = {video.label}
        if by_folder:
            expected = official.classes_by_file_name(stem(Path(video.id).name), dataset) if official else set()
        folder = video.path.parent.name if video.path else ""
        action = find_class(folder)
        if action and expected and action.label not in expected:
            names = " or ".join(dataset.actions[label].name for label in sorted(expected))
            reason = f"of {names}, but in the folder {folder}"
            yield Fault("in the folder of another class", video.id, reason, by_folder)


def _duplicates(readable: Sequence[_Inspected], cache: InspectionCache, *, harm: bool) -> Iterator[Fault]:
    """Find videos of the same content; only those of the same size are read."""
    by_size = defaultdict[int, list[_Inspected]](list)
    for each in {each.path: each for each in readable}.values():  # a list may name a file twice, with other times
        if each.source:
            by_size[each.source.size].append(each)
    by_content = defaultdict[str, list[_Inspected]](list)
    for each in (each for same_size in by_size.values() if len(same_size) > 1 for each in same_size):
        if each.source:
            by_content[cache.content(each.path, each.source)].append(each)
    for first, *others in by_content.values():
        for other in others:
            beyond = "" if first.video.label == other.video.label else ", a video of another class"
            yield Fault("same content", other.video.id, f"as {first.video.id}{beyond}", harm)


def _frame_faults(readable: Sequence[_Inspected], expected: int) -> Iterator[Fault]:
    """Find videos with frames that were decoded with errors (a few do no harm), or with too few frames."""
    for each in readable:
        frames, garbled = each.inspection.frames, each.inspection.garbled
        if garbled:
            yield Fault("garbled frames", each.video.id, f"{garbled} of {frames} frames", garbled > tolerated(frames))
        if frames < expected:
            yield Fault("short", each.video.id, f"{frames} of the {expected} frames asked for", False)
