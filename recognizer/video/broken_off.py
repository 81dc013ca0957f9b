"""Tell from the bytes of a file whether it breaks off, for containers whose end FFmpeg does not check.

Each reader says what it saw, or "" where the file is whole or nothing in it can tell: an MPEG stream that was cut
between two of its packets has no length to compare with.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_TAIL = 256 * 1024  # bytes that hold the last packets of an MPEG program stream, and more than the last Ogg page


def broken_off(path: Path, container_format: str) -> str:
    """Return what shows that a file breaks off, such as `1200 of 2000 bytes of data`; "" if nothing does.

    Args:
        path: a video file.
        container_format: FFmpeg's name of its format; of several names the first.

    Raises:
        OSError: it cannot be read.
    """
    check = _CHECKS.get(container_format)
    if check is None:
        return ""
    with path.open("rb") as file:
        return check(file, os.fstat(file.fileno()).st_size)


def _asf(file: BinaryIO, size: int) -> str:
    """Compare the length of the data object with the file; a live recording declares none."""
    head = file.read(24)
    start = int.from_bytes(head[16:24], "little")  # of the data object, behind the header object
    file.seek(min(start, size))
    length = int.from_bytes(file.read(24)[16:24], "little")
    return f"{max(0, size - start)} of {length} bytes of data" if length and start + length > size else ""


def _transport_stream(file: BinaryIO, size: int) -> str:
    """Find an incomplete last packet: 188 bytes from sync byte to sync byte, 192 in .m2ts, 204 with parity."""
    head = file.read(8 * 204)
    for length in (188, 192, 204):
        for first in range(length):
            syncs = head[first::length]
            if len(syncs) >= 4 and set(syncs) == {0x47}:
                start = first - 4 if length == 192 and first >= 4 else first
                rest = (size - start) % length
                return f"{rest} of {length} bytes of the last packet" if rest else ""
    return ""


def _program_stream(file: BinaryIO, size: int) -> str:
    """Follow packs and packets, whose headers give their lengths, from a pack near the end to the end."""
    tail, place = _tail(file, size), -1
    while (place := tail.find(b"\0\0\1\xba", place + 1)) >= 0:
        end = place
        while length := _packet_length(tail, end):
            end += length
        if end > len(tail):
            return "the last packet is incomplete"
        if not tail[end:].strip(b"\0"):
            return ""
    return ""


def _packet_length(data: bytes, place: int) -> int:
    """Return the length of a pack header or packet of a program stream, at least that of a header that is cut off.

    0 where there is none, such as in the padding at the end.
    """
    header = data[place : place + 14]
    if header[:3] != b"\0\0\1":
        return 0
    if len(header) < 6:
        return 4 if header[3:] == b"\xb9" else 6  # the end code, or a header that is cut off
    if header[3] == 0xBA and header[4] >> 6 == 1:  # a pack header of MPEG-2
        return 14 + (header[13] & 7) if len(header) == 14 else 14
    if header[3] == 0xBA:  # of MPEG-1
        return 12
    return 4 if header[3] == 0xB9 else (6 + int.from_bytes(header[4:6], "big")) * (header[3] > 0xBA)


class _Box(NamedTuple):
    """A box of an MP4 file: its type, where its content starts, and where it should end."""

    type: bytes
    start: int
    end: int


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between two places; a last one may end beyond."""
    while start < end:
        file.seek(start)
        header = file.read(min(16, end - start))
        length, skip = int.from_bytes(header[:4], "big"), 8
        if length == 1:
            length, skip = int.from_bytes(header[8:16], "big"), 16
        length = length or end - start  # 0: up to the end of the file
        if len(header) >= 8 and length < skip:
            return  # no box
        yield _Box(header[4:8], start + skip, start + max(length, 8))
        start += max(length, 8)


def _fragments(file: BinaryIO, size: int) -> str:
    """Find an incomplete fragment; the index of a file without fragments lists every frame."""
    boxes = list(_boxes(file, 0, size))
    fragmented = any(box.type == b"moof" for box in boxes)
    return "the last fragment is incomplete" if fragmented and boxes[-1].end > size else ""


def fragments_seconds(path: Path) -> float:
    """Return the duration of all fragments of an MP4 file that its header declares (`mehd`); 0.0 if it does not."""
    with path.open("rb") as file:
        moov = _find(file, _Box(b"", 0, os.fstat(file.fileno()).st_size), b"moov")
        mvex = moov and _find(file, moov, b"mvex")
        mehd, mvhd = mvex and _find(file, mvex, b"mehd"), moov and _find(file, moov, b"mvhd")
        if not mehd or not mvhd:
            return 0.0
        file.seek(mehd.start)
        wide = file.read(4)[:1] == b"\1"
        duration = int.from_bytes(file.read(8 if wide else 4), "big")
        file.seek(mvhd.start)
        content = file.read(24)
        scale = int.from_bytes(content[20:24] if content[:1] == b"\1" else content[12:16], "big")
        return duration / scale if scale else 0.0


def _find(file: BinaryIO, within: _Box, kind: bytes) -> _Box | None:
    return next((box for box in _boxes(file, within.start, within.end) if box.type == kind), None)


def _ogg(file: BinaryIO, size: int) -> str:
    """Follow the pages to the end; the last page of a stream says that it is the last (RFC 3533)."""
    tail, place, flags = _tail(file, size), -1, 4
    while (place := tail.find(b"OggS", max(place, 0))) >= 0:
        header = tail[place : place + 27]
        lacing = tail[place + 27 : place + 27 + header[26]] if len(header) == 27 else b""
        if len(header) < 27 or len(lacing) < header[26] or place + 27 + len(lacing) + sum(lacing) > len(tail):
            return "the last page is incomplete"
        flags, place = header[5], place + 27 + len(lacing) + sum(lacing)
    return "" if flags & 4 else "no page is marked as the last"


def _gif(file: BinaryIO, size: int) -> str:
    """Follow the blocks of a GIF to its trailer."""
    data = file.read(size)
    place = 13 + _colours(data[10:11])
    while place < size and data[place] != 0x3B:
        if data[place] == 0x2C:
            place += 11 + _colours(data[place + 9 : place + 10])  # with the byte before the sub-blocks
        elif data[place] == 0x21:
            place += 2
        else:
            return ""  # no block: what follows is not known
        while place < size and data[place]:
            place += 1 + data[place]
        place += 1
    return "" if place < size else "the last picture is incomplete, or there should be more"


def _colours(flags: bytes) -> int:
    """Return the bytes of the colour table that follows."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _TAIL))
    return file.read()


_CHECKS: dict[str, Callable[[BinaryIO, int], str]] = {
    "asf": _asf,
    "gif": _gif,
    "mov": _fragments,
    "mpeg": _program_stream,
    "mpegts": _transport_stream,
    "ogg": _ogg,
}
