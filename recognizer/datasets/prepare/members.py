"""Unpack zip and tar archives of strangers: files and folders alone, all of them below the folder, of bounded size.

Python's own `extractall` is not used: its filter for tar can be led outside the folder (CVE-2025-4517), and it takes
the end of a damaged archive for the end of a whole one.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import IO, Any, Self

_CHUNK = 1 << 20
_ALWAYS = 100_000_000  # bytes that any archive may hold
_GROWTH = 100  # more than that, only up to so many times its own size; lists of names shrink about tenfold
_BLOCK = 512  # bytes of a tar header

UNREADABLE = (
    *(zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, RuntimeError),
    *(gzip.BadGzipFile, NotImplementedError, OverflowError, IndexError, KeyError),
)
"""What the modules of Python raise for archives that are damaged, encrypted or of an unknown kind. bz2 raises an
OSError without a number."""


class RefusedArchiveError(Exception):
    """An archive is whole, but holds what no dataset needs; the message continues a sentence."""


def target_below(root: Path, name: str) -> Path:
    """Return where a member is written.

    Raises:
        RefusedArchiveError: its name is absolute or holds `..`, or a link in the folder leads out of it.
    """
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name or name[0] in "/\\" or ".." in parts or PureWindowsPath(name).drive:
        raise RefusedArchiveError(f"it holds {name[:200]!r}, a name that leads out of the folder")
    target = root / name
    if not target.resolve().is_relative_to(root.resolve()):
        raise RefusedArchiveError(f"it holds {name[:200]!r}, and a link in {root} leads that out of the folder")
    return target


def unpack_zip(archive: Path, root: Path) -> None:
    """Unpack a zip archive; the check sum of every file is compared.

    Raises:
        RefusedArchiveError: it holds a link, a device, a name outside the folder, or far too much.
        Exception: one of `UNREADABLE`.
    """
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        _refuse_bomb(archive, sum(member.file_size for member in members))
        targets = [target_below(root, member.filename) for member in members]
        for member in members:
            _refuse_kind(member.filename, stat.S_IFMT(member.external_attr >> 16))
        for member, target in zip(members, targets, strict=True):
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                with opened.open(member) as source:
                    _write(source, target, member.file_size)


def unpack_tar(archive: Path, root: Path) -> None:
    """Unpack a tar archive, plain or compressed by gzip, bzip2 or xz; it is read to its very end.

    Raises:
        RefusedArchiveError: it holds a link, a device, a name outside the folder, or far too much.
        Exception: one of `UNREADABLE`.
    """
    with _opened(archive) as file:
        stream = _Bounded(file, archive)
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as opened:  # type: ignore[call-overload]
            for member in opened:
                _unpack_member(opened, member, root)
        while stream.read(_CHUNK):  # the check sum of gzip and xz stands after the last file
            pass


def _unpack_member(opened: tarfile.TarFile, member: tarfile.TarInfo, root: Path) -> None:
    target = target_below(root, member.name)
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    _refuse_kind(member.name, 0 if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) else stat.S_IFLNK)
    source = None if member.sparse else opened.extractfile(member)
    if source is None:
        raise RefusedArchiveError(f"it holds {member.name[:200]!r}, which is no plain file")
    _write(source, target, member.size)


def _refuse_kind(name: str, kind: int) -> None:
    if kind and kind not in (stat.S_IFREG, stat.S_IFDIR):
        raise RefusedArchiveError(f"it holds {name[:200]!r}, a link or a device, which no dataset needs")


def _refuse_bomb(archive: Path, size: int) -> None:
    most = max(_ALWAYS, _GROWTH * archive.stat().st_size)
    if size > most:
        raise RefusedArchiveError(
            f"it would grow to {size:,} bytes or more, {size // max(1, archive.stat().st_size):,} times its size"
        )


def _write(source: IO[bytes], target: Path, size: int) -> None:
    """Write a file of a known size, in place of one that exists."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    written = 0
    with target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            written += file.write(chunk)
    if written != size:
        raise EOFError(f"{target.name} ends after {written} of {size} bytes")


class _Member(tarfile.TarInfo):
    """A header that is damaged ends the reading with an error; `tarfile` takes it for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the block of zeros at the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"a header is damaged: {error}") from error
        if member.size < 0:
            raise tarfile.ReadError("a header is damaged: a negative size")
        return member


class _Bounded:
    """A stream that refuses to grow far beyond the size of its archive, whatever the headers in it say."""

    def __init__(self, file: IO[bytes], archive: Path) -> None:
        self._file, self._archive, self._done = file, archive, 0

    def read(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self._done += len(chunk)
        _refuse_bomb(self._archive, self._done)
        return chunk


_COMPRESSIONS: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\x00", lzma.open),
    (b"", lambda archive: archive.open("rb")),
)


def _opened(archive: Path) -> IO[bytes]:
    with archive.open("rb") as file:
        start = file.read(_BLOCK)
    opened: IO[bytes] = next(opener for magic, opener in _COMPRESSIONS if start.startswith(magic))(archive)
    return opened
