"""Unpack archives: zip and tar by Python, rar by an installed tool."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from db.errors import UserError
from db.progress import Progress


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
        UserError: it is damaged, or a rar archive and no tool can unpack it.
    """
    into.mkdir(parents=True, exist_ok=True)
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(into)  # noqa: S202 - it drops `..` and leading slashes from names
        elif archive.suffix == ".rar":
            _unpack_rar(archive, into)
        else:
            with tarfile.open(archive) as opened_tar:
                opened_tar.extractall(into, filter="data")  # refuses paths outside the folder
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise UserError(f"{archive} cannot be unpacked: {error}. Delete it and run this again") from error


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
        command = tool.command(archive, into)
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)  # noqa: S603 - tools of the table, our own paths
        if result.returncode == 0:
            return
        reason = (result.stderr or result.stdout).strip() or result.returncode
        errors.append(f"  {shlex.join(command)}: {reason}")
    raise UserError(f"{archive} cannot be unpacked:\n" + "\n".join(errors))
