"""Check the videos of a list: missing, unreadable, in the wrong class folder, duplicate, garbled, short."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from db.progress import Progress
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.datasets.given import videos_at
from recognizer.datasets.inspect_video import Inspection, InspectionCache, inspect
from recognizer.datasets.official import OFFICIAL_DATASETS
from recognizer.datasets.records import NO_CLASS, Video, VideoList, printable
from recognizer.datasets.scan import SkipReason
from recognizer.video.container import REMEMBERED, InaccessibleVideo, UnreadableVideo, tolerated
from recognizer.video.extracted import refuse_other_frames
from recognizer.video.file_types import stem
from recognizer.video.pool import Decoding, Pool
from recognizer.video.source import Source, source_of

_SKIPPED = {  # reason why a file is skipped -> explanation, and whether it harms an evaluation
    SkipReason.APPLE_DOUBLE: ("macOS wrote it beside a file; delete it", False),
    SkipReason.SYSTEM: ("Windows or macOS wrote it to show the folder; no evaluation reads it", False),
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
    frames: int  # total over readable videos
    remembered: int  # present videos with a cached inspection
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


def list_given(paths: Sequence[Path]) -> VideoList:
    """Return the videos in files and folders (see `videos_at`), without classes."""
    given = videos_at(paths)
    videos = {path: Video(printable(str(path)), NO_CLASS, path, ()) for path in given.paths}
    return VideoList.build("files", videos.values(), given.skipped, labels_by="folders")


def check(
    video_list: VideoList,
    cache: InspectionCache,
    *,
    dataset: Dataset | None = None,
    frames: int = 16,
    quick: bool = False,
    allow_truncated: bool = False,
    jobs: int = 4,
    decoding: Decoding | None = None,
    read: Callable[..., Inspection] = inspect,
    on_progress: Progress = lambda done, total: None,
) -> CheckReport:
    """Inspect every video of a list, and compare their contents.

    Args:
        video_list: the videos, and the files that were skipped.
        cache: inspections of earlier checks.
        dataset: if given, its classes are compared with the folders.
        frames: per video of an evaluation; a video with fewer is short.
        quick: count packets and read headers, and decode nothing.
        allow_truncated: whether an evaluation reads what is there of a video that breaks off.
        jobs: threads.
        decoding: in how many processes videos are read, and how long; its `read` is not used.
        read: `inspect`, or a function of your own with the same arguments, in a module that workers can import.
        on_progress: called with (videos done, videos in all).
    """
    present = [video for video in video_list.videos if video.path]
    with Pool(decoding or Decoding()) as pool:
        inspect_one = partial(_inspect, cache=cache, quick=quick, pool=pool, read=read)
        results = _inspect_all(present, cache, inspect_one, jobs=jobs, on_progress=on_progress)
    if not allow_truncated:
        results = [replace(result, inspection=result.inspection.truncated_as_unreadable()) for result in results]
    readable = [result for result in results if not result.inspection.unreadable]
    faults = [
        *(Fault("missing", video.id, "listed, but not on disk", True) for video in video_list.videos if not video.path),
        *(Fault("unreadable", r.video.id, _reason(r), True) for r in results if r.inspection.unreadable),
        *(_misplaced(video_list, dataset) if dataset else ()),
        *_duplicates(readable, cache, harm=video_list.labels_by != "lists"),
        *(Fault("truncated", r.video.id, extent, False) for r in readable if (extent := r.inspection.truncated)),
        *_frame_faults(readable, frames),
        *(Fault(kind, name, *_SKIPPED[kind]) for name, kind in video_list.skipped_files if kind in _SKIPPED),
    ]
    return CheckReport(
        layout=video_list.layout,
        listed=len(video_list.videos),
        present=len(present),
        readable=len(readable),
        frames=sum(result.inspection.frames for result in readable),
        remembered=sum(result.cached for result in results),
        faults=tuple(sorted(faults, key=lambda fault: not fault.harms)),
        ignored=video_list.skipped,
    )


def _reason(result: _Inspected) -> str:
    return f"{result.inspection.unreadable} ({REMEMBERED})" if result.cached else str(result.inspection.unreadable)


def _inspect_all(
    videos: Sequence[Video],
    cache: InspectionCache,
    inspect_one: Callable[[Video], _Inspected],
    *,
    jobs: int,
    on_progress: Progress,
) -> list[_Inspected]:
    """Inspect videos in threads; Ctrl-C waits for none: the pool ends what its workers do."""
    threads = ThreadPoolExecutor(jobs)
    try:
        futures = [threads.submit(inspect_one, video) for video in videos]
        for done, future in enumerate(as_completed(futures), start=1):
            new = future.result()
            if new.source and not new.cached and new.inspection.is_lasting:
                cache.keep(new.path, new.source, new.inspection)
            on_progress(done, len(videos))
        return [future.result() for future in futures]
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _inspect(
    video: Video, *, cache: InspectionCache, quick: bool, pool: Pool, read: Callable[..., Inspection]
) -> _Inspected:
    assert video.path is not None  # noqa: S101 - the caller passes videos on disk
    try:
        source = source_of(video.path)  # before it is read: a file that changes meanwhile is read again
    except UnreadableVideo:
        source = None
    known = cache.inspection(video.path, source, decoded=not quick) if source else None
    inspection = known or _read(video.path, source, quick=quick, pool=pool, read=read)
    return _Inspected(video, video.path, source, inspection, cached=known is not None)


def _read(path: Path, source: Source | None, *, quick: bool, pool: Pool, read: Callable[..., Inspection]) -> Inspection:
    """Inspect a video in a worker; one that dies or takes too long makes it unreadable."""
    try:
        return pool.call(read, path.absolute(), decode=not quick, size=source.size if source else 0)
    except UnreadableVideo as error:
        return Inspection(0, 0, str(error), not quick, surroundings=isinstance(error, InaccessibleVideo))


def _misplaced(video_list: VideoList, dataset: Dataset) -> Iterator[Fault]:
    """Find videos whose folder is another class than the list or manifest says, or without one, the file name."""
    find_class, official = class_finder(dataset), OFFICIAL_DATASETS.get(dataset.stored_as)
    by_folder = video_list.labels_by == "folders"
    for video in video_list.videos:
        expected = set(video.labels or (video.label,)) - {NO_CLASS}
        if by_folder:
            expected = official.classes_by_file_name(stem(Path(video.id).name), dataset) if official else set()
        folder = video.path.parent.name if video.path else ""
        action = find_class(folder)
        if action and expected and action.label not in expected:
            names = " or ".join(dataset.actions[label].name for label in sorted(expected))
            reason = f"of {names}, but in the folder {folder}"
            yield Fault("in the folder of another class", video.id, reason, by_folder)


def _duplicates(readable: Sequence[_Inspected], cache: InspectionCache, *, harm: bool) -> Iterator[Fault]:
    """Find videos with the same content; only files of equal size are read."""
    by_size = defaultdict[int, list[_Inspected]](list)
    for result in {result.path: result for result in readable}.values():  # a list may name a file twice
        if result.source:
            by_size[result.source.size].append(result)
    by_content = defaultdict[str, list[_Inspected]](list)
    for result in (result for same_size in by_size.values() if len(same_size) > 1 for result in same_size):
        if result.source:
            by_content[cache.content(result.path, result.source)].append(result)
    for first, *others in by_content.values():
        for other in others:
            same = (first.video.label, first.video.labels) == (other.video.label, other.video.labels)
            beyond = "" if same else ", a video of another class"
            yield Fault("same content", other.video.id, f"as {first.video.id}{beyond}", harm)


def _frame_faults(readable: Sequence[_Inspected], expected: int) -> Iterator[Fault]:
    """Find videos with too few frames, or with frames that were decoded with errors (a few do no harm)."""
    for result in readable:
        video, frames, garbled = result.video.id, result.inspection.frames, result.inspection.garbled
        if garbled:
            yield Fault("garbled frames", video, f"{garbled} of {frames} frames", garbled > tolerated(frames))
        try:
            refuse_other_frames(result.path, expected)
        except UnreadableVideo as error:
            yield Fault(error.reason, video, error.detail, True)
        if frames < expected:
            yield Fault("short", video, f"{frames} of the {expected} frames asked for", False)
