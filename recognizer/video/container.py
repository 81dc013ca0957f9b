"""Video files as PyAV sees them: opened, counted by packets, decoded from the start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class UnreadableVideo(Exception):  # noqa: N818 (a fact about a file, counted in the report of a run)
    """A video that gives no frames, or not those it should."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason  # short and stable, to count by
        self.detail = detail  # of this one video


def tolerated(total: int) -> int:
    """Frames that may lack: encoders declare one or two too many (73 for 72 in HMDB51)."""
    return max(2, total // 50)


def open_container(path: Path) -> Any:  # an av.container.InputContainer
    """Open a file with PyAV; texts in it that are not UTF-8 (HMDB51 has them) are replaced."""
    import av

    try:
        return av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise UnreadableVideo(*_why_not(path, error.strerror or "")) from error


def _why_not(path: Path, message: str) -> tuple[str, str]:
    """Tell a download that broke off (the beginnings of MP4, AVI and Matroska) from what never was a video."""
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] == b"ftyp" or start[:4] in (b"RIFF", b"\x1aE\xdf\xa3"):
        return "no index", "begins as a video, but was broken off or damaged"
    return "not a video", message


def count_packets(path: Path) -> tuple[int, bool]:
    """Count the compressed frames to be shown, decoding none: a few milliseconds.

    Also tell whether they are as many as the header declares. decord may only then be asked: it accepts a
    file of which half is missing, counts frames that an edit list hides, and ends the whole process
    (std::bad_alloc) at a header that declares a billion frames.
    """
    if path.stat().st_size == 0:
        raise UnreadableVideo("empty file")
    with open_container(path) as container:
        if not container.streams.video:
            raise UnreadableVideo("no video stream")
        stream = container.streams.video[0]
        packets = [packet for packet in _packets(container) if packet.size]
        declared, count = stream.frames, len(packets)  # 0: Matroska does not declare
        shown = sum(not packet.is_discard for packet in packets)
        short = declared - count > tolerated(declared)
        if short and not _cut_by_edit_list(container, packets):
            raise UnreadableVideo("truncated", f"{count} of {declared} frames")
    if not shown:
        raise UnreadableVideo("no frames")
    return shown, shown == count and not short


def _cut_by_edit_list(container: Any, packets: Sequence[Any]) -> bool:
    """Tell a video cut without encoding from one broken off: the cut one lasts as long as it says.

    Only the MP4 family has edit lists; of a truncated AVI file FFmpeg corrects the duration by itself.
    """
    stream = container.streams.video[0]
    if "mp4" not in container.format.name or not packets or not stream.duration:
        return False
    end = max(max(packet.pts or 0, packet.dts or 0) + (packet.duration or 0) for packet in packets)
    lacking = stream.duration - (end - (stream.start_time or 0))  # in units of time_base
    return bool(lacking * stream.frames <= tolerated(stream.frames) * stream.duration)


def _packets(container: Any) -> Iterator[Any]:
    """Yield the packets of the first video stream up to where the file breaks, if it does."""
    from av.error import FFmpegError

    with suppress(FFmpegError):
        yield from container.demux(video=0)


def decoded_frames(container: Any) -> Iterator[Any]:
    """Yield the frames of the first video stream that can be decoded, from its start to where it breaks."""
    from av.error import FFmpegError

    for packet in _packets(container):
        with suppress(FFmpegError):  # a broken packet; the next key frame mends the picture
            yield from packet.decode()


def frame_times(path: Path) -> tuple[float, ...]:
    """Return when each frame of a file is shown, in seconds after its first; empty where the file does not say.

    Raises:
        UnreadableVideo: it cannot be opened, or has no video stream.
    """
    with open_container(path) as container:
        if not container.streams.video:
            raise UnreadableVideo("no video stream")
        unit = container.streams.video[0].time_base
        stamps = [packet.pts for packet in _packets(container) if packet.size and not packet.is_discard]
    if None in stamps or len(set(stamps)) < len(stamps):
        return ()
    return tuple(float((stamp - min(stamps)) * unit) for stamp in sorted(stamps))


@dataclass(frozen=True)
class Decoded:
    """What came of decoding a whole file."""

    shown: int  # frames that its packets promise
    frames: int  # that were decoded
    garbled: int  # of these: the decoder met errors, and mended the picture as it could


def decode_whole(path: Path) -> Decoded:
    """Decode a file from its start to its end, for what is wrong with it; pixels are not looked at.

    Raises:
        UnreadableVideo: as `count_packets`, or no frame, or not all of them can be decoded.
        OSError: it cannot be opened.
    """
    shown, _ = count_packets(path)
    with open_container(path) as container:
        container.streams.video[0].thread_type = "NONE"  # the caller looks at many files at once
        garbled = [bool(frame.is_corrupt) for frame in decoded_frames(container)]
    if shown - len(garbled) > tolerated(shown):
        raise UnreadableVideo("damaged", f"{len(garbled)} of {shown} frames can be decoded")
    return Decoded(shown, len(garbled), sum(garbled))
