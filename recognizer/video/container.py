"""Video files by PyAV: open, count packets, decode from the start."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from recognizer.video.broken_off import broken_off, fragments_seconds

CANNOT_OPEN = "cannot be opened"
TRUNCATED = "truncated"
REMEMBERED = "remembered from an earlier run; --retry reads it again"


class UnreadableVideo(Exception):  # noqa: N818 (a fact about a file, counted in the report of a run)
    """A video with missing frames, or without any."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason  # short and the same for many videos, to count by
        self.detail = detail  # about this video


class InaccessibleVideo(UnreadableVideo):
    """A video that cannot be read now, whatever its bytes are: never remembered against its content."""


class TruncatedVideo(UnreadableVideo):
    """A file that breaks off; `extent` says how much of it is there."""

    def __init__(self, extent: str) -> None:
        super().__init__(TRUNCATED, f"{extent}; --allow-truncated reads what is there")
        self.extent = extent

    def __reduce__(self) -> tuple[type[TruncatedVideo], tuple[str]]:
        return TruncatedVideo, (self.extent,)


@contextmanager
def os_errors_as_unreadable() -> Iterator[None]:
    """Raise InaccessibleVideo for what comes from the surroundings.

    A missing file, no permission, a network drive that is gone, too many open files, no memory.
    """
    try:
        yield
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "out of memory"
        raise InaccessibleVideo(CANNOT_OPEN, reason) from error


_SURROUNDINGS = frozenset(
    (errno.EACCES, errno.EPERM, errno.ENOENT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT,
     errno.ENODEV, errno.ENOTCONN, errno.EBUSY)
)  # fmt: skip


def _refuse_surroundings(error: Any) -> None:
    """Raise an error of FFmpeg as InaccessibleVideo if the bytes of the file cannot have caused it.

    "Input/output error" may be caused by them: some formats report an early end so.
    """
    if error.errno in _SURROUNDINGS:
        raise InaccessibleVideo(CANNOT_OPEN, error.strerror) from error


@contextmanager
def _errors_of_content_suppressed() -> Iterator[None]:
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as error:
        _refuse_surroundings(error)


def tolerated(total: int) -> int:
    """Return how many of `total` frames may be missing: encoders declare one or two too many (73 for 72 in HMDB51)."""
    return max(2, total // 50)


def open_container(path: Path) -> Any:  # an av.container.InputContainer
    """Open a file with PyAV; metadata that is not UTF-8 (HMDB51 has some) is replaced."""
    import av

    try:
        container = av.open(str(path.absolute()), metadata_errors="replace")  # `12:30.mp4` looks like a protocol
    except av.error.FFmpegError as error:
        _refuse_surroundings(error)
        start = _start(path)
        if start[4:8] == b"ftyp" or start[:4] in (b"RIFF", b"\x1aE\xdf\xa3"):  # MP4, AVI, Matroska
            raise UnreadableVideo("no index", "begins like a video, but was cut off or damaged") from error
        raise UnreadableVideo("not a video", error.strerror or "") from error
    if container.format.name == "webp_pipe" and _start(path)[12:16] == b"VP8X" and _start(path)[20] & 2:
        container.close()
        raise UnreadableVideo("animated WebP", "FFmpeg cannot read it; make a GIF of it: magick A.webp A.gif")
    return container


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(21)


def video_stream(container: Any) -> Any:  # an av.video.stream.VideoStream
    """Return the default video stream, else the first; a cover picture is no video.

    Raises:
        UnreadableVideo: there is none, or FFmpeg has no decoder for it (its codec may be misnamed by damage).
    """
    from av.stream import Disposition

    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise UnreadableVideo("no video stream", "only a cover picture" if container.streams.video else "")
    stream = max(streams, key=lambda stream: bool(stream.disposition & Disposition.default))  # the first of the best
    if stream.codec_context is None:
        raise UnreadableVideo("unknown codec", "FFmpeg has no decoder for it, or the name in the file is damaged")
    return stream


@dataclass(frozen=True)
class PacketScan:
    """The packets of a video stream.

    Attributes:
        frames: that they promise, without those that an edit list hides.
        can_seek: whether decord's seeking is proven to be right for such a stream.
        truncated: how much of a file that breaks off is there; "" for a whole one.
    """

    frames: int
    can_seek: bool
    truncated: str = ""


def scan_packets(path: Path, *, allow_truncated: bool = False) -> PacketScan:
    """Count the compressed frames to be shown, without decoding: a few milliseconds.

    Of a file that breaks off, the last packet may be a part of a frame, and does not count.

    Args:
        path: a video file.
        allow_truncated: whether a file may break off before its end.

    Raises:
        UnreadableVideo: the file is empty, has no video, or breaks off before the end that its header declares.
        OSError: it cannot be opened.
    """
    if path.stat().st_size == 0:
        raise UnreadableVideo("empty file")
    with open_container(path) as container:
        stream = video_stream(container)
        packets, end = _packets_to_the_end(container, stream)
        missing = stream.frames - len(packets) > tolerated(stream.frames)  # 0 frames: Matroska does not declare
        truncated = _truncation(path, container, packets, missing=missing, end=end)
        if truncated and not allow_truncated:
            raise TruncatedVideo(truncated)
        packets = list(_undamaged(packets)) if truncated else packets
        shown = sum(not packet.is_discard for packet in packets) - sum(packet.size == 1 for packet in packets)
        if shown < 1:
            raise UnreadableVideo("no frames")
        seekable = not missing and not truncated and can_seek(container, stream, packets)
        return PacketScan(shown, seekable, truncated)


def _truncation(path: Path, container: Any, packets: Sequence[Any], *, missing: bool, end: float) -> str:
    """Return how much of a file that breaks off is there; "" if it is whole, or nothing tells."""
    stream = video_stream(container)
    if missing and not _cut_by_edit_list(container, stream, packets):
        return f"{len(packets)} of {stream.frames} frames"
    early = _early_end(path, container, end) if packets and not stream.frames else ""
    return early or broken_off(path, format_name(container))


def format_name(container: Any) -> str:
    """Return FFmpeg's name of the format of a file; of several names the first."""
    name: str = container.format.name
    return name.partition(",")[0]


def _packets_to_the_end(container: Any, stream: Any) -> tuple[list[Any], float]:
    """Return the packets of a stream, and where the last packet of all streams ends, in seconds."""
    if stream.frames:  # declared, so that the end is not needed
        return [packet for packet in _packets(container, stream) if packet.size], 0.0
    packets = [packet for packet in _packets(container) if packet.size]
    ends = ((packet.pts + (packet.duration or 0)) * packet.time_base for packet in packets if packet.pts is not None)
    return [packet for packet in packets if packet.stream.index == stream.index], float(max(ends, default=0))


def _early_end(path: Path, container: Any, end: float) -> str:
    """Return how much of the duration in its header a file has, if it ends earlier; MPEG streams declare none."""
    if container.format.name.startswith("mpeg"):
        return ""
    start, declared = (container.start_time or 0) / 1_000_000, (container.duration or 0) / 1_000_000
    if format_name(container) == "mov":
        declared = max(declared, fragments_seconds(path))
    early = declared - (end - max(0.0, start)) > max(0.5, declared / 50)
    return f"{end:.1f} of {declared:.1f} seconds" if early else ""


# Containers and codecs in which decord returns the right frames, with the conditions of `can_seek`: tests/recognizer/
# video/test_matrix.py holds it for every pair, against decoding from the start. In others its seeking is wrong.
_PROVEN = {
    "avi": {"mpeg4", "mjpeg"},
    "mov": {"h264", "hevc", "mpeg4", "mjpeg", "av1", "libdav1d", "vp9"},
    "matroska": {"h264", "hevc", "mpeg4", "av1", "libdav1d", "vp8", "vp9"},
}


def can_seek(container: Any, stream: Any, packets: Sequence[Any]) -> bool:
    """Whether decord's seeking is proven to be right.

    The pair of container and codec is proven, the file has one video stream, and every packet one frame with a time
    stamp of its own. No frame after a key frame is shown before it: a decoder that starts there could not show it.
    """
    codec = stream.codec_context.name
    if codec not in _PROVEN.get(format_name(container), ()) or len(container.streams.video) > 1:
        return False
    stamps = [packet.pts for packet in packets]
    if None in stamps or len(set(stamps)) < len(stamps) or not packets[0].is_keyframe:
        return False
    if any(packet.is_discard for packet in packets):
        return False
    return not _leads(packets) and (codec != "mpeg4" or not _skips(stream, packets))


def _leads(packets: Sequence[Any]) -> bool:
    """Whether a frame is shown before the key frame that precedes it in the file (an open group of pictures)."""
    key = packets[0].pts
    for packet in packets:
        key = packet.pts if packet.is_keyframe else key
        if packet.pts < key:
            return True
    return False


def _skips(stream: Any, packets: Sequence[Any]) -> bool:
    """Whether MPEG-4 part 2 has B-frames, or packets without a frame: less than one bit for each macroblock."""
    macroblocks = -(-stream.width // 16) * -(-stream.height // 16)
    reordered = any(after.pts < before.pts for before, after in pairwise(packets))
    return reordered or any(packet.size * 8 < macroblocks for packet in packets)


def _cut_by_edit_list(container: Any, stream: Any, packets: Sequence[Any]) -> bool:
    """Whether a video was cut without encoding, and not broken off: it lasts as long as it declares.

    The packets of a file with an edit list last as long as it declares. Only the MP4 family has edit lists; FFmpeg
    corrects the declared duration of a truncated AVI file.
    """
    if "mp4" not in container.format.name or not packets or not stream.duration:
        return False
    end = max(max(packet.pts or 0, packet.dts or 0) + (packet.duration or 0) for packet in packets)
    missing = stream.duration - (end - (stream.start_time or 0))  # in units of time_base
    return bool(missing * stream.frames <= tolerated(stream.frames) * stream.duration)


def _packets(container: Any, *streams: Any) -> Iterator[Any]:
    """Yield the packets of streams, by default of all, up to the first error in the file.

    At the end of a file in which more streams turned up than at its start (MPEG-TS), PyAV raises IndexError.
    """
    with _errors_of_content_suppressed(), suppress(IndexError):
        yield from container.demux(*streams)


def _undamaged(packets: Iterable[Any]) -> Iterator[Any]:
    """Yield the packets of a file that breaks off, but the last one and those that miss bytes."""
    last = None
    for packet in packets:
        if not packet.size:  # tells the decoder to give what it holds
            yield packet
            continue
        if last is not None and not last.is_corrupt:
            yield last
        last = packet


def decoded_frames(container: Any, *, truncated: bool = False) -> Iterator[Any]:
    """Yield the decodable frames of the video stream from its start, up to the first error in the file.

    Args:
        container: an open file.
        truncated: whether it breaks off; its last packet may then be a part of a frame.
    """
    packets = _packets(container, video_stream(container))
    for packet in _undamaged(packets) if truncated else packets:
        with _errors_of_content_suppressed():  # a broken packet; the picture recovers at the next key frame
            yield from packet.decode()


def decode_all(path: Path, scan: PacketScan) -> Iterator[Any]:
    """Yield the decoded frames of a file.

    Raises:
        UnreadableVideo: at the end, if too many are missing of those that its packets promise.
    """
    done, total = 0, scan.frames
    with open_container(path) as container:
        video_stream(container).thread_type = "NONE"  # the caller reads many videos in parallel
        frames = decoded_frames(container, truncated=bool(scan.truncated))
        for done, frame in enumerate(frames, start=1):  # noqa: B007 - used after the loop
            yield frame
    if total - done > tolerated(total):
        raise UnreadableVideo("damaged", f"{done} of {total} frames can be decoded")


def frame_times(path: Path) -> tuple[float, ...]:
    """Return the time of each frame in seconds after the first; empty if the file has no valid time stamps.

    Raises:
        UnreadableVideo: it cannot be opened, or has no video stream.
    """
    with os_errors_as_unreadable(), open_container(path) as container:
        stream = video_stream(container)
        unit = stream.time_base
        stamps = [packet.pts for packet in _packets(container, stream) if packet.size and not packet.is_discard]
    if None in stamps or len(set(stamps)) < len(stamps):
        return ()
    return tuple(float((stamp - min(stamps)) * unit) for stamp in sorted(stamps))
