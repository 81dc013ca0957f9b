"""Videos that lie in the folder of another class than their list, or their own name, says."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from db.errors import UserError
from db.progress import Progress
from db.records import Dataset
from recognizer.datasets.inspect_video import Fingerprint, Inspection, Memory, digest, fingerprint, inspect
from recognizer.datasets.records import NOT_IN_CLASS_FOLDER, SAME_NAME, Video, VideoList, printable, video_list
from recognizer.datasets.scan import APPLE_DOUBLE, HIDDEN, NOT_A_VIDEO, label_of, labels_by_name, scan
from recognizer.video.container import tolerated
from recognizer.video.file_types import stem
from recognizer.video.frames import image_names

_UCF101 = re.compile(r"v_(.+)_g\d+_c\d+")
_HMDB51 = re.compile(r"(.+)_[fhul]_[cn]m_np\d_(?:ba|fr|le|ri)_(?:bad|med|goo)_\d+")


def _by_ucf101(name: str, dataset: Dataset, labels: Mapping[str, int]) -> set[int]:
    match = _UCF101.fullmatch(name)
    label = label_of(match[1], labels) if match else None
    return set() if label is None else {label}


def _by_hmdb51(name: str, dataset: Dataset, labels: Mapping[str, int]) -> set[int]:
    """Return every class that may be meant: `a_man_with_a_draw_sword` may end in `sword` and in `draw_sword`."""
    match = _HMDB51.fullmatch(name)
    return {action.label for action in dataset.actions if match and match[1].endswith(f"_{action.name}")}


_NAMES: dict[str, Callable[[str, Dataset, Mapping[str, int]], set[int]]] = {
    "ucf101": _by_ucf101,
    "hmdb51": _by_hmdb51,
}  # datasets whose file names tell the class


def misplaced(found: VideoList, dataset: Dataset) -> Iterator[tuple[Video, str]]:
    """Yield each video that is in a folder named after another class, and what is wrong about it.

    Where a list or a manifest gives the labels, the folder is compared with it; else the name of the file, in the
    datasets whose names tell the class.
    """
    labels = labels_by_name(dataset)
    for video in found.videos:
        folder = label_of(video.path.parent.name, labels) if video.path else None
        if video.path and folder is not None:
            meant = _meant(video, stem(video.path.name), found, dataset, labels)
            if meant and folder not in meant:
                names = " or ".join(dataset.actions[label].name for label in sorted(meant))
                yield video, f"of {names}, but in the folder {video.path.parent.name}"


def _meant(video: Video, name: str, found: VideoList, dataset: Dataset, labels: Mapping[str, int]) -> set[int]:
    if found.labels_by != "folders":
        return {video.label}
    says = _NAMES.get(dataset.stored_as)
    return says(name, dataset, labels) if says else set()


@dataclass(frozen=True)
class Seen:
    """A video on disk."""

    video: Video
    path: Path
    mark: Fingerprint | None  # None: it cannot be looked at
    inspection: Inspection
    remembered: bool


def look_at(present: Sequence[Video], memory: Memory, *, quick: bool, jobs: int, on_progress: Progress) -> list[Seen]:
    """Look at videos, in the order given; what is remembered of a file that did not change is not looked at again."""
    seen = {video.id: each for video in present if (each := _remembered(video, memory, quick=quick))}
    with ThreadPoolExecutor(jobs) as pool:
        for new in _looked(pool, [video for video in present if video.id not in seen], quick=quick):
            if new.mark and new.inspection.lasting:
                memory.keep(new.path, new.mark, inspection=new.inspection)
            seen[new.video.id] = new
            on_progress(len(seen), len(present))
    return [seen[video.id] for video in present]


def _remembered(video: Video, memory: Memory, *, quick: bool) -> Seen | None:
    assert video.path is not None  # noqa: S101 - the caller passes videos on disk
    try:
        mark = fingerprint(video.path)
    except OSError:
        return None
    known = memory.inspection(video.path, mark, decoded=not quick)
    return Seen(video, video.path, mark, known, remembered=True) if known else None


def _looked(pool: ThreadPoolExecutor, videos: Sequence[Video], *, quick: bool) -> Iterator[Seen]:
    """Yield videos as they are looked at; Ctrl-C ends it after those in flight."""

    def look(video: Video) -> Seen:
        assert video.path is not None  # noqa: S101 - as above
        try:
            mark = fingerprint(video.path)  # before it is read: a file that changes meanwhile is read again
        except OSError:
            mark = None
        inspection = inspect(video.path, decode=not quick)
        return Seen(video, video.path, mark, inspection, remembered=False)

    waiting: list[Future[Seen]] = [pool.submit(look, video) for video in videos]
    try:
        for done in as_completed(waiting):
            yield done.result()
    finally:
        for future in waiting:
            future.cancel()


MISSING = "missing"
UNREADABLE = "unreadable"
MISPLACED = "in the folder of another class"
DUPLICATE = "same content"
GARBLED = "garbled frames"
SHORT = "short"
_PASSED_OVER = {  # files that no evaluation reads: what to say of them, and whether it would suffer
    APPLE_DOUBLE: ("macOS wrote it beside a file; delete it", False),
    HIDDEN: ("no evaluation reads it", False),
    NOT_A_VIDEO: ("no evaluation reads it", False),
    SAME_NAME: ("another file of this name is used", False),
    NOT_IN_CLASS_FOLDER: ("its class is not known", True),
}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with one file."""

    kind: str
    video: str  # its id, or its path from the root
    reason: str  # what exactly
    harms: bool  # whether an evaluation suffers: it loses the video, or counts it wrongly


@dataclass(frozen=True)
class Check:
    """What was found in a folder."""

    layout: str
    listed: int  # videos that an evaluation would look for
    present: int
    readable: int
    frames: int  # of the readable ones, together
    remembered: int  # of the present ones: not read again, as they did not change
    faults: tuple[Fault, ...]  # those that harm first
    ignored: Mapping[str, int]  # reason -> files, or rows of a list, that no evaluation looks at

    @property
    def harmful(self) -> int:
        """How many faults an evaluation suffers from."""
        return sum(fault.harms for fault in self.faults)


@dataclass(frozen=True)
class Options:
    """How a check is done.

    Attributes:
        frames: those that an evaluation asks for; a video of fewer is short.
        quick: count packets and read headers alone, and decode nothing.
        jobs: threads.
    """

    frames: int = 16
    quick: bool = False
    jobs: int = 4


_DEFAULT = Options()


def videos_at(paths: Sequence[Path]) -> VideoList:
    """Return the videos that files and folders hold, of no dataset.

    Raises:
        UserError: there are none.
    """
    clips: list[Path] = []
    passed_over: list[tuple[str, str]] = []
    for path in paths:
        inside, others = _below(path) if path.is_dir() else ([path], [])
        clips += inside
        passed_over += others
    if not clips:
        raise UserError(f"No videos in {', '.join(map(str, paths))}. Give files, folders of videos or of frames")
    videos = {str(clip): Video(printable(str(clip)), -1, clip, ()) for clip in clips}
    return video_list("files", videos.values(), passed_over, labels_by="folders")


def _below(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Return the videos in a folder, or itself where it holds frames, and what is passed over."""
    tree = scan(folder)
    clips = [tree.path(clip) for clip in tree.clips] or ([folder] if image_names(folder) else [])
    return clips, [(str(folder / name), why) for name, why in tree.passed_over]


def check(
    found: VideoList,
    memory: Memory,
    *,
    dataset: Dataset | None = None,
    options: Options = _DEFAULT,
    on_progress: Progress = lambda done, total: None,
) -> Check:
    """Look at every video of a list, and compare contents.

    Args:
        found: the videos, and the files passed over.
        memory: what was found before, and where to write down what is found now.
        dataset: whose classes the folders are compared with.
        options: see there.
        on_progress: told (videos done, videos in all).
    """
    present = [video for video in found.videos if video.path]
    seen = look_at(present, memory, quick=options.quick, jobs=options.jobs, on_progress=on_progress)
    faults = [
        *(Fault(MISSING, video.id, "listed, but not on disk", True) for video in found.videos if not video.path),
        *(Fault(UNREADABLE, each.video.id, why, True) for each in seen if (why := each.inspection.unreadable)),
        *_misplaced(found, dataset),
        *_duplicates(seen, memory, harm=found.labels_by != "lists"),
        *_garbled(seen),
        *_short(seen, options.frames),
        *(Fault(kind, name, *_PASSED_OVER[kind]) for name, kind in found.passed_over if kind in _PASSED_OVER),
    ]
    readable = [each for each in seen if not each.inspection.unreadable]
    return Check(
        layout=found.layout,
        listed=len(found.videos),
        present=len(present),
        readable=len(readable),
        frames=sum(each.inspection.frames for each in readable),
        remembered=sum(each.remembered for each in seen),
        faults=tuple(sorted(faults, key=lambda fault: not fault.harms)),
        ignored=found.ignored,
    )


def _misplaced(found: VideoList, dataset: Dataset | None) -> Iterator[Fault]:
    harms = found.labels_by == "folders"
    for video, reason in misplaced(found, dataset) if dataset else ():
        yield Fault(MISPLACED, video.id, reason, harms)


def _duplicates(seen: Sequence[Seen], memory: Memory, *, harm: bool) -> Iterator[Fault]:
    """Find videos of the same content; only those of the same size are read."""
    by_size: dict[int, list[Seen]] = defaultdict(list)
    for each in {each.path: each for each in seen}.values():  # a list may name a file twice, with other times
        if each.mark and not each.inspection.unreadable:
            by_size[each.mark.size].append(each)
    by_content: dict[str, list[Seen]] = defaultdict(list)
    for each in (each for alike in by_size.values() if len(alike) > 1 for each in alike):
        by_content[_digest(each, memory)].append(each)
    for first, *others in by_content.values():
        for other in others:
            beyond = "" if first.video.label == other.video.label else ", a video of another class"
            yield Fault(DUPLICATE, other.video.id, f"as {first.video.id}{beyond}", harm)


def _digest(each: Seen, memory: Memory) -> str:
    assert each.mark is not None  # noqa: S101 - the caller passes those that could be looked at
    known = memory.digest(each.path, each.mark)
    if known is None:
        known = digest(each.path)
        memory.keep(each.path, each.mark, digest=known)
    return known


def _garbled(seen: Sequence[Seen]) -> Iterator[Fault]:
    """Name videos with frames that the decoder had to mend; a few of them do no harm."""
    for each in seen:
        frames, garbled = each.inspection.frames, each.inspection.garbled
        if garbled:
            yield Fault(GARBLED, each.video.id, f"{garbled} of {frames} frames", garbled > tolerated(frames))


def _short(seen: Sequence[Seen], frames: int) -> Iterator[Fault]:
    for each in seen:
        if 0 < each.inspection.frames < frames:
            yield Fault(SHORT, each.video.id, f"{each.inspection.frames} of the {frames} frames asked for", False)
