"""Video files by PyAV: open, count packets, decode from the start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CANNOT_OPEN = "cannot be opened"


class UnreadableVideo(Exception):  # noqa: N818 (a fact about a file, counted in the report of a run)
    """A video with missing frames, or without any."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason  # short and the same for many videos, to count by
        self.detail = detail  # about this video


@contextmanager
def os_errors_as_unreadable() -> Iterator[None]:
    """Raise UnreadableVideo for an OSError: a missing file, no permission, a network drive that is gone."""
    try:
        yield
    except OSError as error:
        raise UnreadableVideo(CANNOT_OPEN, error.strerror or str(error)) from error


def tolerated(total: int) -> int:
    """Return how many of `total` frames may be missing: encoders declare one or two too many (73 for 72 in HMDB51)."""
    return max(2, total // 50)


def open_container(path: Path) -> Any:  # an av.container.InputContainer
    """Open a file with PyAV; metadata that is not UTF-8 (HMDB51 has some) is replaced."""
    import av

    try:
        return av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        with path.open("rb") as file:
            start = file.read(12)
        if start[4:8] == b"ftyp" or start[:4] in (b"RIFF", b"\x1aE\xdf\xa3"):  # MP4, AVI, Matroska
            raise UnreadableVideo("no index", "begins like a video, but was cut off or damaged") from error
        raise UnreadableVideo("not a video", error.strerror or "") from error


def video_stream(container: Any) -> Any:  # an av.video.stream.VideoStream
    """Return the first video stream."""
    if not container.streams.video:
        raise UnreadableVideo("no video stream")
    return container.streams.video[0]


def count_packets(path: Path) -> tuple[int, bool]:
    """Return the number of frames to be shown, and whether the header declares the same number.

    Counts packets without decoding, in a few milliseconds. Only if the header is right may decord open the file: it
    accepts half a file, counts frames that an edit list hides, and kills the process (std::bad_alloc) at a header
    that declares a billion frames.
    """
    if path.stat().st_size == 0:
        raise UnreadableVideo("empty file")
    with open_container(path) as container:
        declared = video_stream(container).frames  # 0: Matroska does not declare
        packets = [packet for packet in _packets(container) if packet.size]
        count, shown = len(packets), sum(not packet.is_discard for packet in packets)
        missing = declared - count > tolerated(declared)
        if missing and not _cut_by_edit_list(container, packets):
            raise UnreadableVideo("truncated", f"{count} of {declared} frames")
    if not shown:
        raise UnreadableVideo("no frames")
    return shown, shown == count and not missing


def _cut_by_edit_list(container: Any, packets: Sequence[Any]) -> bool:
    """Whether frames are missing because of an edit list, not because the file was cut off.

    The packets of a file with an edit list last as long as it declares. Only the MP4 family has edit lists; FFmpeg
    corrects the declared duration of a truncated AVI file.
    """
    stream = container.streams.video[0]
    if "mp4" not in container.format.name or not packets or not stream.duration:
        return False
    end = max(max(packet.pts or 0, packet.dts or 0) + (packet.duration or 0) for packet in packets)
    missing = stream.duration - (end - (stream.start_time or 0))  # in units of time_base
    return bool(missing * stream.frames <= tolerated(stream.frames) * stream.duration)


def _packets(container: Any) -> Iterator[Any]:
    """Yield the packets of the first video stream, up to the first error in the file."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        yield from container.demux(video=0)


def decoded_frames(container: Any) -> Iterator[Any]:
    """Yield the decodable frames of the first video stream from its start, up to the first error in the file."""
    from av.error import FFmpegError

    for packet in _packets(container):
        with suppress(FFmpegError):  # a broken packet; the picture recovers at the next key frame
            yield from packet.decode()


def decode_all(path: Path, total: int) -> Iterator[Any]:
    """Yield the decoded frames of a file that has `total` of them by `count_packets`.

    Raises:
        UnreadableVideo: at the end, if too many are missing.
    """
    done = 0
    with open_container(path) as container:
        container.streams.video[0].thread_type = "NONE"  # the caller reads many videos in parallel
        for done, frame in enumerate(decoded_frames(container), start=1):  # noqa: B007 - used after the loop
            yield frame
    if total - done > tolerated(total):
        raise UnreadableVideo("damaged", f"{done} of {total} frames can be decoded")


def frame_times(path: Path) -> tuple[float, ...]:
    """Return the time of each frame in seconds after the first; empty if the file has no valid time stamps.

    Raises:
        UnreadableVideo: it cannot be opened, or has no video stream.
    """
    with open_container(path) as container:
        unit = video_stream(container).time_base
        stamps = [packet.pts for packet in _packets(container) if packet.size and not packet.is_discard]
    if None in stamps or len(set(stamps)) < len(stamps):
        return ()
    return tuple(float((stamp - min(stamps)) * unit) for stamp in sorted(stamps))
