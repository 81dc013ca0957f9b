"""Compare a folder with the lists of its dataset, and look at every video: what would an evaluation suffer from?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.errors import UserError
from db.records import Dataset
from recognizer.found import NOT_IN_CLASS_FOLDER, SAME_NAME, Video, VideoList, printable, video_list
from recognizer.inspection import digest
from recognizer.layouts import APPLE_DOUBLE, HIDDEN, NOT_A_VIDEO, scan
from recognizer.looking import Progress, Seen, look_at
from recognizer.memory import Memory
from recognizer.misplaced import misplaced
from recognizer.video.container import tolerated
from recognizer.video.frames import image_names

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
