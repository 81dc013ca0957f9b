"""Look at many videos side by side, and remember what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from recognizer.found import Video
from recognizer.inspection import Fingerprint, Inspection, fingerprint, inspect
from recognizer.memory import Memory

Progress = Callable[[int, int], None]


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
