"""Unpack archives: zip and tar by Python, rar by an installed tool."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from db.errors import UserError
from db.progress import Progress
from recognizer.datasets.prepare.members import UNREADABLE, RefusedArchiveError, target_below, unpack_tar, unpack_zip


class _Tool(NamedTuple):
    name: str
    package: str  # of Debian and Ubuntu
    arguments: Callable[[str, str], list[str]]  # of (archive, folder)

    def command(self, archive: Path, into: Path) -> list[str]:
        return [self.name, *self.arguments(str(archive), str(into))]


_RAR_TOOLS = (
    _Tool("unrar", "unrar", lambda archive, into: ["x", "-o+", "-idq", archive, f"{into}/"]),
    _Tool("unar", "unar", lambda archive, into: ["-quiet", "-f", "-D", "-o", into, archive]),
    _Tool("bsdtar", "libarchive-tools", lambda archive, into: ["-xf", archive, "-C", into]),
    _Tool("7z", "7zip-rar", lambda archive, into: ["x", "-y", "-bd", "-bso0", f"-o{into}", archive]),
)


def unpack(archive: Path, into: Path) -> None:
    """Unpack an archive into a folder; existing files are replaced.

    Raises:
        UserError: it is damaged, holds links, devices, names outside the folder or far more than its size, or is a rar
            archive that no tool can unpack. The message is one line, but for rar tools.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        _UNPACK.get(archive.suffix, unpack_tar)(archive, into)
    except RefusedArchiveError as error:
        raise UserError(f"{archive} was refused: {error}. Delete it, and take it from its official address") from error
    except UNREADABLE as error:
        raise UserError(f"{archive} cannot be unpacked: {_line(error)}. Delete it and run this again") from error
    except OSError as error:
        again = "Run this again" if error.errno else "Delete it and run this again"  # bz2 gives no number
        raise UserError(f"{archive} cannot be unpacked: {error.strerror or _line(error)}. {again}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def unpack_command(archive: Path, into: Path) -> str:
    """Return the shell command that unpacks an archive."""
    if archive.suffix == ".zip":
        return shlex.join(["unzip", "-o", "-q", str(archive), "-d", str(into)])
    if archive.suffix == ".rar":
        return shlex.join((_installed() or _RAR_TOOLS)[0].command(archive, into))
    return shlex.join(["tar", "-xf", str(archive), "-C", str(into)])


def unpack_nested(archive: Path, into: Path, *, on_progress: Progress = lambda done, total: None) -> None:
    """Unpack the archives in an archive; `on_progress` is called with (archives done, archives in all)."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=f".{archive.stem}.") as folder:
        unpack(archive, Path(folder))
        inner = sorted(path for path in Path(folder).rglob("*") if path.suffix == archive.suffix)
        if not inner:
            raise UserError(f"{archive} holds no {archive.suffix} archives. Delete it and run this again")
        for done, inner_archive in enumerate(inner, start=1):
            unpack(inner_archive, into)
            inner_archive.unlink()
            on_progress(done, len(inner))


def missing_tool() -> str | None:
    """Return a hint what to install if no tool for rar archives is installed, else None."""
    if _installed():
        return None
    names = ", ".join(tool.name for tool in _RAR_TOOLS)
    packages = ", ".join(tool.package for tool in _RAR_TOOLS)
    return (
        f"Rar archives need one of these tools on the PATH: {names}. "
        f"On Debian and Ubuntu, apt install one of: {packages}; on macOS, brew install unar"
    )


def _installed() -> list[_Tool]:
    return [tool for tool in _RAR_TOOLS if shutil.which(tool.name)]


def _unpack_rar(archive: Path, into: Path) -> None:
    """Try every installed tool: 7z and bsdtar do not read every rar archive."""
    if missing := missing_tool():
        raise UserError(f"{archive} cannot be unpacked: {missing}")
    errors = []
    for tool in _installed():
        with tempfile.TemporaryDirectory(dir=into, prefix=".unpacking.") as folder:
            command = tool.command(archive, Path(folder))
            result = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)  # noqa: S603 - tools of the table, our own paths
            if result.returncode == 0:
                _take_over(Path(folder), into)
                return
        reason = (result.stderr or result.stdout).strip() or result.returncode
        errors.append(f"  {shlex.join(command)}: {reason}")
    raise UserError(f"{archive} cannot be unpacked:\n" + "\n".join(errors))


def _take_over(folder: Path, into: Path) -> None:
    """Move what a tool has unpacked, all or nothing: a link or a device among it refuses the archive."""
    moves = [(path, target_below(into, path.relative_to(folder).as_posix())) for path in _plain_files(folder)]
    for path, target in moves:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _plain_files(folder: Path) -> Iterator[Path]:
    for inside, folders, names in os.walk(folder):
        for path in (Path(inside, name) for name in (*folders, *names)):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) and (not stat.S_ISREG(status.st_mode) or status.st_nlink > 1):
                name = path.relative_to(folder).as_posix()
                raise RefusedArchiveError(f"it holds {name[:200]!r}, a link or a device, which no dataset needs")
            if stat.S_ISREG(status.st_mode):
                yield path


_UNPACK: dict[str, Callable[[Path, Path], None]] = {".zip": unpack_zip, ".rar": _unpack_rar}
